//! The folder that rules come from.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use warden_aws::FetchError;

use crate::clients::Clients;
use crate::config::Place;

/// An answer that is still to come.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, FolderError>> + Send + 'a>>;

/// Files by name.
pub trait Folder: fmt::Debug + Send + Sync {
    /// Reads a file of at most `limit` bytes; `None` if it has this `ETag`, so that it need not be read again.
    fn read<'a>(&'a self, name: &'a str, limit: u64, unless: Option<&'a str>) -> Pending<'a, Option<File>>;
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Names this content.
    pub etag: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is larger than the limit.
    #[error("it has {length} bytes; at most {limit} are read")]
    TooLong {
        /// Its bytes.
        length: u64,
        /// The limit.
        limit: u64,
    },
}

/// A folder in S3.
#[derive(Debug)]
pub struct S3Folder {
    clients: Arc<Clients>,
    place: Place,
}

impl S3Folder {
    /// The folder at this place.
    pub fn new(clients: Arc<Clients>, place: Place) -> Self {
        Self { clients, place }
    }

    async fn fetch(&self, name: &str, limit: u64, unless: Option<&str>) -> Result<Option<File>, FolderError> {
        let prefix = &self.place.prefix;
        let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let mut object = self.clients.objects().await.open(&self.place.bucket, &key, None).await?;
        let etag = object.etag.clone().unwrap_or_default();
        if !etag.is_empty() && unless == Some(etag.as_str()) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while let Some(piece) = object.next().await? {
            let length = bytes.len() as u64 + piece.len() as u64;
            if length.max(object.length) > limit {
                return Err(FolderError::TooLong { length: length.max(object.length), limit });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(File { etag, bytes }))
    }
}

impl Folder for S3Folder {
    fn read<'a>(&'a self, name: &'a str, limit: u64, unless: Option<&'a str>) -> Pending<'a, Option<File>> {
        Box::pin(self.fetch(name, limit, unless))
    }
}

/// A folder in memory, for tests: it fails when it is told to.
#[derive(Debug, Default)]
pub struct MemoryFolder {
    files: Mutex<BTreeMap<String, Result<File, FetchError>>>,
}

impl MemoryFolder {
    /// Stores a file.
    pub fn put(&self, name: &str, etag: &str, bytes: &[u8]) {
        self.set(name, Ok(File { etag: etag.to_owned(), bytes: bytes.to_vec() }));
    }

    /// Makes the reading of a file fail.
    pub fn fail(&self, name: &str, error: FetchError) {
        self.set(name, Err(error));
    }

    fn set(&self, name: &str, file: Result<File, FetchError>) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), file);
    }
}

impl Folder for MemoryFolder {
    fn read<'a>(&'a self, name: &'a str, limit: u64, unless: Option<&'a str>) -> Pending<'a, Option<File>> {
        Box::pin(async move {
            let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            let file = files.get(name).cloned().unwrap_or(Err(FetchError::Missing))?;
            let length = file.bytes.len() as u64;
            if length > limit {
                return Err(FolderError::TooLong { length, limit });
            }
            Ok((unless != Some(file.etag.as_str())).then_some(file))
        })
    }
}
