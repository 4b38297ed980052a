//! Timing files of `script` (util-linux): `PAUSE BYTES` a line, or `TYPE PAUSE DATA` with types O, I, S and H.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use warden_session::inflate::{Inflate, Limits};

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// One line of a timing file. Pauses are seconds since the line before.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// So many bytes of output.
    Output(f64, usize),
    /// So many bytes of input.
    Input(f64, usize),
    /// The window has this size: columns, rows.
    Size(f64, u16, u16),
    /// When the session began.
    Start(Timestamp),
    /// The width or height at the start.
    Cols(u16),
    Rows(u16),
    /// The files that hold output and input.
    OutputLog(String),
    InputLog(String),
    /// The command's exit code.
    Exit(i64),
    /// Nothing that matters here.
    Other(f64),
    /// A line that is none of the format's.
    Broken,
}

/// Reads a timing file line by line.
#[derive(Debug)]
pub(super) struct Timing {
    lines: BufReader<File>,
}

impl Timing {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        Ok(Self { lines: BufReader::new(plain(path).map_err(named)?) })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut line = Vec::new();
        self.lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        Ok(Some(std::str::from_utf8(&line).ok().and_then(entry).unwrap_or(Entry::Broken)))
    }
}

/// A file without its compression.
pub(super) fn plain(path: &Path) -> io::Result<File> {
    let (mut file, mut out, mut buffer) = (File::open(path)?, tempfile::tempfile()?, vec![0; 64 * 1024]);
    let (mut inflate, mut outcome) = (Inflate::new(Limits::default()), Ok(()));
    loop {
        let read = file.read(&mut buffer)?;
        let mut keep =
            |bytes: &[u8]| outcome = std::mem::replace(&mut outcome, Ok(())).and_then(|()| out.write_all(bytes));
        if read == 0 {
            inflate.finish(&mut keep);
            break;
        }
        if inflate.feed(buffer.get(..read).unwrap_or_default(), &mut keep).is_some() {
            break;
        }
    }
    outcome?;
    out.rewind()?;
    Ok(out)
}

fn entry(line: &str) -> Option<Entry> {
    let line = line.trim_end();
    let (first, rest) = line.split_once(' ')?;
    let pause = |text: &str| text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    if !matches!(first, "O" | "I" | "S" | "H") {
        return Some(Entry::Output(pause(first)?, rest.trim().parse().ok()?));
    }
    let (seconds, data) = rest.split_once(' ').unwrap_or((rest, ""));
    let seconds = pause(seconds)?;
    Some(match first {
        "O" => Entry::Output(seconds, data.trim().parse().ok()?),
        "I" => Entry::Input(seconds, data.trim().parse().ok()?),
        "S" => size(seconds, data),
        _ => header(seconds, data),
    })
}

/// `SIGWINCH ROWS=50 COLS=100`; other signals do not matter.
fn size(seconds: f64, data: &str) -> Entry {
    let value = |name: &str| data.split(' ').find_map(|word| word.strip_prefix(name)?.parse().ok());
    match (value("COLS="), value("ROWS=")) {
        (Some(cols), Some(rows)) => Entry::Size(seconds, cols, rows),
        _ => Entry::Other(seconds),
    }
}

fn header(seconds: f64, data: &str) -> Entry {
    let (name, value) = data.split_once(' ').unwrap_or((data, ""));
    let known = match name {
        "START_TIME" => started(value).map(Entry::Start),
        "COLUMNS" => value.parse().ok().map(Entry::Cols),
        "LINES" => value.parse().ok().map(Entry::Rows),
        "OUTPUT_LOG" => Some(Entry::OutputLog(value.to_owned())),
        "INPUT_LOG" => Some(Entry::InputLog(value.to_owned())),
        "EXIT_CODE" => value.parse().ok().map(Entry::Exit),
        _ => None,
    };
    known.unwrap_or(Entry::Other(seconds))
}

/// `2026-11-24 23:39:49+00:00`.
pub(super) fn started(text: &str) -> Option<Timestamp> {
    let text = text.get(..25).or_else(|| text.get(..24))?;
    ["%Y-%m-%d %H:%M:%S%:z", "%Y-%m-%d %H:%M:%S%z"]
        .iter()
        .find_map(|form| jiff::fmt::strtime::parse(form, text.trim_end()).ok()?.to_timestamp().ok())
}

/// The timing file beside a typescript: one of the names in use that holds timing.
pub(crate) fn beside(typescript: &Path) -> Option<PathBuf> {
    let name = typescript.file_name()?.to_str()?;
    let stem = typescript.file_stem()?.to_str()?;
    let mut names: Vec<String> = ENDINGS.iter().map(|ending| format!("{name}.{ending}")).collect();
    names.extend(ENDINGS.iter().map(|ending| format!("{stem}.{ending}")));
    names.extend(["timing", "timing.log", "timingfile", "typescript.timing"].map(ToOwned::to_owned));
    let files = names.into_iter().filter(|candidate| candidate != name).map(|name| typescript.with_file_name(name));
    files.into_iter().find(|path| path.is_file() && is_timing(path))
}

/// How names of timing files end.
const ENDINGS: [&str; 5] = ["timing", "tm", "time", "times", "timing.log"];

fn is_timing(path: &Path) -> bool {
    let first = Timing::open(path).and_then(|mut timing| timing.next());
    matches!(first, Ok(Some(entry)) if entry != Entry::Broken)
}
