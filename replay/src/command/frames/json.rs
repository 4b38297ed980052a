//! Frames as JSON Lines, each field as scripts rely on it.

use std::io::{self, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use warden_protocol::channel::{Content, Opcode, Seal};
use warden_protocol::frame::Deviation;
use warden_protocol::payload::redact;
use warden_session::timestamp::to_rfc3339;

use super::{Row, decoded, error};

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    n: u64,
    offset: u64,
    session: Option<&'a str>,
    at: String,
    direction: &'static str,
    side: &'static str,
    opcode: u8,
    status: &'static str,
    #[serde(flatten)]
    header: Option<Header<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The whole message, where no frame was found in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    encrypted: bool,
    /// Bytes of the payload in whose place `*` stands: input that was not echoed.
    masked: u32,
    decoded: Option<Value>,
    deviations: Vec<&'static str>,
    error: Option<String>,
}

#[derive(Serialize)]
#[allow(clippy::struct_field_names, reason = "the names that scripts rely on")]
struct Header<'a> {
    header_length: u32,
    message_type: std::borrow::Cow<'a, str>,
    schema_version: u32,
    created: Option<String>,
    created_ms: Number,
    sequence: Number,
    flags: Number,
    message_id: String,
    /// `None` if it is withheld, because the payload is masked.
    digest: Option<String>,
    payload_type: u32,
    payload_type_name: Option<&'static str>,
    payload_length: u32,
    payload: String,
}

pub(super) fn print(out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
    let verdict = row.verdict;
    let deviations = match &verdict.content {
        Content::Frame(decoded) => decoded.deviations.iter().map(Deviation::name).collect(),
        _ => Vec::new(),
    };
    let line = Line {
        r#type: "frame",
        n: row.n,
        offset: row.offset,
        session: row.session,
        at: to_rfc3339(row.at),
        direction: row.direction.as_str(),
        side: verdict.side.as_str(),
        opcode: if row.message.opcode == Opcode::Text { 1 } else { 2 },
        status: verdict.status().as_str(),
        header: header(row),
        text: matches!(verdict.content, Content::Text(_)).then(|| redact(&row.message.bytes)),
        bytes: matches!(verdict.content, Content::Undecodable(_)).then(|| BASE64_STANDARD.encode(&row.message.bytes)),
        encrypted: verdict.seal != Seal::Clear,
        masked: row.masked,
        decoded: decoded(verdict),
        deviations,
        error: error(verdict),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn header<'a>(row: &Row<'a>) -> Option<Header<'a>> {
    let Content::Frame(decoded) = &row.verdict.content else { return None };
    let frame = &decoded.frame;
    let created = i64::try_from(frame.created_date).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    Some(Header {
        header_length: frame.header_length,
        message_type: frame.message_type.to_text(),
        schema_version: frame.schema_version,
        created: created.filter(|_| frame.created_date != 0).map(to_rfc3339),
        created_ms: Number(frame.created_date.into()),
        sequence: Number(frame.sequence_number.into()),
        flags: Number(frame.flags.0.into()),
        message_id: frame.message_id.to_string(),
        digest: (row.masked == 0).then(|| frame.payload_digest.to_string()),
        payload_type: frame.payload_type.0,
        payload_type_name: frame.payload_type.name(),
        payload_length: frame.payload_length,
        payload: BASE64_STANDARD.encode(row.verdict.payload().unwrap_or(&frame.payload)),
    })
}

/// A 64-bit number: as text beyond 2^53, which not every reader of JSON holds exactly.
struct Number(i128);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(number) if number.unsigned_abs() <= 1 << 53 => serializer.serialize_i64(number),
            _ => serializer.collect_str(&self.0),
        }
    }
}
