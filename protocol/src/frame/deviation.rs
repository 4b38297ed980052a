use std::fmt;

/// A way in which a frame departs from the strict form, although its payload could be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Deviation {
    /// HeaderLength is not 116. Both ends accept it; 0 is refused after decoding, except in publication messages.
    HeaderLength,
    /// The payload starts before offset 120 and repeats header bytes.
    PayloadInsideHeader,
    /// A publication message whose HeaderLength, SchemaVersion, CreatedDate and MessageId are all zero: legal for these.
    ZeroHeader,
    /// PayloadLength is not the length of the rest of the message. Both ends ignore it.
    PayloadLengthMismatch,
    /// The digest is not that of the payload. AWS's client drops such a frame, AWS's agent never looks.
    BadDigest,
    /// The digest is all zero.
    AbsentDigest,
    /// PayloadLength is 0, the payload is not empty and its digest is wrong: AWS's client skips the check then.
    UncheckedDigest,
    /// The message type is padded with NUL or holds it.
    NulPadding,
    /// The message type is padded with something else than spaces on the right.
    OddPadding,
    /// The message type is empty: both ends refuse it after decoding.
    EmptyMessageType,
    /// The message type is not UTF-8.
    MessageTypeNotUtf8,
    /// CreatedDate is 0: both ends refuse it after decoding, except that the client lets publication messages pass.
    ZeroCreatedDate,
}

impl Deviation {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 12] = [
        Self::HeaderLength,
        Self::PayloadInsideHeader,
        Self::ZeroHeader,
        Self::PayloadLengthMismatch,
        Self::BadDigest,
        Self::AbsentDigest,
        Self::UncheckedDigest,
        Self::NulPadding,
        Self::OddPadding,
        Self::EmptyMessageType,
        Self::MessageTypeNotUtf8,
        Self::ZeroCreatedDate,
    ];

    /// A stable name in kebab case, such as `payload-length-mismatch`.
    pub fn name(self) -> &'static str {
        match self {
            Self::HeaderLength => "header-length-not-116",
            Self::PayloadInsideHeader => "payload-inside-header",
            Self::ZeroHeader => "zero-header",
            Self::PayloadLengthMismatch => "payload-length-mismatch",
            Self::BadDigest => "bad-digest",
            Self::AbsentDigest => "absent-digest",
            Self::UncheckedDigest => "unchecked-digest",
            Self::NulPadding => "nul-padding",
            Self::OddPadding => "odd-padding",
            Self::EmptyMessageType => "empty-message-type",
            Self::MessageTypeNotUtf8 => "message-type-not-utf8",
            Self::ZeroCreatedDate => "zero-created-date",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u8
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The deviations of one frame; a set, so that decoding allocates nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Deviations(u16);

impl Deviations {
    /// Whether the frame is in strict form.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `deviation` is one of them.
    pub fn contains(self, deviation: Deviation) -> bool {
        self.0 & deviation.bit() != 0
    }

    /// The deviations in the order of [`Deviation::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Deviation> {
        Deviation::ALL.into_iter().filter(move |deviation| self.contains(*deviation))
    }

    pub(super) fn note(&mut self, deviation: Deviation, holds: bool) {
        if holds {
            self.0 |= deviation.bit();
        }
    }
}

impl fmt::Debug for Deviations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
