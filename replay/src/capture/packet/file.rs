//! pcap and pcapng files -> packets and TLS secrets (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).

use jiff::Timestamp;

use super::link::Link;
use crate::capture::Damage;

/// Longest record. Packets have at most 256 KiB in practice, a block of secrets a few megabytes.
pub(super) const RECORD_LIMIT: usize = 16 << 20;
/// Longest packet that a damaged file is trusted with.
const PACKET_LIMIT: u32 = 1 << 20;
/// Most interfaces of a section.
const MAX_INTERFACES: usize = 1024;

/// What a record is.
#[derive(Debug, PartialEq)]
pub(super) enum Record<'a> {
    /// A packet.
    Packet {
        /// When it was captured; `None` in a pcapng simple packet.
        at: Option<Timestamp>,
        link: Link,
        bytes: &'a [u8],
    },
    /// A TLS key log (pcapng Decryption Secrets Block).
    Secrets(&'a [u8]),
}

/// What the beginning of a buffer holds.
#[derive(Debug, PartialEq)]
pub(super) enum Taken<'a> {
    /// A record, or none of interest, of this length.
    Record(usize, Option<Record<'a>>),
    /// More bytes are needed.
    More,
    /// No record: skip this many bytes and search.
    Damaged(usize, Damage),
}

/// The state of a file.
#[derive(Debug)]
pub(super) struct File {
    format: Format,
    big_endian: bool,
    /// Whether the file header or a section header was read.
    begun: bool,
    /// Whether the place of the next record is not known.
    lost: bool,
}

#[derive(Debug)]
enum Format {
    Pcap { per_second: u64, link: Link },
    PcapNg { interfaces: Vec<Interface> },
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: Link,
    /// Units in a second.
    per_second: u64,
    /// Seconds to add.
    offset: i64,
}

impl File {
    pub(super) fn pcap() -> Self {
        Self::new(Format::Pcap { per_second: 1_000_000, link: Link::Unknown })
    }

    pub(super) fn pcapng() -> Self {
        Self::new(Format::PcapNg { interfaces: Vec::new() })
    }

    fn new(format: Format) -> Self {
        Self { format, big_endian: false, begun: false, lost: false }
    }

