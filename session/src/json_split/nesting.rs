//! Where in JSON's grammar the next byte stands.

/// Deepest level at which arrays are told from objects.
const LEVELS: usize = u128::BITS as usize;

/// Depth, kind of container, string or not: as much of JSON as it takes to find where a value ends.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    depth: usize,
    /// Bit `n` says that the container at depth `n + 1` is an object.
    objects: u128,
    string: bool,
    escape: bool,
    last: Last,
}

/// The last token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Open,
    Comma,
    Colon,
    Scalar,
    Value,
}

impl Nesting {
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn in_string(&self) -> bool {
        self.string
    }

    /// How many bytes from here on cannot change anything: the inside of a string.
    pub(super) fn run(&self, bytes: &[u8]) -> usize {
        if !self.string || self.escape {
            return 0;
        }
        memchr::memchr3(b'"', b'\\', b'\n', bytes).unwrap_or(bytes.len())
    }

    /// Whether JSON allows this byte here. Outside of every container everything is let pass.
    pub(super) fn accepts(&self, byte: u8) -> bool {
        if self.string {
            return byte != b'\n';
        }
        if self.depth == 0 || self.depth > LEVELS {
            return true;
        }
        let object = self.in_object();
        let before_value =
            if object { self.last == Last::Colon } else { matches!(self.last, Last::Open | Last::Comma) };
        let after_value = matches!(self.last, Last::Value | Last::Scalar);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => true,
            b'{' | b'[' => before_value,
            b'"' => before_value || (object && matches!(self.last, Last::Open | Last::Comma)),
            b'}' => object && matches!(self.last, Last::Open | Last::Value | Last::Scalar),
            b']' => !object && (after_value || self.last == Last::Open),
            b',' => after_value,
            b':' => object && self.last == Last::Value,
            _ => before_value || self.last == Last::Scalar,
        }
    }

    /// Goes past a byte.
    pub(super) fn step(&mut self, byte: u8) {
        if self.string {
            match byte {
                _ if self.escape => self.escape = false,
                b'\\' => self.escape = true,
                b'"' => {
                    self.string = false;
                    self.last = Last::Value;
                }
                _ => {}
            }
            return;
        }
        match byte {
            b'{' | b'[' => self.open(byte == b'{'),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.last = Last::Value;
            }
            // Outside of every container quotes are strays, not strings that swallow what follows.
            b'"' if self.depth > 0 => self.string = true,
            b',' => self.last = Last::Comma,
            b':' => self.last = Last::Colon,
            b' ' | b'\t' | b'\r' | b'\n' if self.last == Last::Scalar => self.last = Last::Value,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.last = Last::Scalar,
        }
    }

    fn open(&mut self, object: bool) {
        if self.depth < LEVELS {
            let bit = 1 << self.depth;
            self.objects = if object { self.objects | bit } else { self.objects & !bit };
        }
        self.depth += 1;
        self.last = Last::Open;
    }

    fn in_object(&self) -> bool {
        self.objects & (1_u128 << (self.depth - 1).min(LEVELS - 1)) != 0
    }
}
