//! One direction of a live WebSocket, looked at while it is passed on: bytes -> messages (RFC 6455, section 5).

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::capture::own::MAX_MESSAGE;

/// A message, put together from its fragments and without masking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub(super) opcode: u8,
    /// The message; `None` if it is longer than [`MAX_MESSAGE`].
    pub(super) bytes: Option<Bytes>,
}

/// The bytes are no WebSocket that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Unreadable {
    /// A reserved bit or opcode: an extension that was not agreed on.
    #[error("a WebSocket frame begins with byte {first:#04x}, which no agreed extension explains")]
    Reserved {
        /// First byte of the frame.
        first: u8,
    },
    /// A continuation of nothing, or a new message inside another.
    #[error("WebSocket fragments do not fit together")]
    Fragments,
}

/// Takes the bytes of one direction and holds at most one message and the piece that was fed.
#[derive(Debug, Default)]
pub(super) struct Tap {
    buffer: BytesMut,
    frame: Option<Frame>,
    /// The message whose fragments are being collected.
    message: Option<Message>,
    control: Vec<u8>,
}

#[derive(Debug)]
struct Frame {
    opcode: u8,
    is_last: bool,
    left: u64,
    mask: [u8; 4],
    /// Payload bytes read.
    at: usize,
}

#[derive(Debug)]
struct Message {
    opcode: u8,
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Tap {
    /// Takes the next bytes; whole messages go to the sink.
    ///
    /// # Errors
    /// When the bytes are no WebSocket; nothing behind that can be read.
    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Seen)) -> Result<(), Unreadable> {
        self.buffer.extend_from_slice(bytes);
        loop {
            if self.frame.is_none() && !self.begin()? {
                return Ok(());
            }
            let Some(frame) = &mut self.frame else { return Ok(()) };
            let length = usize::try_from(frame.left).unwrap_or(usize::MAX).min(self.buffer.len());
            let mut piece = self.buffer.split_to(length);
            for byte in piece.iter_mut() {
                *byte ^= frame.mask[frame.at % 4];
                frame.at = frame.at.wrapping_add(1);
            }
            frame.left -= length as u64;
            if frame.opcode >= 8 {
                self.control.extend_from_slice(&piece);
            } else if let Some(message) = &mut self.message {
                message.is_too_long |= message.bytes.len() + piece.len() > MAX_MESSAGE;
                if message.is_too_long {
                    message.bytes = Vec::new();
                } else {
                    message.bytes.extend_from_slice(&piece);
                }
            }
            if frame.left > 0 {
                return Ok(());
            }
            self.end(sink);
        }
    }

    /// Reads a frame's header; whether there is a whole one.
    fn begin(&mut self) -> Result<bool, Unreadable> {
        let Some(&[first, second]) = self.buffer.first_chunk::<2>() else { return Ok(false) };
        let opcode = first & 0x0f;
        if first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) || (opcode >= 8 && second & 0x7f > 125) {
            return Err(Unreadable::Reserved { first });
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_length = if second & 0x80 == 0 { 0 } else { 4 };
        if self.buffer.len() < 2 + extended + mask_length {
            return Ok(false);
        }
        self.buffer.advance(2);
        let left = match extended {
            2 => self.buffer.get_u16().into(),
            8 => self.buffer.get_u64(),
            _ => u64::from(second & 0x7f),
        };
        let mut mask = [0; 4];
        self.buffer.copy_to_slice(&mut mask[..mask_length]);
        match (opcode, &self.message) {
            (0, None) | (1 | 2, Some(_)) => return Err(Unreadable::Fragments),
            (1 | 2, None) => self.message = Some(Message { opcode, bytes: Vec::new(), is_too_long: false }),
            _ => {}
        }
        self.frame = Some(Frame { opcode, is_last: first & 0x80 != 0, left, mask, at: 0 });
        Ok(true)
    }

    fn end(&mut self, sink: &mut dyn FnMut(Seen)) {
        let Some(frame) = self.frame.take() else { return };
        if frame.opcode >= 8 {
            let bytes = Some(std::mem::take(&mut self.control).into());
            sink(Seen { opcode: frame.opcode, bytes });
        } else if frame.is_last
            && let Some(message) = self.message.take()
        {
            let bytes = (!message.is_too_long).then(|| message.bytes.into());
            sink(Seen { opcode: message.opcode, bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::decimal_bitwise_operands, reason = "lengths as RFC 6455 names them")]

    use super::*;

    /// A frame with this first byte.
    fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        let bit = if mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            0..=125 => out.push(bit | u8::try_from(payload.len()).unwrap()),
            126..=0xffff => {
                out.push(bit | 126);
                out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
            length => {
                out.push(bit | 127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend(mask.into_iter().flatten());
        let mask = mask.unwrap_or_default();
        out.extend(payload.iter().enumerate().map(|(n, byte)| byte ^ mask[n % 4]));
        out
    }

    #[test]
    fn messages_are_seen_however_they_are_cut() {
        let long = vec![7; 70_000];
        let wire = [
            frame(0x81, Some([1, 2, 3, 4]), b"{\"TokenValue\":1}"),
            frame(0x02, None, b"first "),
            frame(0x89, None, b"keepalive"),
            frame(0x00, None, b"and "),
            frame(0x80, Some([9, 0, 0, 9]), b"last"),
            frame(0x82, None, b""),
            frame(0x82, Some([5, 6, 7, 8]), &long),
            frame(0x88, None, &[3, 232]),
        ]
        .concat();
        let expected: [(u8, &[u8]); 6] = [
            (1, b"{\"TokenValue\":1}"),
            (9, b"keepalive"),
            (2, b"first and last"),
            (2, b""),
            (2, &long),
            (8, &[3, 232]),
        ];
        for piece in [1, 3, 1000, usize::MAX] {
            let mut tap = Tap::default();
            let mut seen = Vec::new();
            for bytes in wire.chunks(piece) {
                tap.feed(bytes, &mut |it| seen.push((it.opcode, it.bytes.unwrap()))).unwrap();
            }
            let seen: Vec<_> = seen.iter().map(|(opcode, bytes)| (*opcode, &bytes[..])).collect();
            assert_eq!(seen, expected, "pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_websocket_is_said() {
        let feed = |wire: &[u8]| Tap::default().feed(wire, &mut |_| {});
        assert_eq!(feed(&frame(0xc2, None, b"deflated")), Err(Unreadable::Reserved { first: 0xc2 }));
        assert_eq!(feed(&frame(0x83, None, b"")), Err(Unreadable::Reserved { first: 0x83 }));
        assert_eq!(feed(&frame(0x80, None, b"")), Err(Unreadable::Fragments));
        assert_eq!(feed(&[frame(0x01, None, b"a"), frame(0x82, None, b"b")].concat()), Err(Unreadable::Fragments));
    }

    #[test]
    fn a_message_beyond_the_limit_is_counted_not_kept() {
        let mut tap = Tap::default();
        let mut seen = Vec::new();
        tap.feed(&frame(0x82, None, &vec![0; MAX_MESSAGE + 1]), &mut |it| seen.push(it)).unwrap();
        tap.feed(&frame(0x82, None, b"next"), &mut |it| seen.push(it)).unwrap();
        assert_eq!(seen[0], Seen { opcode: 2, bytes: None });
        assert_eq!(seen[1].bytes.as_deref(), Some(&b"next"[..]));
        assert!(tap.buffer.capacity() < 2 * MAX_MESSAGE + 100);
    }
}
