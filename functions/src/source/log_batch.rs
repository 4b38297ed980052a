//! Batches of log events: base64, gzip, JSON; with a cap of our own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use warden_session::inflate::{Inflate, Limits};
use warden_session::timeline::Deviation;

use super::{INFLATED_LIMIT, LogBatch, LogEvent, SourceError, Work};

/// What may still be decompressed in this invocation.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(INFLATED_LIMIT)
    }
}

const WHAT: &str = "a batch of log events";

/// The batches inside a base64 text.
pub(super) fn unpack_base64(base64: &str, budget: &mut Budget) -> Result<Vec<Work>, SourceError> {
    let packed = STANDARD.decode(base64).map_err(|_| SourceError::Undecodable(WHAT))?;
    unpack(&packed, budget)
}

/// The batches in a record: one, or several gzip members one behind the other; Firehose may have decompressed them.
pub(super) fn unpack(packed: &[u8], budget: &mut Budget) -> Result<Vec<Work>, SourceError> {
    parse(&inflate(packed, budget)?)
}

fn inflate(packed: &[u8], budget: &mut Budget) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    let mut inflate = Inflate::new(Limits { output: budget.0, ratio: u64::MAX });
    let mut keep = |piece: &[u8]| bytes.extend_from_slice(piece);
    let deviation = inflate.feed(packed, &mut keep).or_else(|| inflate.finish(&mut keep));
    budget.0 = budget.0.saturating_sub(bytes.len() as u64);
    match deviation {
        None => Ok(bytes),
        Some(Deviation::LimitReached(_)) => {
            Err(SourceError::LimitReached { limit: "bytes of log events in an invocation", at: INFLATED_LIMIT })
        }
        Some(_) => Err(SourceError::Undecodable(WHAT)),
    }
}

/// What one object of a record may be: a batch, or a message that Firehose took out of its batch.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    message_type: Option<String>,
    log_events: Option<IgnoredAny>,
    session_id: Option<String>,
    event_name: Option<IgnoredAny>,
}

/// The batches of a text of JSON objects, one behind the other.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Work>, SourceError> {
    let objects = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    let mut works = Vec::new();
    for object in objects {
        works.push(work(object.map_err(|_| SourceError::Malformed(WHAT))?).ok_or(SourceError::Malformed(WHAT))?);
    }
    if works.is_empty() { Err(SourceError::Malformed(WHAT)) } else { Ok(works) }
}

fn work(object: &RawValue) -> Option<Work> {
    let text = object.get();
    let shape: Shape = serde_json::from_str(text).ok()?;
    match (shape.message_type.as_deref(), shape.log_events, shape.session_id, shape.event_name) {
        (Some("CONTROL_MESSAGE"), ..) => Some(Work::Nothing("CloudWatch Logs control message")),
        (Some("DATA_MESSAGE") | None, Some(_), ..) => serde_json::from_str(text).ok().map(Work::Logs),
        (None, None, _, Some(_)) => serde_json::from_str(text).ok().map(Work::ApiCall),
        (None, None, Some(log_stream), None) => Some(Work::Logs(LogBatch {
            log_stream,
            events: vec![LogEvent { id: String::new(), at: None, message: text.to_owned() }],
            ..LogBatch::default()
        })),
        _ => None,
    }
}

/// Milliseconds since 1970; what is out of range is not known.
pub(super) fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let milliseconds: Option<i64> = Option::deserialize(deserializer)?;
    Ok(milliseconds.and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok()))
}
