//! Gzip members (RFC 1952) around deflate.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{CHUNK, Pay};
use crate::timeline::Deviation;

/// A decoder of members in a row.
pub(super) struct Gzip {
    place: Place,
    inflate: Decompress,
    crc: Crc,
    chunk: Vec<u8>,
    members: u64,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Fixed part of the header: this many bytes read, and the flags.
    Fixed(u8, u8),
    /// First byte of the extra field's length, second byte, rest of the field.
    ExtraLow(u8),
    ExtraHigh(u8, u8),
    Extra(u8, u16),
    /// File name and comment end with a zero.
    Name(u8),
    Comment(u8),
    /// Checksum of the header: bytes to come.
    HeaderCrc(u8),
    Deflate,
    /// Trailer: bytes read and their value.
    Trailer(u8, u64),
    Padding,
}

const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const HEADER_CRC: u8 = 2;
const START: Place = Place::Fixed(0, 0);

impl Default for Gzip {
    fn default() -> Self {
        Self { place: START, inflate: Decompress::new(false), crc: Crc::new(), chunk: vec![0; CHUNK], members: 0 }
    }
}

impl Gzip {
    /// Whether the input may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.members > 0 && matches!(self.place, START | Place::Padding)
    }

    pub(super) fn feed(&mut self, bytes: &[u8], pay: Pay<'_>) -> Result<(), Deviation> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.place == Place::Deflate {
                let read = self.deflate(rest, pay)?;
                rest = rest.get(read..).unwrap_or_default();
            } else {
                self.place = self.header(byte).ok_or(Deviation::BadCompression)?;
                rest = after;
            }
        }
        Ok(())
    }

    /// Decompresses until input or member ends; how many bytes were read.
    fn deflate(&mut self, bytes: &[u8], pay: Pay<'_>) -> Result<usize, Deviation> {
        let mut read = 0;
        loop {
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let rest = bytes.get(read..).unwrap_or_default();
            let status = self.inflate.decompress(rest, &mut self.chunk, FlushDecompress::None);
            let taken = usize::try_from(self.inflate.total_in() - before_in).unwrap_or(rest.len());
            let made = usize::try_from(self.inflate.total_out() - before_out).unwrap_or_default();
            read += taken;
            let output = self.chunk.get(..made).unwrap_or_default();
            self.crc.update(output);
            pay(output)?;
            match status.map_err(|_| Deviation::BadCompression)? {
                Status::StreamEnd => {
                    self.place = Place::Trailer(0, 0);
                    return Ok(read);
                }
                _ if made > 0 || taken > 0 => {}
                _ if read >= bytes.len() => return Ok(read),
                _ => return Err(Deviation::BadCompression),
            }
        }
    }

    /// The place after a byte outside of the compressed data; `None` if it is no gzip.
    fn header(&mut self, byte: u8) -> Option<Place> {
        let again = self.members > 0;
        Some(match self.place {
            Place::Fixed(0, _) if byte == 0 && again => Place::Padding,
            Place::Fixed(0, _) => (byte == 0x1f).then_some(Place::Fixed(1, 0))?,
            Place::Fixed(1, _) => (byte == 0x8b).then_some(Place::Fixed(2, 0))?,
            Place::Fixed(2, _) => (byte == 8).then_some(Place::Fixed(3, 0))?,
            Place::Fixed(3, _) => Place::Fixed(4, byte),
            Place::Fixed(read @ ..9, flags) => Place::Fixed(read + 1, flags),
            Place::Fixed(_, flags) => Self::after(flags, EXTRA),
            Place::ExtraLow(flags) => Place::ExtraHigh(flags, byte),
            Place::ExtraHigh(flags, low) => match u16::from_le_bytes([low, byte]) {
                0 => Self::after(flags, NAME),
                length => Place::Extra(flags, length),
            },
            Place::Extra(flags, 1) => Self::after(flags, NAME),
            Place::Extra(flags, left) => Place::Extra(flags, left - 1),
            Place::Name(flags) if byte == 0 => Self::after(flags, COMMENT),
            Place::Comment(flags) if byte == 0 => Self::after(flags, HEADER_CRC),
            Place::HeaderCrc(1) => Place::Deflate,
            Place::HeaderCrc(left) => Place::HeaderCrc(left - 1),
            Place::Trailer(read, value) => self.trailer(read, value | (u64::from(byte) << (8 * read)))?,
            Place::Padding => (byte == 0).then_some(Place::Padding)?,
            unchanged @ (Place::Name(_) | Place::Comment(_) | Place::Deflate) => unchanged,
        })
    }

    /// Where the next part of the header begins, `field` being the first that may come.
    fn after(flags: u8, field: u8) -> Place {
        match field {
            EXTRA if flags & EXTRA != 0 => Place::ExtraLow(flags),
            EXTRA | NAME if flags & NAME != 0 => Place::Name(flags),
            EXTRA | NAME | COMMENT if flags & COMMENT != 0 => Place::Comment(flags),
            _ if flags & HEADER_CRC != 0 => Place::HeaderCrc(2),
            _ => Place::Deflate,
        }
    }

    /// Checks the member's checksum and length once all eight bytes are there.
    fn trailer(&mut self, read: u8, value: u64) -> Option<Place> {
        if read < 7 {
            return Some(Place::Trailer(read + 1, value));
        }
        let expected = u64::from(self.crc.amount()) << 32 | u64::from(self.crc.sum());
        self.members += 1;
        self.crc.reset();
        self.inflate.reset(false);
        (value == expected).then_some(START)
    }
}
