//! Decompression with limits: gzip, zstd or nothing, recognised from the first bytes.

mod gzip;

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::timeline::Deviation;
use gzip::Gzip;

/// Most bytes that one input may decompress to unless the caller says otherwise: a transcript far beyond any that was
/// met, but little enough to be read in seconds.
pub const OUTPUT_LIMIT: u64 = 512 * 1024 * 1024;

/// Most bytes out for each byte in, unless the caller says otherwise. Terminal output and records seldom pass 100.
pub const RATIO_LIMIT: u64 = 200;

/// Output up to which the ratio is not judged: short repetitive texts compress extremely well.
pub const RATIO_FLOOR: u64 = 64 * 1024 * 1024;

/// Largest window of a zstd frame, as a power of two: 8 MiB, what RFC 8878 (3.1.1.1.2) asks every decoder to support.
pub const WINDOW_LOG_LIMIT: u32 = 23;

/// Bytes decompressed at a time.
const CHUNK: usize = 32 * 1024;

/// How much may come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of output.
    pub output: u64,
    /// Most bytes of output for each byte of input, judged beyond [`RATIO_FLOOR`].
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { output: OUTPUT_LIMIT, ratio: RATIO_LIMIT }
    }
}

/// Decompresses what is fed; memory is constant (a zstd frame's window aside, which is bounded).
///
/// What is not compressed passes through without limit. Several gzip members or zstd frames in a row are one stream,
/// and zeros after them are padding. When something is wrong, everything decoded so far was handed out.
///
/// ```
/// use warden_session::inflate::{Inflate, Limits};
/// let mut out = Vec::new();
/// let mut inflate = Inflate::new(Limits::default());
/// assert_eq!(inflate.feed(b"not compressed", &mut |bytes| out.extend_from_slice(bytes)), None);
/// assert_eq!(inflate.finish(&mut |bytes| out.extend_from_slice(bytes)), None);
/// assert_eq!(out, b"not compressed");
/// ```
#[derive(Debug)]
pub struct Inflate {
    format: Format,
    budget: Budget,
    stopped: bool,
}

enum Format {
    /// The first bytes, while they do not decide.
    Head(Vec<u8>),
    Identity,
    Gzip(Box<Gzip>),
    Zstd(Box<Zstd>),
}

/// Counts what goes in and comes out.
#[derive(Debug)]
struct Budget {
    limits: Limits,
    input: u64,
    output: u64,
}

impl Budget {
    /// Hands out as much of `bytes` as the limits allow.
    fn pay(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), Deviation> {
        let by_ratio = RATIO_FLOOR.max(self.input.saturating_mul(self.limits.ratio));
        let limit = self.limits.output.min(by_ratio).saturating_sub(self.output);
        let allowed = usize::try_from(limit).unwrap_or(usize::MAX).min(bytes.len());
        self.output += allowed as u64;
        if allowed > 0 {
            sink(bytes.get(..allowed).unwrap_or(bytes));
        }
        if allowed < bytes.len() { Err(Deviation::LimitReached("inflated size")) } else { Ok(()) }
    }
}

impl Inflate {
    /// A decoder at the start of an input.
    pub fn new(limits: Limits) -> Self {
        Self { format: Format::Head(Vec::new()), budget: Budget { limits, input: 0, output: 0 }, stopped: false }
    }

    /// Whether nothing will come out any more, so that reading the input can stop.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Decompresses the next bytes; says once what is wrong, and from then on does nothing. What is whole before damage
    /// comes out; of the damaged block itself more or less may, depending on the pieces.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Option<Deviation> {
        if self.stopped {
            return None;
        }
        let Format::Head(head) = &mut self.format else { return self.run(bytes, sink) };
        head.extend_from_slice(bytes.get(..bytes.len().min(4)).unwrap_or_default());
        let rest = bytes.get(4..).unwrap_or_default();
        if head.len() < 4 {
            return None;
        }
        self.begin(sink).or_else(|| self.run(rest, sink))
    }

    /// The input ends here.
    pub fn finish(mut self, sink: &mut dyn FnMut(&[u8])) -> Option<Deviation> {
        if self.stopped {
            return None;
        }
        if matches!(self.format, Format::Head(_))
            && let Some(deviation) = self.begin(sink)
        {
            return Some(deviation);
        }
        let whole = match &self.format {
            Format::Head(_) | Format::Identity => true,
            Format::Gzip(gzip) => gzip.is_whole(),
            Format::Zstd(zstd) => zstd.between_frames,
        };
        (!whole).then_some(Deviation::Truncated)
    }

    fn begin(&mut self, sink: &mut dyn FnMut(&[u8])) -> Option<Deviation> {
        let Format::Head(head) = &mut self.format else { return None };
        let head = std::mem::take(head);
        self.format = match head.as_slice() {
            [0x1f, 0x8b, ..] => Format::Gzip(Box::default()),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => match Zstd::new() {
                Some(zstd) => Format::Zstd(Box::new(zstd)),
                None => Format::Identity,
            },
            _ => Format::Identity,
        };
        self.run(&head, sink)
    }

    fn run(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Option<Deviation> {
        self.budget.input += bytes.len() as u64;
        let budget = &mut self.budget;
        let mut pay = |bytes: &[u8]| budget.pay(bytes, sink);
        let result = match &mut self.format {
            Format::Head(_) => Ok(()),
            Format::Identity => {
                sink(bytes);
                Ok(())
            }
            Format::Gzip(gzip) => gzip.feed(bytes, &mut pay),
            Format::Zstd(zstd) => zstd.feed(bytes, &mut pay),
        };
        let deviation = result.err();
        self.stopped = deviation.is_some();
        deviation
    }
}

/// Output of a decoder goes here; an error stops it.
type Pay<'p> = &'p mut dyn FnMut(&[u8]) -> Result<(), Deviation>;

struct Zstd {
    decoder: Decoder<'static>,
    between_frames: bool,
    padding: bool,
    chunk: Vec<u8>,
}

impl Zstd {
    fn new() -> Option<Self> {
        let mut decoder = Decoder::new().ok()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_LIMIT)).ok()?;
        Some(Self { decoder, between_frames: false, padding: false, chunk: vec![0; CHUNK] })
    }

    fn feed(&mut self, bytes: &[u8], pay: Pay<'_>) -> Result<(), Deviation> {
        let mut input = InBuffer::around(bytes);
        loop {
            let rest = bytes.get(input.pos()..).unwrap_or_default();
            self.padding |= self.between_frames && rest.first() == Some(&0);
            if self.padding {
                return if rest.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Deviation::BadCompression) };
            }
            let mut output = OutBuffer::around(&mut self.chunk[..]);
            let before = input.pos();
            let hint = self.decoder.run(&mut input, &mut output).map_err(|error| wrong(&error));
            let written = output.pos();
            pay(self.chunk.get(..written).unwrap_or_default())?;
            let hint = hint?;
            let idle = input.pos() == before && written == 0;
            if !idle {
                self.between_frames = hint == 0;
            }
            if idle || (input.pos() >= bytes.len() && written < CHUNK) {
                return Ok(());
            }
        }
    }
}

fn wrong(error: &std::io::Error) -> Deviation {
    // The library tells errors apart by their words only (`ZSTD_error_frameParameter_windowTooLarge`).
    let window = error.to_string().contains("too much memory");
    if window { Deviation::LimitReached("zstd window") } else { Deviation::BadCompression }
}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Head(_) => "Head",
            Self::Identity => "Identity",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}
