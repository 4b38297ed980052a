//! Frames for people: a line each.

use std::fmt::Write as _;
use std::io::{self, Write};

use warden_protocol::channel::{Content, Seal, Status};
use warden_protocol::frame::{Deviation, Frame};
use warden_protocol::payload::{Acknowledge, FlagValue, redact};
use warden_protocol::wire::{MessageType, PayloadType, Side};

use super::{Row, decoded, error};
use crate::paint::Paint;
use crate::report::{Lines, escape};

/// Characters of a payload that are shown.
const MAX_SHOWN: usize = 100;

/// Prints lines; the date only where it changes.
#[derive(Debug)]
pub(super) struct Printer {
    paint: Paint,
    date: String,
}

impl Printer {
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint, date: String::new() }
    }

    pub(super) fn print(&mut self, out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
        let at = format!("{:.6}", row.at);
        let (date, time) = at.split_once('T').unwrap_or(("", &at));
        if date != self.date {
            date.clone_into(&mut self.date);
            writeln!(out, "{}", self.paint.dim(&format!("{date} (UTC)")))?;
        }
        let status = row.verdict.status();
        let place = format!("{:>6}  {}  {:<7}", row.n, time.trim_end_matches('Z'), row.verdict.side.as_str());
        let standing =
            if status == Status::Ok { String::new() } else { self.paint.wrong(&format!("{} ", status.as_str())) };
        let failure = error(row.verdict).map(|error| format!("  {}", self.paint.wrong(&error))).unwrap_or_default();
        match &row.verdict.content {
            Content::Text(_) => {
                let text = escape(&redact(&row.message.bytes), Lines::Show);
                writeln!(out, "{place}  {standing}text  {}{failure}", shorten(&text))
            }
            Content::Undecodable(_) => {
                writeln!(out, "{place}  {standing}{} bytes{failure}", row.message.bytes.len())
            }
            Content::Frame(frame) => {
                let mut text = summary(&frame.frame, row);
                if frame.frame.message_type == MessageType::ACKNOWLEDGE {
                    text = self.paint.dim(&text);
                }
                let deviations: Vec<&str> = frame.deviations.iter().map(Deviation::name).collect();
                let deviations = if deviations.is_empty() {
                    String::new()
                } else {
                    format!("  {}", self.paint.wrong(&format!("[{}]", deviations.join(", "))))
                };
                writeln!(out, "{place}  {standing}{text}{deviations}{failure}")
            }
        }
    }
}

fn summary(frame: &Frame, row: &Row<'_>) -> String {
    let name = escape(&frame.message_type.to_text(), Lines::Show);
    if frame.message_type == MessageType::ACKNOWLEDGE {
        let sequence = Acknowledge::parse(&frame.payload).map(|it| it.value.sequence_number);
        return sequence.map_or(name.clone(), |sequence| format!("{name} of {sequence}"));
    }
    let payload = row.verdict.payload().unwrap_or(&frame.payload);
    let sealed = match row.verdict.seal {
        Seal::Clear => "",
        Seal::Opened(_) => " (decrypted)",
        Seal::Closed(_) => " (encrypted)",
    };
    let masked = if row.masked > 0 { " (masked)" } else { "" };
    let content = match decoded(row.verdict) {
        Some(value) => escape(&value.to_string(), Lines::Show),
        None if frame.payload_type == PayloadType::FLAG => {
            let flag = FlagValue::parse(payload).ok().and_then(FlagValue::name);
            flag.unwrap_or_default().to_owned()
        }
        None => quote(payload),
    };
    if !frame.message_type.is_stream() {
        return format!("{name}  {}", shorten(&content));
    }
    let typed = (frame.payload_type == PayloadType::OUTPUT && row.verdict.side == Side::Client).then_some("input");
    let kind =
        typed.or(frame.payload_type.name()).map_or_else(|| format!("type {}", frame.payload_type.0), ToOwned::to_owned);
    let (sequence, length) = (frame.sequence_number, payload.len());
    format!("#{sequence} {kind}{sealed}{masked}  {length} bytes  {}", shorten(&content))
}

/// Bytes as text, all that is none as escapes.
fn quote(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.get(..bytes.len().min(4 * MAX_SHOWN)).unwrap_or(bytes).utf8_chunks() {
        text.push_str(&escape(chunk.valid(), Lines::Show));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    format!("\"{text}\"")
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or(text)),
        None => text.to_owned(),
    }
}
