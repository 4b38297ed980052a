//! What several test files need.

use std::path::PathBuf;

use serde_json::Value;

/// A path below the folder that `WARDEN_DATA` names, if it is set and the path exists.
pub(crate) fn data(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("WARDEN_DATA")?).join(path);
    path.exists().then_some(path)
}

/// JSON Lines.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Bytes to lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// Hex to bytes.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
