//! One direction of a WebSocket: bytes -> messages (RFC 6455, RFC 7692).

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress};
use jiff::Timestamp;
use warden_protocol::channel::Opcode;
use warden_protocol::frame::{HEADER_LENGTH, MAX_MESSAGE_LENGTH};

use super::Damage;

/// What the decoder finds.
#[derive(Debug, PartialEq)]
pub(super) enum Decoded {
    /// A whole message.
    Message {
        /// When its last byte came.
        at: Timestamp,
        /// Where its first byte was.
        offset: u64,
        opcode: Opcode,
        bytes: Bytes,
    },
    /// Something is wrong at this offset.
    Damage(u64, Damage),
}

/// Takes the bytes of one direction.
#[derive(Debug)]
pub(super) struct Decoder {
    from_client: bool,
    header: Vec<u8>,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message that is being put together: its first frame's opcode, whether it is compressed, its place.
    message: Option<(Option<Opcode>, bool, u64)>,
    bytes: Vec<u8>,
    is_long: bool,
    inflate: Option<Inflate>,
    /// Whether bytes were lost, so that the next frame has to be found.
    lost: bool,
}

#[derive(Debug)]
struct Frame {
    left: u64,
    mask: Option<[u8; 4]>,
    at: usize,
    fin: bool,
    is_control: bool,
}

#[derive(Debug)]
struct Inflate {
    state: Decompress,
    /// Whether each message starts afresh.
    resets: bool,
}

type Sink<'s> = &'s mut dyn FnMut(Decoded);

impl Decoder {
    pub(super) fn new(from_client: bool) -> Self {
        Self {
            from_client,
            header: Vec::new(),
            frame: None,
            message: None,
            bytes: Vec::new(),
            is_long: false,
            inflate: None,
            lost: false,
        }
    }

    /// Takes up permessage-deflate, as the response to the upgrade says.
    pub(super) fn inflate(&mut self, extensions: &str) {
        let resets = if self.from_client { "client_no_context_takeover" } else { "server_no_context_takeover" };
        if extensions.contains("permessage-deflate") {
            let resets = extensions.contains(resets);
            self.inflate = Some(Inflate { state: Decompress::new(false), resets });
        }
    }

