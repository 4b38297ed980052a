//! The shipped rules, embedded.

use crate::set::{Loaded, RuleSet};

include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// The shipped rule files: path below `rules/library/`, such as `linux/setuid-bit-set.yml`, and text; sorted by path.
pub fn files() -> &'static [(&'static str, &'static str)] {
    FILES
}

/// Loads the shipped rules.
///
/// ```
/// let loaded = warden_rules::library::load();
/// assert!(loaded.errors.is_empty());
/// assert!(loaded.set.rules().len() >= 60);
/// ```
pub fn load() -> Loaded {
    RuleSet::load(FILES.iter().copied())
}
