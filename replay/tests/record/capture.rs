//! A second reading of the capture format, from its specification alone.

use warden_protocol::wire::Sha256;

/// A record.
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

impl Record {
    /// Direction, opcode, socket and bytes of a message; whether something in it is masked.
    pub(crate) fn message(&self) -> Option<(u8, u8, u32, &[u8], bool)> {
        let start = match self.kind {
            1 => 14,
            2 => 18,
            _ => return None,
        };
        let socket = u32::from_be_bytes(self.body[10..14].try_into().unwrap());
        Some((self.body[8], self.body[9], socket, &self.body[start..], self.kind == 2))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The whole records of a capture, whose chain must hold, the last hash, and how many bytes are behind the last whole record.
pub(crate) fn read(capture: &[u8]) -> (Vec<Record>, Sha256, usize) {
    assert_eq!(capture[..12], *b"\x89WARDEN\n\0\0\0\x01");
    let marker = &capture[12..20];
    let mut previous = Sha256::of(&capture[..20]);
    let mut rest = &capture[20..];
    let mut records: Vec<Record> = Vec::new();
    while rest.len() >= 89 {
        let length = u32::from_be_bytes(rest[8..12].try_into().unwrap());
        let end = 57 + length as usize;
        if rest.len() < end + 32 {
            break;
        }
        assert_eq!(&rest[..8], marker);
        assert_eq!(u32::from_be_bytes(rest[12..16].try_into().unwrap()), !length);
        assert_eq!(u64::from_be_bytes(rest[16..24].try_into().unwrap()), records.len() as u64);
        assert_eq!(rest[24..56], previous.0);
        previous = Sha256::of(&rest[..end]);
        assert_eq!(rest[end..end + 32], previous.0);
        records.push(Record { kind: rest[56], body: rest[57..end].to_vec() });
        rest = &rest[end + 32..];
    }
    (records, previous, rest.len())
}
