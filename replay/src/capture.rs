//! Captures: files that hold the WebSocket messages of data channels.
//!
//! [`read`] is the one way in. It recognises the format from the content, holds one record at a time and says what is
//! damaged or missing instead of failing. Messages come in capture order; [`crate::reconstruct`] makes sessions of them.
//!
//! | format | module | one record is |
//! |---|---|---|
//! | frames JSON Lines | [`frames`] | a line `{"t":epoch seconds,"dir":"c2s\|s2c\|a2s\|s2a","opcode":1\|2,"b64":"…"}` |
//! | HAR of a browser | [`har`] | an element of `_webSocketMessages` |
//! | pcap, pcapng | [`packet`] | a packet |

mod damage;
mod frames;
mod har;
mod http;
mod packet;
mod secrets;
mod tls;
mod url;
mod walk;
mod websocket;

use std::io;

#[allow(dead_code, unused_imports)] // Until `record` and `verify` use all of it.
pub(crate) mod own;

use bytes::Bytes;
use jiff::Timestamp;
use warden_protocol::channel::Opcode;
use warden_protocol::wire::Direction;
use warden_session::kind::{self, CaptureFormat, HEAD_LIMIT};

pub(crate) use damage::Damage;
pub(crate) use secrets::Secrets;

use crate::input::Input;
use packet::PacketReader;

/// One WebSocket message as a capture holds it, in capture order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Time of the capture's clock.
    pub(crate) at: Timestamp,
    /// Which leg, which way.
    pub(crate) direction: Direction,
    /// Text or binary.
    pub(crate) opcode: Opcode,
    /// The message, unmasked and put together from its fragments.
    pub(crate) bytes: Bytes,
}

/// One thing found in a capture, in capture order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// What is known of a socket, before its messages. Formats that do not name sockets have none.
    Socket {
        /// Its number, which messages repeat.
        socket: u32,
        /// What is known of it.
        named: Socket,
    },
    /// A message.
    Message {
        /// The socket that carried it; 0 where the format does not say.
        socket: u32,
        /// Offset of its record in the (decompressed) capture.
        offset: u64,
        /// The message.
        message: Message,
    },
    /// Something is damaged or missing here. What is whole behind it still comes.
    Damage {
        /// Offset in the (decompressed) capture.
        offset: u64,
        /// What it is.
        damage: Damage,
    },
}

/// What the upgrade request of a socket, or the header of a capture, says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Socket {
    /// The session: the path `/v1/data-channel/SESSION-ID` of the upgrade request.
    pub(crate) session: Option<String>,
    /// The host: `ssmmessages.REGION.amazonaws.com`.
    pub(crate) host: Option<String>,
}

/// What a capture says of itself as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its format.
    pub(crate) format: CaptureFormat,
    /// Whether its records are those that were written.
    pub(crate) chain: Chain,
}

/// State of the chain of hashes through the records of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// The format has none.
    Absent,
    /// Each record's hash follows from those before.
    Whole,
    /// It breaks at this record, counted from 0.
    Broken {
        /// Number of the first record that does not follow from those before.
        record: u64,
    },
}

/// Where what is found goes. An error ends the reading and is handed on.
pub(crate) type Sink<'a> = dyn FnMut(Found) -> io::Result<()> + 'a;

/// Reads a capture from its beginning; memory is bounded whatever is in it.
///
/// # Errors
/// What the file system or the sink says, and that the input is no capture.
pub(crate) fn read(input: &Input, secrets: &Secrets, sink: &mut Sink<'_>) -> io::Result<Facts> {
    let format = recognise(input)?;
    let mut reader = Reader::new(format, input, secrets)?;
    let mut facts = Facts { format, chain: Chain::Absent };
    let sink = &mut |found| {
        facts.note(&found);
        sink(found)
    };
    let mut outcome = Ok(());
    let mut length = 0_u64;
    let deviation = input.bytes(&mut |bytes| {
        length += bytes.len() as u64;
        reader.feed(bytes, &mut |found| pass(&mut outcome, sink, found));
        outcome.is_ok()
    })?;
    reader.finish(&mut |found| pass(&mut outcome, sink, found));
    if let Some(deviation) = deviation {
        pass(&mut outcome, sink, Found::Damage { offset: length, damage: Damage::Container(deviation) });
    }
    outcome.map(|()| facts)
}

impl Facts {
    fn note(&mut self, found: &Found) {
        let broken = matches!(self.chain, Chain::Broken { .. });
        if let (Found::Damage { damage: Damage::BrokenChain { record }, .. }, false) = (found, broken) {
            self.chain = Chain::Broken { record: *record };
        }
    }
}

fn pass(outcome: &mut io::Result<()>, sink: &mut Sink<'_>, found: Found) {
    if outcome.is_ok() {
        *outcome = sink(found);
    }
}

/// The format of a capture, from what it begins with.
fn recognise(input: &Input) -> io::Result<CaptureFormat> {
    let (head, ended) = input.head(HEAD_LIMIT)?;
    kind::capture_format(&head, ended)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{}: not a capture", input.path)))
}

/// The push machine of one format: bytes in pieces of any size, what is found out.
#[derive(Debug)]
enum Reader {
    Frames(frames::FramesReader),
    Har(Box<har::HarReader>),
    Packets(Box<packet::PacketReader>),
}

impl Reader {
    fn new(format: CaptureFormat, input: &Input, secrets: &Secrets) -> io::Result<Self> {
        Ok(match format {
            CaptureFormat::Frames => Self::Frames(frames::FramesReader::default()),
            CaptureFormat::Har => {
                let mut reader = har::HarReader::urls();
                input.bytes(&mut |bytes| {
                    reader.feed(bytes, &mut |_| {});
                    true
                })?;
                Self::Har(Box::new(har::HarReader::messages(reader.into_urls())))
            }
            CaptureFormat::Pcap => Self::Packets(Box::new(PacketReader::pcap(PacketReader::keylog(secrets)))),
            CaptureFormat::PcapNg => {
                let mut keylog = PacketReader::keylog(secrets);
                let mut reader = PacketReader::pcapng(keylog.clone());
                input.bytes(&mut |bytes| {
                    reader.scan_secrets(bytes, &mut keylog);
                    true
                })?;
                Self::Packets(Box::new(PacketReader::pcapng(keylog)))
            }
        })
    }

    fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Found)) {
        match self {
            Self::Frames(reader) => reader.feed(bytes, sink),
            Self::Har(reader) => reader.feed(bytes, sink),
            Self::Packets(reader) => reader.feed(bytes, sink),
        }
    }

    fn finish(self, sink: &mut dyn FnMut(Found)) {
        match self {
            Self::Frames(reader) => reader.finish(sink),
            Self::Har(reader) => reader.finish(sink),
            Self::Packets(reader) => reader.finish(sink),
        }
    }
}