    /// Bytes are missing here: the next frame is searched at the starts of what is fed.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.header.clear();
        self.frame = None;
        self.message = None;
        self.bytes.clear();
    }

    /// Whether bytes can be the start of a frame of this direction.
    pub(super) fn is_start(&self, bytes: &[u8]) -> bool {
        let (Some(&[first, second]), Some(length)) = (bytes.first_chunk(), header_length(bytes)) else { return false };
        let is_masked = second & 0x80 != 0;
        let masked_right = is_masked == self.from_client;
        let Some(payload) = bytes.get(length..) else { return false };
        let mask: [u8; 4] = match length.checked_sub(4).and_then(|at| bytes.get(at..length)) {
            Some(mask) if is_masked => mask.try_into().unwrap_or_default(),
            _ => [0; 4],
        };
        let start: Vec<u8> = payload.iter().zip(mask).take(4).map(|(byte, mask)| byte ^ mask).collect();
        let plausible = match first {
            0x81 => start.first() == Some(&b'{'),
            0x82 => start == HEADER_LENGTH.to_be_bytes(),
            0x88..=0x8a => second & 0x7f <= 125,
            // Compressed, which cannot be looked into.
            0xc1 | 0xc2 => self.inflate.is_some(),
            _ => false,
        };
        masked_right && plausible
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, at: Timestamp, offset: u64, bytes: &[u8], sink: Sink<'_>) {
        if self.lost {
            if !self.is_start(bytes) {
                return;
            }
            self.lost = false;
        }
        let mut rest = bytes;
        while !rest.is_empty() && !self.lost {
            rest = if self.frame.is_some() {
                self.payload(at, offset, rest, sink)
            } else {
                self.head(at, offset, rest, sink)
            };
        }
    }

    /// Reads a header as far as there is one.
    fn head<'a>(&mut self, at: Timestamp, offset: u64, bytes: &'a [u8], sink: Sink<'_>) -> &'a [u8] {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            self.header.push(byte);
            rest = after;
            if header_length(&self.header) == Some(self.header.len()) {
                let header = std::mem::take(&mut self.header);
                self.begin(at, offset, &header, sink);
                break;
            }
        }
        rest
    }

    fn begin(&mut self, at: Timestamp, offset: u64, header: &[u8], sink: Sink<'_>) {
        let Some(&[first, second]) = header.first_chunk() else { return };
        let (opcode, fin, is_masked) = (first & 0x0f, first & 0x80 != 0, second & 0x80 != 0);
        let length = header.get(2..).unwrap_or_default();
        let left = match second & 0x7f {
            126 => length.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes).into()),
            127 => length.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)),
            short => short.into(),
        };
        let mask = is_masked.then(|| header.last_chunk().copied().unwrap_or_default());
        let is_control = opcode >= 8;
        let compressed = first & 0x40 != 0;
        let wrong = match opcode {
            _ if first & 0x30 != 0 => Some("reserved bits"),
            _ if compressed && (self.inflate.is_none() || is_control || opcode == 0) => {
                Some("compressed, which was not agreed on")
            }
            3..=7 | 11..=15 => Some("unknown opcode"),
            _ if is_control && (!fin || left > 125) => Some("a long or split control frame"),
            _ if is_masked != self.from_client => Some("masked by the wrong end"),
            _ => None,
        };
        if let Some(what) = wrong {
            sink(Decoded::Damage(offset, Damage::WebSocket(what)));
            return self.lose();
        }
        if !is_control {
            match (opcode, &self.message) {
                (0, None) => {
                    sink(Decoded::Damage(offset, Damage::WebSocket("the rest of a message without its start")));
                    self.message = Some((None, false, offset));
                }
                (0, Some(_)) => {}
                (_, before) => {
                    if before.is_some() {
                        sink(Decoded::Damage(offset, Damage::WebSocket("a message without its end")));
                        self.bytes.clear();
                    }
                    let opcode = if opcode == 1 { Opcode::Text } else { Opcode::Binary };
                    self.message = Some((Some(opcode), compressed, offset));
                }
            }
        }
        self.frame = Some(Frame { left, mask, at: 0, fin, is_control });
        if left == 0 {
            self.frame_ends(at, sink);
        }
    }

    fn payload<'a>(&mut self, at: Timestamp, offset: u64, bytes: &'a [u8], sink: Sink<'_>) -> &'a [u8] {
        let Some(frame) = &mut self.frame else { return bytes };
        let taken = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
        let (inside, rest) = bytes.split_at(taken);
        frame.left -= inside.len() as u64;
        if !frame.is_control {
            if self.bytes.len() + inside.len() > MAX_MESSAGE_LENGTH {
                if !std::mem::replace(&mut self.is_long, true) {
                    sink(Decoded::Damage(offset, Damage::LongRecord { limit: MAX_MESSAGE_LENGTH }));
                }
                self.bytes = Vec::new();
            } else if !self.is_long {
                match frame.mask {
                    None => self.bytes.extend_from_slice(inside),
                    Some(mask) => {
                        let mask = mask.into_iter().cycle().skip(frame.at % 4);
                        self.bytes.extend(inside.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
                    }
                }
            }
        }
        frame.at = frame.at.wrapping_add(inside.len());
        if frame.left == 0 {
            self.frame_ends(at, sink);
        }
        rest
    }

    fn frame_ends(&mut self, at: Timestamp, sink: Sink<'_>) {
        let Some(frame) = self.frame.take() else { return };
        if frame.is_control || !frame.fin {
            return;
        }
        let (message, bytes) = (self.message.take(), std::mem::take(&mut self.bytes));
        let is_long = std::mem::take(&mut self.is_long);
        let Some((Some(opcode), compressed, offset)) = message.filter(|_| !is_long) else { return };
        let bytes = match &mut self.inflate {
            Some(inflate) if compressed => match inflate.message(&bytes) {
                Ok(bytes) => bytes,
                Err(what) => return sink(Decoded::Damage(offset, Damage::WebSocket(what))),
            },
            _ => bytes,
        };
        sink(Decoded::Message { at, offset, opcode, bytes: Bytes::from(bytes) });
    }
}

impl Inflate {
    /// Decompresses one message, whose last four bytes the sender left out (RFC 7692, 7.2.2).
    fn message(&mut self, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        if self.resets {
            self.state.reset(false);
        }
        let mut out = Vec::new();
        for part in [bytes, &[0, 0, 0xff, 0xff]] {
            let mut rest = part;
            loop {
                out.reserve(4096);
                let before = (self.state.total_in(), out.len());
                self.state
                    .decompress_vec(rest, &mut out, FlushDecompress::Sync)
                    .map_err(|_| "compression that does not decompress")?;
                let used = usize::try_from(self.state.total_in() - before.0).unwrap_or(usize::MAX);
                rest = rest.get(used..).unwrap_or_default();
                if out.len() > MAX_MESSAGE_LENGTH {
                    return Err("a message that decompresses beyond the limit");
                }
                if rest.is_empty() && out.len() < out.capacity() || (used, out.len()) == (0, before.1) {
                    break;
                }
            }
        }
        Ok(out)
    }
}

