//! Times as the contracts write them: RFC 3339, UTC, milliseconds.

use jiff::Timestamp;
use serde::Serializer;

/// `2026-11-22T13:08:33.000Z`.
pub fn to_rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// For `#[serde(serialize_with)]` on an optional time; `None` becomes `null`.
///
/// # Errors
/// What the serializer returns.
#[allow(clippy::ref_option, reason = "serde's signature")]
pub fn serialize<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.serialize_str(&to_rfc3339(*at)),
        None => serializer.serialize_none(),
    }
}
