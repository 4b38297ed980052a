//! The shipped rules, compiled at build time.

use warden_rules::{PackError, RuleSet};

const PACK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/library.pack"));

/// The shipped rules, in about two milliseconds.
///
/// # Errors
/// A pack that is not what the build made: a damaged binary.
///
/// ```
/// assert!(warden_functions::shipped::rules()?.rules().len() >= 60);
/// # Ok::<(), warden_rules::PackError>(())
/// ```
pub fn rules() -> Result<RuleSet, PackError> {
    RuleSet::from_pack(PACK)
}

/// The same where nobody can be told: whoever starts has loaded them before.
pub(crate) fn rules_or_none() -> RuleSet {
    rules().unwrap_or_default()
}