/// Length of the header that starts here, as soon as it is known.
fn header_length(bytes: &[u8]) -> Option<usize> {
    let &[_, second] = bytes.first_chunk()?;
    let length = match second & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    Some(length + if second & 0x80 == 0 { 0 } else { 4 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: [u8; 4] = [0x9a, 0, 0x31, 0xff];

    /// A frame as RFC 6455, 5.2, lays it out.
    fn frame(opcode: u8, fin: bool, masked: bool, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![opcode | if fin { 0x80 } else { 0 }];
        let mask = if masked { 0x80 } else { 0 };
        match payload.len() {
            length @ 0..126 => frame.push(mask | u8::try_from(length).unwrap()),
            length @ 126..65_536 => {
                frame.push(mask | 0x7e);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(mask | 0x7f);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend(MASK);
            frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            frame.extend_from_slice(payload);
        }
        frame
    }

    fn decode(from_client: bool, bytes: &[u8], pieces: &[usize]) -> Vec<Result<Bytes, Damage>> {
        let mut all = Vec::new();
        let mut decoder = Decoder::new(from_client);
        let (mut rest, mut sizes) = (bytes, pieces.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
            rest = after;
            decoder.feed(Timestamp::UNIX_EPOCH, 0, piece, &mut |decoded| {
                all.push(match decoded {
                    Decoded::Message { bytes, .. } => Ok(bytes),
                    Decoded::Damage(_, damage) => Err(damage),
                });
            });
        }
        all
    }

    #[test]
    fn what_breaks_the_protocol_is_said_and_the_next_frame_found() {
        let good = frame(2, true, false, b"\0\0\0\x74rest");
        let table: &[(&str, Vec<u8>)] = &[
            ("reserved bits", vec![0xa2, 1, 0]),
            ("compressed", vec![0xc2, 1, 0]),
            ("opcode", frame(3, true, false, b"x")),
            ("long ping", frame(9, true, false, &[0; 126])),
            ("split ping", frame(9, false, false, b"")),
            ("masked by the server", frame(2, true, true, b"x")),
        ];
        for (name, bad) in table {
            let mut decoder = Decoder::new(false);
            let mut all = Vec::new();
            for bytes in [bad, &good, &good] {
                decoder.feed(Timestamp::UNIX_EPOCH, 7, bytes, &mut |decoded| all.push(decoded));
            }
            assert!(matches!(all.first(), Some(Decoded::Damage(7, Damage::WebSocket(_)))), "{name}");
            assert_eq!(all.len(), 3, "{name}: {all:?}");
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_left_out_alone() {
        let long = frame(2, true, false, &vec![0; MAX_MESSAGE_LENGTH + 1]);
        let all = decode(false, &[long, frame(1, true, false, b"{}")].concat(), &[100_000]);
        assert_eq!(all, [Err(Damage::LongRecord { limit: MAX_MESSAGE_LENGTH }), Ok(Bytes::from_static(b"{}"))]);
    }

    proptest! {
        /// Any fragmentation, with control frames in between, cut into any pieces, gives the same messages.
        #[test]
        fn fragments_and_pieces_do_not_matter(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            fragment in 1_usize..200,
            pieces in prop::collection::vec(1_usize..90, 1..20),
            from_client in any::<bool>(),
        ) {
            let mut wire = Vec::new();
            for message in &messages {
                let parts: Vec<&[u8]> = if message.is_empty() { vec![&[]] } else { message.chunks(fragment).collect() };
                for (n, part) in parts.iter().enumerate() {
                    wire.extend(frame(if n == 0 { 2 } else { 0 }, n + 1 == parts.len(), from_client, part));
                    wire.extend(frame(9, true, from_client, b"keepalive"));
                }
            }
            wire.extend(frame(8, true, from_client, b""));
            let decoded = decode(from_client, &wire, &pieces);
            let expected: Vec<Result<Bytes, Damage>> = messages.into_iter().map(|message| Ok(Bytes::from(message))).collect();
            prop_assert_eq!(decoded, expected);
        }
    }
}
