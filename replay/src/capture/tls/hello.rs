//! `ClientHello` and `ServerHello` (RFC 8446, 4.1), as far as they matter here.

/// Takes big-endian numbers and lists from bytes.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Bytes behind their length of one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?.into();
        self.take(length)
    }

    /// Bytes behind their length of two bytes.
    fn long(&mut self) -> Option<Cursor<'a>> {
        let length = self.u16()?.into();
        self.take(length).map(Cursor)
    }
}

/// What the client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientHello {
    /// Under which its secrets are logged.
    pub(super) random: [u8; 32],
    /// The server that it asks for.
    pub(super) host: Option<String>,
}

impl ClientHello {
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        cursor.u16()?;
        let random = cursor.take(32)?.first_chunk().copied()?;
        Some(Self { random, host: host(cursor) })
    }
}

fn host(mut cursor: Cursor<'_>) -> Option<String> {
    cursor.short()?;
    cursor.long()?;
    cursor.short()?;
    let mut extensions = cursor.long()?;
    while let (Some(kind), Some(mut value)) = (extensions.u16(), extensions.long()) {
        if kind == 0 {
            let mut names = value.long()?;
            names.u8()?;
            return Some(String::from_utf8_lossy(names.long()?.0).into_owned());
        }
    }
    None
}

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) random: [u8; 32],
    pub(super) suite: u16,
    /// Whether TLS 1.3 was chosen.
    pub(super) is_13: bool,
    /// Whether it asks for another `ClientHello`.
    pub(super) is_retry: bool,
}

/// The random of a `ServerHello` that is a `HelloRetryRequest`: SHA-256 of these words (RFC 8446, 4.1.3).
const RETRY: &[u8] = b"HelloRetryRequest";

impl ServerHello {
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        cursor.u16()?;
        let random = cursor.take(32)?.first_chunk().copied()?;
        cursor.short()?;
        let suite = cursor.u16()?;
        cursor.u8()?;
        let mut is_13 = false;
        let mut extensions = cursor.long().unwrap_or(Cursor(&[]));
        while let (Some(kind), Some(mut value)) = (extensions.u16(), extensions.long()) {
            // supported_versions.
            is_13 |= kind == 43 && value.u16() == Some(0x0304);
        }
        let retry = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, RETRY);
        Some(Self { random, suite, is_13, is_retry: retry.as_ref() == random })
    }
}
