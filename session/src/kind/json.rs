//! Log events or API calls.

use std::ops::Range;

use memchr::memmem;
use serde_json::Value;

use crate::envelope;
use crate::json_split::{JsonSplit, Piece};
use crate::reader::Kind;
use crate::session::SessionId;
use crate::transcript;

/// Levels of wrapping that are opened.
const DEPTH_LIMIT: usize = 2;

/// Judges by the first record that says what it is, or, if none is whole, by the keys in its beginning.
pub(super) fn recognise(text: &[u8], all: bool) -> Option<Kind> {
    by_records(text, DEPTH_LIMIT).or_else(|| if all { by_keys(text) } else { None })
}

fn by_records(text: &[u8], depth: usize) -> Option<Kind> {
    let mut kind = None;
    let mut cut = None;
    let mut split = JsonSplit::new(envelope::RECORDS);
    let mut pieces = |offset: Range<u64>, piece: Piece<'_>| {
        let record = match piece {
            Piece::Record { bytes, head } => Some((bytes, head)),
            Piece::Cut => {
                cut = usize::try_from(offset.start).ok();
                None
            }
            Piece::Oversized | Piece::Broken => None,
        };
        let Some((bytes, head)) = record.filter(|_| kind.is_none()) else { return };
        kind = if envelope::is_wrapped(bytes) { wrapped(bytes, depth) } else { of_record(bytes, head) };
    };
    split.feed(text, &mut pieces);
    split.finish(&mut pieces);
    kind.or_else(|| wrapped(text.get(cut?..)?, depth))
}

/// Opens as much of a wrapped batch as there is.
fn wrapped(record: &[u8], depth: usize) -> Option<Kind> {
    let depth = depth.checked_sub(1)?;
    let inside = envelope::peek(record)?;
    by_records(&inside, depth).or_else(|| by_keys(&inside))
}

fn of_record(bytes: &[u8], head: &[u8]) -> Option<Kind> {
    let record: Value = serde_json::from_slice(bytes).ok()?;
    let has = |key: &str| record.get(key).is_some();
    let text = |key: &str| record.get(key).and_then(Value::as_str);
    if has("sessionData") && has("sessionId") {
        return Some(Kind::LogStream);
    }
    let calls = is_call(&record) || record.get("detail").is_some_and(is_call) || text("CloudTrailEvent").is_some();
    if calls || has("digestStartTime") || has("insightDetails") {
        return Some(Kind::ApiCall);
    }
    let message = text("message")?;
    if message.starts_with('{') {
        let inner: Value = serde_json::from_str(message).unwrap_or_default();
        if is_call(&inner) {
            return Some(Kind::ApiCall);
        }
        if inner.get("sessionData").is_some() {
            return Some(Kind::LogStream);
        }
    }
    let stream = ["logStream", "logStreamName"].iter().find_map(|key| text(key));
    let ours = stream.and_then(SessionId::parse).is_some();
    let delivered = has("ingestionTime") || memmem::find(head, b"\"messageType\"").is_some();
    let kind = ours || (delivered && stream.is_none()) || transcript::begins(message.as_bytes());
    kind.then_some(Kind::LogStream)
}

fn is_call(record: &Value) -> bool {
    let text = |key: &str| record.get(key).and_then(Value::as_str);
    let source = text("eventSource").unwrap_or_default();
    text("eventName").is_some()
        && !source.starts_with("aws:")
        && (!source.is_empty() || record.get("userIdentity").is_some())
}

/// Judges text of which no record is whole, quotes escaped or not.
fn by_keys(text: &[u8]) -> Option<Kind> {
    let has = |key: &str| memmem::find(text, key.as_bytes()).is_some();
    if has("sessionData\\\":") || has("\"sessionData\":") || has("\"message\":\"Script started on ") {
        return Some(Kind::LogStream);
    }
    let call = has("\"eventSource\"") && has("\"userIdentity\"") || has("\\\"eventSource\\\"");
    let empty_trail = text.starts_with(b"{\"Records\":[]");
    let empty_stream = has("\"nextForwardToken\"") || has("\"searchedLogStreams\"");
    match (call || empty_trail, empty_stream) {
        (true, _) => Some(Kind::ApiCall),
        (false, true) => Some(Kind::LogStream),
        (false, false) => None,
    }
}
