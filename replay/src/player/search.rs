use regex::{Regex, RegexBuilder};

use super::Ask;
use crate::index::Hit;

/// A search and where it stands among its hits.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// What is looked for.
    pub(crate) pattern: Regex,
    /// Where it is, in order; never empty.
    pub(crate) hits: Vec<Hit>,
    /// The hit that is shown.
    pub(crate) at: usize,
    /// Whether the list of hits is shown.
    pub(crate) open: bool,
}

impl Search {
    /// At the first hit that is not behind this byte of the output.
    pub(super) fn new(pattern: Regex, hits: Vec<Hit>, from: u64) -> Self {
        let at = hits.partition_point(|hit| hit.first < from);
        let at = if at < hits.len() { at } else { 0 };
        Self { pattern, hits, at, open: true }
    }

    pub(super) fn next(&mut self) -> Ask {
        self.at = (self.at + 1) % self.hits.len().max(1);
        self.reveal()
    }

    pub(super) fn previous(&mut self) -> Ask {
        self.at = self.at.checked_sub(1).unwrap_or(self.hits.len().saturating_sub(1));
        self.reveal()
    }

    pub(super) fn reveal(&self) -> Ask {
        match self.hits.get(self.at) {
            Some(hit) => Ask::Reveal(hit.clone(), self.pattern.clone()),
            None => Ask::Search(self.pattern.clone()),
        }
    }
}

/// The pattern that was typed; letter case counts only if there is a capital in it.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    let case_counts = text.chars().any(char::is_uppercase);
    let built = RegexBuilder::new(text).case_insensitive(!case_counts).size_limit(MAX_PROGRAM).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "this pattern is too large".to_owned(),
        other => other.to_string().lines().last().unwrap_or("no pattern").trim().to_owned(),
    })
}

/// Bytes of a compiled pattern.
const MAX_PROGRAM: usize = 1 << 20;
