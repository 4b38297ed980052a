use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Bytes that are written once, at the end, and read anywhere: a file without a name, for its owner only, gone with the
/// process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spool {
    file: Option<Arc<File>>,
    /// Bytes in it.
    pub(super) len: u64,
}

impl Spool {
    /// An empty spool.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: Some(Arc::new(tempfile::tempfile()?)), len: 0 })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &self.file else { return Err(io::ErrorKind::NotFound.into()) };
        file.write_all_at(bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Reads a range; what lies behind the end is left out.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let to = to.min(self.len);
        let Some(file) = self.file.as_ref().filter(|_| from < to) else { return Ok(Vec::new()) };
        let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(0)];
        file.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }
}