    /// Reads the record at the beginning of a buffer.
    pub(super) fn take<'a>(&mut self, buffer: &'a [u8]) -> Taken<'a> {
        if self.lost {
            return self.search(buffer);
        }
        match self.format {
            Format::Pcap { .. } if !self.begun => self.pcap_header(buffer),
            Format::Pcap { .. } => self.pcap_packet(buffer),
            Format::PcapNg { .. } => self.block(buffer),
        }
    }

    fn pcap_header<'a>(&mut self, buffer: &'a [u8]) -> Taken<'a> {
        let Some(header) = buffer.get(..24) else { return Taken::More };
        let magic: [u8; 4] = header.first_chunk().copied().unwrap_or_default();
        self.big_endian = magic.first() == Some(&0xa1);
        let nanos = magic.contains(&0x3c);
        // The upper bits of the link type hold the length of a frame check sequence.
        let link = Link::of(self.u32(header, 20).unwrap_or_default() & 0xffff);
        self.format = Format::Pcap { per_second: if nanos { 1_000_000_000 } else { 1_000_000 }, link };
        self.begun = true;
        Taken::Record(24, None)
    }

    fn pcap_packet<'a>(&mut self, buffer: &'a [u8]) -> Taken<'a> {
        let Format::Pcap { per_second, link } = self.format else { return Taken::More };
        let Some((seconds, fraction, length)) = self.pcap_record(buffer) else { return Taken::More };
        if u64::from(fraction) >= per_second || length > PACKET_LIMIT {
            return self.damaged(Damage::BadRecord("no packet record"));
        }
        let end = 16 + length as usize;
        let Some(bytes) = buffer.get(16..end) else { return Taken::More };
        let at = time(i128::from(seconds), u64::from(fraction), per_second);
        Taken::Record(end, Some(Record::Packet { at, link, bytes }))
    }

    /// Seconds, fraction and length of a pcap packet record.
    fn pcap_record(&self, buffer: &[u8]) -> Option<(u32, u32, u32)> {
        buffer.get(..16)?;
        Some((self.u32(buffer, 0)?, self.u32(buffer, 4)?, self.u32(buffer, 8)?))
    }

    fn block<'a>(&mut self, buffer: &'a [u8]) -> Taken<'a> {
        let Some(head) = buffer.get(..12) else { return Taken::More };
        let is_section = head.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]);
        if is_section {
            match head.get(8..12) {
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => self.big_endian = true,
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => self.big_endian = false,
                _ => return self.damaged(Damage::BadRecord("no section header")),
            }
        }
        let length = self.u32(head, 4).unwrap_or_default() as usize;
        if length < 12 || !length.is_multiple_of(4) || length > RECORD_LIMIT {
            return self.damaged(Damage::BadRecord("no block"));
        }
        let Some(block) = buffer.get(..length) else { return Taken::More };
        if self.u32(block, length - 4) != self.u32(block, 4) {
            return self.damaged(Damage::BadRecord("a block whose lengths differ"));
        }
        let body = block.get(8..length - 4).unwrap_or_default();
        if is_section {
            self.format = Format::PcapNg { interfaces: Vec::new() };
        }
        let record = self.body(self.u32(block, 0).unwrap_or_default(), body);
        Taken::Record(length, record)
    }

    fn body<'a>(&mut self, kind: u32, body: &'a [u8]) -> Option<Record<'a>> {
        match kind {
            1 => {
                let interface = self.interface(body)?;
                if let Format::PcapNg { interfaces } = &mut self.format
                    && interfaces.len() < MAX_INTERFACES
                {
                    interfaces.push(interface);
                }
                None
            }
            // The obsolete packet block has a 16-bit interface and a count of drops in its place.
            2 => self.packet(self.u16(body, 0)?.into(), body),
            3 => {
                let interface = self.interface_at(0)?;
                let bytes = body.get(4..)?;
                let length = self.u32(body, 0)? as usize;
                let bytes = bytes.get(..length.min(bytes.len()))?;
                Some(Record::Packet { at: None, link: interface.link, bytes })
            }
            6 => self.packet(self.u32(body, 0)?, body),
            // Secrets of type TLSK.
            10 if self.u32(body, 0)? == 0x544c_534b => {
                let secrets = body.get(8..)?;
                secrets.get(..secrets.len().min(self.u32(body, 4)? as usize)).map(Record::Secrets)
            }
            _ => None,
        }
    }

    fn packet<'a>(&self, interface: u32, body: &'a [u8]) -> Option<Record<'a>> {
        let Interface { link, per_second, offset } = self.interface_at(interface as usize)?;
        let units = u64::from(self.u32(body, 4)?) << 32 | u64::from(self.u32(body, 8)?);
        let seconds = i128::from(units / per_second) + i128::from(offset);
        let bytes = body.get(20..)?;
        let bytes = bytes.get(..bytes.len().min(self.u32(body, 12)? as usize))?;
        Some(Record::Packet { at: time(seconds, units % per_second, per_second), link, bytes })
    }

    fn interface_at(&self, at: usize) -> Option<Interface> {
        let Format::PcapNg { interfaces } = &self.format else { return None };
        interfaces.get(at).copied()
    }

    fn interface(&self, body: &[u8]) -> Option<Interface> {
        let link = Link::of(self.u16(body, 0)?.into());
        let mut interface = Interface { link, per_second: 1_000_000, offset: 0 };
        let mut options = body.get(8..)?;
        while let (Some(code), Some(length)) = (self.u16(options, 0), self.u16(options, 2)) {
            let length = usize::from(length);
            let Some(value) = options.get(4..4 + length) else { break };
            match (code, value) {
                (0, _) => break,
                // if_tsresol: a power of ten, or of two with the highest bit set.
                (9, [resolution, ..]) => interface.per_second = per_second(*resolution),
                // if_tsoffset.
                (14, _) => interface.offset = self.i64(value)?,
                _ => {}
            }
            options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(interface)
    }

    fn damaged<'a>(&mut self, damage: Damage) -> Taken<'a> {
        self.lost = true;
        Taken::Damaged(1, damage)
    }

    /// Finds the next place that two records in a row can be at.
    fn search<'a>(&mut self, buffer: &'a [u8]) -> Taken<'a> {
        let (step, need) = if matches!(self.format, Format::Pcap { .. }) { (1, 32) } else { (1, 12) };
        let mut at = 0;
        while let Some(rest) = buffer.get(at..).filter(|rest| rest.len() >= need) {
            match self.looks_like_record(rest) {
                Some(true) => {
                    self.lost = false;
                    return Taken::Record(at, None);
                }
                Some(false) => at += step,
                None if at == 0 => return Taken::More,
                None => break,
            }
        }
        if at == 0 { Taken::More } else { Taken::Record(at, None) }
    }

    /// `None` if more bytes must be seen.
    fn looks_like_record(&self, rest: &[u8]) -> Option<bool> {
        match self.format {
            Format::Pcap { per_second, .. } => {
                let plausible = |rest: &[u8]| {
                    let (_, fraction, length) = self.pcap_record(rest)?;
                    let original = self.u32(rest, 12)?;
                    let fits = length <= original && original <= PACKET_LIMIT && length >= 20;
                    Some(fits && u64::from(fraction) < per_second)
                };
                if !plausible(rest)? {
                    return Some(false);
                }
                let length = self.pcap_record(rest)?.2 as usize;
                let after = rest.get(16 + length..)?;
                // At the end of the file nothing follows.
                if after.len() < 16 { None } else { plausible(after) }
            }
            Format::PcapNg { .. } => {
                let (kind, length) = (self.u32(rest, 0)?, self.u32(rest, 4)? as usize);
                let is_known = matches!(kind, 1 | 2 | 3 | 4 | 5 | 6 | 10 | 0x0a0d_0d0a);
                if !is_known || length < 12 || !length.is_multiple_of(4) || length > PACKET_LIMIT as usize {
                    return Some(false);
                }
                let last = self.u32(rest.get(..length)?, length - 4)?;
                Some(last as usize == length)
            }
        }
    }

    fn u16(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes: [u8; 2] = bytes.get(at..)?.first_chunk().copied()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes: [u8; 4] = bytes.get(at..)?.first_chunk().copied()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn i64(&self, bytes: &[u8]) -> Option<i64> {
        let bytes: [u8; 8] = bytes.first_chunk().copied()?;
        Some(if self.big_endian { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) })
    }
}

fn per_second(resolution: u8) -> u64 {
    let exponent = u32::from(resolution & 0x7f);
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(exponent).unwrap_or(1_000_000)
}

fn time(seconds: i128, fraction: u64, per_second: u64) -> Option<Timestamp> {
    let nanos = i128::from(fraction) * 1_000_000_000 / i128::from(per_second);
    Timestamp::from_nanosecond(seconds * 1_000_000_000 + nanos).ok()
}
