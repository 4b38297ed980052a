use bytes::Bytes;

/// Bytes of an smux header.
pub const HEADER_LENGTH: usize = 8;

/// The byte at offset 1 of an smux header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command(pub u8);

impl Command {
    /// Opens a stream.
    pub const SYN: Self = Self(0);
    /// Closes one direction of a stream.
    pub const FIN: Self = Self(1);
    /// Data of a stream.
    pub const PSH: Self = Self(2);
    /// Keeps the mux alive; stream 0.
    pub const NOP: Self = Self(3);
}

/// An smux header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// 1.
    pub version: u8,
    /// What the frame does.
    pub command: Command,
    /// Bytes of data behind the header.
    pub length: u16,
    /// The stream.
    pub stream_id: u32,
}

impl FrameHeader {
    /// From the wire.
    pub fn decode(header: [u8; HEADER_LENGTH]) -> Self {
        let [version, command, l0, l1, i0, i1, i2, i3] = header;
        Self {
            version,
            command: Command(command),
            length: u16::from_le_bytes([l0, l1]),
            stream_id: u32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    /// To the wire.
    pub fn encode(self) -> [u8; HEADER_LENGTH] {
        let [l0, l1] = self.length.to_le_bytes();
        let [i0, i1, i2, i3] = self.stream_id.to_le_bytes();
        [self.version, self.command.0, l0, l1, i0, i1, i2, i3]
    }

    /// Whether version 1 knows such a frame: upstream drops the session otherwise. Only PSH has data.
    pub fn is_valid(self) -> bool {
        match self.command {
            _ if self.version != 1 => false,
            Command::PSH => true,
            Command::SYN | Command::FIN | Command::NOP => self.length == 0,
            _ => false,
        }
    }

    /// Whether bytes that start like this are a header rather than the middle of somebody's data.
    fn is_plausible(self, is_known: impl Fn(u32) -> bool) -> bool {
        self.is_valid()
            && match self.command {
                Command::SYN => self.stream_id % 2 == 1 && !is_known(self.stream_id),
                Command::NOP => self.stream_id == 0,
                _ => is_known(self.stream_id),
            }
    }
}

/// A part of the mux stream.
#[derive(Debug)]
pub(super) enum Piece {
    Header(FrameHeader),
    Data {
        stream_id: u32,
        bytes: Bytes,
    },
    /// A header that is none, and its bytes.
    Lost {
        offset: u64,
        header: [u8; HEADER_LENGTH],
    },
    Unparsed(Bytes),
}

/// Takes the mux stream of one side apart.
#[derive(Debug, Default)]
pub(super) struct Parser {
    header: [u8; HEADER_LENGTH],
    held: usize,
    stream_id: u32,
    /// Bytes of the current PSH that are still to come.
    remaining: usize,
    offset: u64,
    lost: bool,
}

impl Parser {
    /// Messages are missing: what follows is followed again only from a header at a message's start.
    ///
    /// Returns the offset if the stream was followed so far.
    pub(super) fn lose(&mut self) -> Option<u64> {
        let was_followed = !self.lost;
        (self.held, self.remaining, self.lost) = (0, 0, true);
        was_followed.then_some(self.offset)
    }

    /// Looks at the start of a message; the offset if the stream is followed again from here.
    pub(super) fn resume(&mut self, message: &[u8], is_known: impl Fn(u32) -> bool) -> Option<u64> {
        let (header, _) = message.split_first_chunk()?;
        if !self.lost || !FrameHeader::decode(*header).is_plausible(is_known) {
            return None;
        }
        self.lost = false;
        Some(self.offset)
    }

    /// Takes the next piece off the front of `bytes`.
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Option<Piece> {
        if bytes.is_empty() {
            return None;
        }
        if self.lost {
            return Some(Piece::Unparsed(self.take(bytes, usize::MAX)));
        }
        if self.remaining > 0 {
            let bytes = self.take(bytes, self.remaining);
            self.remaining -= bytes.len();
            return Some(Piece::Data { stream_id: self.stream_id, bytes });
        }
        let part = self.take(bytes, HEADER_LENGTH - self.held);
        for (to, from) in self.header.iter_mut().skip(self.held).zip(&part) {
            *to = *from;
        }
        self.held += part.len();
        (self.held == HEADER_LENGTH).then(|| self.finish_header())
    }

    fn finish_header(&mut self) -> Piece {
        let header = FrameHeader::decode(self.header);
        self.held = 0;
        if !header.is_valid() {
            self.lost = true;
            return Piece::Lost { offset: self.offset - HEADER_LENGTH as u64, header: self.header };
        }
        (self.stream_id, self.remaining) = (header.stream_id, header.length.into());
        Piece::Header(header)
    }

    fn take(&mut self, bytes: &mut Bytes, most: usize) -> Bytes {
        let taken = bytes.split_to(most.min(bytes.len()));
        self.offset += taken.len() as u64;
        taken
    }
}
