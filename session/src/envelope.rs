//! The wrappings in which CloudWatch Logs hands log events on: Lambda subscription, Kinesis, Firehose.
//!
//! Shapes: CloudWatch Logs user guide, "Real-time processing of log data with subscriptions".

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;
use serde::Deserialize;

use crate::inflate::{Inflate, Limits};
use crate::json_split::{JsonSplit, List, Piece};
use crate::timeline::Deviation;

/// Most bytes that one wrapped batch may decompress to. The service limits the compressed batch only.
pub(crate) const BATCH_LIMIT: u64 = 64 * 1024 * 1024;

/// Most bytes of a batch that are looked at to recognise it.
const PEEK_LIMIT: u64 = 64 * 1024;

/// Lists that hold records: CloudTrail files, `aws cloudtrail lookup-events`, `aws logs`, Kinesis, Firehose, batches.
pub(crate) const RECORDS: &[List] = &[
    List { key: "Records", needs: "" },
    List { key: "records", needs: "" },
    List { key: "Events", needs: "" },
    List { key: "events", needs: "" },
    List { key: "logEvents", needs: "" },
];

/// The same for log events, which say nothing without the name of their log stream.
pub(crate) const LOG_EVENTS: &[List] = &[
    List { key: "Records", needs: "" },
    List { key: "records", needs: "" },
    List { key: "events", needs: "" },
    List { key: "logEvents", needs: "\"logStream\"" },
];

/// What the message of a `CONTROL_MESSAGE` batch begins with.
pub(crate) const CONTROL: &str = "CWL CONTROL MESSAGE: ";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    awslogs: Option<Data<'a>>,
    #[serde(borrow)]
    kinesis: Option<Data<'a>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// Whether a record is wrapped; cheap, and sure enough, for text inside a JSON string has its quotes escaped.
pub(crate) fn is_wrapped(record: &[u8]) -> bool {
    let has = |key: &str| memmem::find(record, key.as_bytes()).is_some();
    has("\"awslogs\"") || has("\"kinesis\"") || (has("\"recordId\"") && has("\"data\""))
}

/// Hands out every record that is wrapped in this one, with the object around it.
pub(crate) fn unwrap(record: &[u8], lists: &'static [List], sink: &mut dyn FnMut(Result<Wrapped<'_>, Deviation>)) {
    let Some(packed) = packed(record) else {
        sink(Err(Deviation::Undecodable));
        return;
    };
    let mut split = JsonSplit::new(lists);
    let mut inflate = Inflate::new(Limits { output: BATCH_LIMIT, ratio: u64::MAX });
    let mut pieces = |_: Range<u64>, piece: Piece<'_>| match piece {
        Piece::Record { bytes, head } => sink(Ok(Wrapped { bytes, head })),
        Piece::Oversized => sink(Err(Deviation::LimitReached("record"))),
        Piece::Broken => sink(Err(Deviation::Undecodable)),
        Piece::Cut => sink(Err(Deviation::Truncated)),
    };
    let wrong = inflate.feed(&packed, &mut |bytes| split.feed(bytes, &mut pieces));
    let late = inflate.finish(&mut |bytes| split.feed(bytes, &mut pieces));
    split.finish(&mut pieces);
    if let Some(deviation) = wrong.or(late) {
        sink(Err(deviation));
    }
}

/// The beginning of what is wrapped in a record of which only the beginning may be there.
pub(crate) fn peek(record: &[u8]) -> Option<Vec<u8>> {
    let start = memmem::find(record, b"\"data\"")? + 6;
    let text = record.get(start..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', text).unwrap_or(text.len() & !3);
    let packed = BASE64.decode(text.get(..end)?).ok()?;
    let mut inside = Vec::new();
    let mut inflate = Inflate::new(Limits { output: PEEK_LIMIT, ratio: u64::MAX });
    let _ = inflate.feed(&packed, &mut |bytes| inside.extend_from_slice(bytes));
    let _ = inflate.finish(&mut |bytes| inside.extend_from_slice(bytes));
    inside.truncate(usize::try_from(PEEK_LIMIT).unwrap_or(usize::MAX));
    Some(inside)
}

/// A record that was wrapped, and the bytes of the object around it that came before its list.
pub(crate) struct Wrapped<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) head: &'a [u8],
}

fn packed(record: &[u8]) -> Option<Vec<u8>> {
    let wrapper: Wrapper<'_> = serde_json::from_slice(record).ok()?;
    let data = wrapper.awslogs.or(wrapper.kinesis).map(|inner| inner.data).or(wrapper.data)?;
    BASE64.decode(data.as_bytes()).ok()
}
