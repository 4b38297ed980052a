//! A session in other forms.
//!
//! An export reads its input more than once, each time in constant memory: first what is known of the session and what
//! marks it ([`survey`]), then, if there are secrets, where they stand in the output ([`redact`]), then everything in the
//! order of time for the form to write ([`telling`]).

use std::fmt::Write as _;

pub(crate) mod asciicast;
mod clock;
mod hidden;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod pcap;
pub(crate) mod redact;
pub(crate) mod source;
pub(crate) mod streams;
pub(crate) mod survey;
pub(crate) mod telling;
pub(crate) mod text;
pub(crate) mod timesketch;

pub(crate) use redact::Policy;
pub(crate) use source::Source;

/// Bytes in hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
