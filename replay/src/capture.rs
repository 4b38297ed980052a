//! Captures: files that hold the WebSocket messages of data channels.
//!
//! [`read`] is the one way in. It recognises the format from the content, holds one record at a time and says what is
//! damaged or missing instead of failing. Messages come in capture order; [`crate::reconstruct`] makes sessions of them.
//!
//! | format | module | one record is |
//! |---|---|---|
//! | `warden`'s own | [`own`], [`chained`] | a record in a chain of hashes |
//! | frames JSON Lines | [`frames`] | a line `{"t":epoch seconds,"dir":"c2s\|s2c\|a2s\|s2a","opcode":1\|2,"b64":"…"}` |
//! | HAR of a browser | [`har`] | an element of `_webSocketMessages` |
//! | pcap, pcapng | [`packet`] | a packet |

mod chained;
mod damage;
mod frames;
mod har;
mod http;
pub(crate) mod own;
mod packet;
mod secrets;
mod tls;
mod url;
mod walk;
mod websocket;

use std::io;

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
        /// How many bytes of its payload the recorder masked (no-echo input); 0 if it is as it was sent. The digest of a
        /// masked payload is that of the mask: the wire's own is withheld.
        masked: u32,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its format.
    pub(crate) format: CaptureFormat,
    /// The chain of hashes through its records; `None` if the format has none.
    pub(crate) chain: Option<own::Chain>,
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
    let mut outcome = Ok(());
    let mut length = 0_u64;
    let deviation = input.bytes(&mut |bytes| {
        length += bytes.len() as u64;
        reader.feed(bytes, &mut |found| pass(&mut outcome, sink, found));
        outcome.is_ok()
    })?;
    let chain = reader.finish(&mut |found| pass(&mut outcome, sink, found));
    if let Some(deviation) = deviation {
        pass(&mut outcome, sink, Found::Damage { offset: length, damage: Damage::Container(deviation) });
    }
    outcome.map(|()| Facts { format, chain })
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
    Packets(Box<PacketReader>),
    Own(Box<chained::ChainedReader>),
}

impl Reader {
    fn new(format: CaptureFormat, input: &Input, secrets: &Secrets) -> io::Result<Self> {
        Ok(match format {
            CaptureFormat::Own => Self::Own(Box::default()),
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
            Self::Own(reader) => reader.feed(bytes, sink),
        }
    }

    /// The capture ends here; the state of its chain.
    fn finish(self, sink: &mut dyn FnMut(Found)) -> Option<own::Chain> {
        match self {
            Self::Frames(reader) => reader.finish(sink),
            Self::Har(reader) => reader.finish(sink),
            Self::Packets(reader) => reader.finish(sink),
            Self::Own(reader) => return Some(reader.finish(sink)),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
    const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/captures/");

    /// A generator without state to speak of: xorshift.
    fn next(seed: &mut u64) -> usize {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        usize::try_from(*seed >> 33).unwrap()
    }

    fn run(mut reader: Reader, bytes: &[u8], piece: usize) -> (usize, usize) {
        let (mut messages, mut damage) = (0, 0);
        let mut sink = |found| match found {
            Found::Message { .. } => messages += 1,
            Found::Damage { .. } => damage += 1,
            Found::Socket { .. } => {}
        };
        bytes.chunks(piece).for_each(|piece| reader.feed(piece, &mut sink));
        reader.finish(&mut sink);
        (messages, damage)
    }

    fn readers() -> [fn() -> Reader; 5] {
        [
            || Reader::Frames(frames::FramesReader::default()),
            || Reader::Har(Box::new(har::HarReader::messages(har::Urls::default()))),
            || Reader::Packets(Box::new(PacketReader::pcap(tls::KeyLog::default()))),
            || Reader::Packets(Box::new(PacketReader::pcapng(tls::KeyLog::default()))),
            || Reader::Own(Box::default()),
        ]
    }

    /// Captures that are damaged in every way, and noise: nothing panics, and what is damaged is not passed over in silence.
    #[test]
    fn readers_take_any_bytes() {
        let mut samples: Vec<Vec<u8>> =
            vec![vec![0; 4096], (0..4096).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect()];
        for folder in [DATA, EXAMPLES] {
            samples
                .extend(std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()));
        }
        let mut seed = 0x5eed;
        for sample in &samples {
            for reader in readers() {
                for _ in 0..12 {
                    let mut bytes = sample.clone();
                    for _ in 0..=next(&mut seed) % 8 {
                        let (at, to) = (next(&mut seed) % bytes.len(), next(&mut seed));
                        match next(&mut seed) % 4 {
                            0 => bytes[at] = u8::try_from(to & 255).unwrap(),
                            1 => bytes[at] ^= 1 << (to % 8),
                            2 => drop(bytes.drain(at..(at + to % 40).min(bytes.len()))),
                            _ => drop(bytes.splice(at..at, std::iter::repeat_n(b'0', to % 40))),
                        }
                        if bytes.is_empty() {
                            bytes.push(0);
                        }
                    }
                    run(reader(), &bytes, 1 + next(&mut seed) % 3000);
                }
            }
        }
    }

    /// How a capture is cut into pieces does not matter.
    #[test]
    fn pieces_do_not_matter() {
        let pcap = std::fs::read(format!("{DATA}vlan-fragments.pcap")).unwrap();
        for piece in [1, 7, 100, 1 << 20] {
            let reader = Reader::Packets(Box::new(PacketReader::pcap(tls::KeyLog::default())));
            assert_eq!(run(reader, &pcap, piece), (20, 0), "{piece}");
        }
    }

    /// A damaged record header costs the packets around it, not the rest of the file.
    #[test]
    fn packets_behind_a_damaged_record_are_read() {
        let pcap = std::fs::read(format!("{DATA}raw.pcap")).unwrap();
        let mut damaged = pcap.clone();
        // The length of the sixth packet, whatever it is.
        let mut at = 24;
        for _ in 0..5 {
            at += 16 + u32::from_le_bytes(damaged[at + 8..at + 12].try_into().unwrap()) as usize;
        }
        damaged[at + 11] = 0xff;
        let reader = || Reader::Packets(Box::new(PacketReader::pcap(tls::KeyLog::default())));
        let (messages, damage) = run(reader(), &damaged, 4096);
        assert!(messages >= 15 && damage >= 1, "{messages} {damage}");
    }
}
