//! Which rules can match at all.

use crate::detection::Detection;
use crate::event::View;

/// For each rule a set of literals of which an event must hold one, if the rule is to match.
#[derive(Debug, Default)]
pub(crate) struct Prefilter {
    rules: usize,
}

impl Prefilter {
    pub(crate) fn new<'d>(detections: impl Iterator<Item = &'d Detection>) -> Self {
        Self { rules: detections.count() }
    }

    /// Calls `each` with the place of every rule that may match, once.
    pub(crate) fn candidates(&self, _view: &View<'_>, each: impl FnMut(usize)) {
        (0..self.rules).for_each(each);
    }
}
