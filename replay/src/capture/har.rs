//! HAR 1.2 with `_webSocketMessages`, as Chrome and Firefox export it from their developer tools.
//!
//! `log.entries[]` holds `request.url` and `_webSocketMessages[]` of `{"type":"send|receive","time":…,"opcode":1|2,
//! "data":"…"}`. Times are seconds since 1970 with a fraction; milliseconds, microseconds and RFC 3339 are taken as well.
//! Binary data is base64; a string of characters up to U+00FF stands for its bytes where a browser wrote that.
//!
//! The JSON is walked, not parsed: only one message is held. Because Chrome writes the messages before the URL, the URLs
//! are collected in a pass of their own ([`HarReader::urls`]). Where the JSON is damaged, reading goes on at the next
//! message.

use std::borrow::Cow;

use base64::Engine as _;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use warden_protocol::channel::Opcode;
use warden_protocol::wire::Direction;

use super::frames::{BASE64, LINE_LIMIT, seconds};
use super::url::data_channel;
use super::walk::{Step, Walk};
use super::{Damage, Found, Message, Socket};

/// Most entries whose URLs are kept.
const MAX_ENTRIES: usize = 1 << 16;
/// Longest URL that is read.
const MAX_URL: usize = 8192;

/// What the sockets of a HAR are, by entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Urls {
    entries: Vec<Option<Socket>>,
}

/// Reads a HAR; holds one message.
#[derive(Debug)]
pub(super) struct HarReader {
    walk: Walk,
    urls: Urls,
    /// Whether only URLs are wanted.
    only_urls: bool,
    /// Entries begun.
    entries: u32,
    /// The last entry whose socket was told.
    told: Option<u32>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    time: Value,
    opcode: i64,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl HarReader {
    /// The first pass.
    pub(super) fn urls() -> Self {
        Self { walk: Walk::new(0), urls: Urls::default(), only_urls: true, entries: 0, told: None }
    }

    /// The second pass, with what the first came to.
    pub(super) fn messages(urls: Urls) -> Self {
        Self { walk: Walk::new(LINE_LIMIT), urls, only_urls: false, entries: 0, told: None }
    }

    /// What the first pass came to.
    pub(super) fn into_urls(self) -> Urls {
        self.urls
    }

    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Found)) {
        let Self { walk, urls, only_urls, entries, told } = self;
        walk.feed(bytes, &mut |step| match step {
            Step::Entry => *entries += 1,
            Step::Url(url) if *only_urls => urls.note(*entries, url),
            Step::Url(_) => {}
            _ if *only_urls => {}
            Step::Message { offset, bytes } => match urls.judge(*entries) {
                Judged::Other => {}
                Judged::Ours(named) => {
                    if told.replace(*entries) != Some(*entries) {
                        sink(Found::Socket { socket: *entries, named });
                    }
                    read(*entries, offset, bytes, sink);
                }
            },
            Step::Long { offset } => sink(Found::Damage { offset, damage: Damage::LongRecord { limit: LINE_LIMIT } }),
            Step::Broken { offset } => sink(Found::Damage { offset, damage: Damage::BadRecord("no JSON") }),
        });
    }

    pub(super) fn finish(self, sink: &mut dyn FnMut(Found)) {
        if let Some(offset) = self.walk.cut() {
            sink(Found::Damage { offset, damage: Damage::Cut });
        }
    }
}

enum Judged {
    Ours(Socket),
    Other,
}

impl Urls {
    fn note(&mut self, entry: u32, url: &[u8]) {
        let at = entry.saturating_sub(1) as usize;
        if at < MAX_ENTRIES && url.len() <= MAX_URL {
            if at >= self.entries.len() {
                self.entries.resize(at + 1, None);
            }
            let url: Option<String> = serde_json::from_slice(url).ok();
            if let (Some(entry), Some(url)) = (self.entries.get_mut(at), url) {
                *entry = data_channel(&url);
            }
        }
    }

    /// A browser keeps other sockets in the same file. Where none is known to be a data channel, all may be.
    fn judge(&self, entry: u32) -> Judged {
        match self.entries.get(entry.saturating_sub(1) as usize) {
            Some(Some(named)) => Judged::Ours(named.clone()),
            _ if self.entries.iter().all(Option::is_none) => Judged::Ours(Socket::default()),
            _ => Judged::Other,
        }
    }
}

fn read(socket: u32, offset: u64, bytes: &[u8], sink: &mut dyn FnMut(Found)) {
    match message(bytes) {
        Ok(Some(message)) => sink(Found::Message { socket, offset, masked: 0, message }),
        Ok(None) => {}
        Err(what) => sink(Found::Damage { offset, damage: Damage::BadRecord(what) }),
    }
}

fn message(bytes: &[u8]) -> Result<Option<Message>, &'static str> {
    let record: Record<'_> = serde_json::from_slice(bytes).map_err(|_| "no WebSocket message")?;
    let opcode = match record.opcode {
        1 => Opcode::Text,
        2 => Opcode::Binary,
        // Control frames, and what Chrome writes for a socket that failed.
        -1 | 0 | 8..=10 => return Ok(None),
        _ => return Err("unknown opcode"),
    };
    let direction = match &*record.kind {
        "send" | "sent" => Direction::ClientToService,
        "receive" | "received" => Direction::ServiceToClient,
        _ => return Err("unknown direction"),
    };
    let at = time(&record.time).ok_or("no time")?;
    let bytes = match opcode {
        Opcode::Text => record.data.into_owned().into_bytes(),
        Opcode::Binary => binary(&record.data).ok_or("bad base64")?,
    };
    Ok(Some(Message { at, direction, opcode, bytes: Bytes::from(bytes) }))
}

fn binary(data: &str) -> Option<Vec<u8>> {
    let decoded = BASE64.decode(data.as_bytes()).ok();
    decoded.or_else(|| data.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect())
}

/// A time in whichever unit its size says.
fn time(value: &Value) -> Option<Timestamp> {
    if let Some(text) = value.as_str() {
        return text.parse().ok();
    }
    let number = value.as_f64()?;
    let unit = match number {
        _ if number < 1e11 => 1.0,
        _ if number < 1e14 => 1e3,
        _ if number < 1e17 => 1e6,
        _ => 1e9,
    };
    seconds(number / unit)
}
