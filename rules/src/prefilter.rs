//! Which rules can match at all: each is found by its witnesses, and only those found are evaluated.
//!
//! Values are folded before they are searched, exactly as the patterns' own haystacks are, so a witness is never missed.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::detection::Detection;
use crate::event::{FieldId, Slot, View};
use crate::witness::{self, Popularity, Witness, WitnessPlace};

/// Most literals of one field for which the fastest but largest automaton is built.
const MAX_DFA_LITERALS: usize = 1_000;

/// For each rule a set of witnesses of which an event must hold one, if the rule is to match.
#[derive(Debug, Default)]
pub(crate) struct Prefilter {
    rules: usize,
    /// Places of the rules that have no witness.
    always: Vec<usize>,
    /// `None` = every value.
    fields: Vec<(Option<FieldId>, Index)>,
}

/// The witnesses looked for in one field; each leads to the places of its rules.
#[derive(Debug, Default)]
struct Index {
    whole: HashMap<String, Vec<usize>>,
    name: HashMap<String, Vec<usize>>,
    within: Option<AhoCorasick>,
    /// By the automaton's pattern number.
    within_rules: Vec<Vec<usize>>,
}

impl Prefilter {
    /// Places are positions in the iterator.
    pub(crate) fn new<'d>(detections: impl Iterator<Item = &'d Detection> + Clone) -> Self {
        let popularity = Popularity::of(detections.clone());
        let mut prefilter = Self::default();
        let mut found: BTreeMap<Option<FieldId>, Vec<(Witness, usize)>> = BTreeMap::new();
        for (place, detection) in detections.enumerate() {
            prefilter.rules = place + 1;
            match popularity.choose(detection) {
                None => prefilter.always.push(place),
                Some(witnesses) => {
                    for witness in witnesses {
                        found.entry(witness.field).or_default().push((witness, place));
                    }
                }
            }
        }
        for (field, witnesses) in found {
            match Index::new(&witnesses) {
                Some(index) => prefilter.fields.push((field, index)),
                // Too large for an automaton: then these rules are always tried.
                None => prefilter.always.extend(witnesses.into_iter().map(|(_, place)| place)),
            }
        }
        prefilter
    }

    /// Calls `each` with the place of every rule that may match, once.
    pub(crate) fn candidates(&self, view: &View<'_>, mut each: impl FnMut(usize)) {
        let mut seen = Seen { words: vec![0; self.rules.div_ceil(64)] };
        let mut once = |place: usize| {
            if seen.insert(place) {
                each(place);
            }
        };
        self.always.iter().copied().for_each(&mut once);
        for (field, index) in &self.fields {
            let values = match field {
                Some(field) => view.field(*field),
                None => view.all(),
            };
            for value in values.iter().filter(|value| field.is_some() || value.is_leaf()) {
                index.search(value, &mut once);
            }
        }
    }
}

impl Index {
    fn new(witnesses: &[(Witness, usize)]) -> Option<Self> {
        let mut index = Self::default();
        let mut within: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (witness, place) in witnesses {
            let rules = match witness.place {
                WitnessPlace::Whole => index.whole.entry(witness.literal.clone()).or_default(),
                WitnessPlace::Name => index.name.entry(witness.literal.clone()).or_default(),
                WitnessPlace::Within => within.entry(&witness.literal).or_default(),
            };
            if rules.last() != Some(place) {
                rules.push(*place);
            }
        }
        if !within.is_empty() {
            let kind =
                if within.len() <= MAX_DFA_LITERALS { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
            let builder = AhoCorasick::builder().match_kind(MatchKind::Standard).kind(Some(kind)).build(within.keys());
            index.within = Some(builder.ok()?);
            index.within_rules = within.into_values().collect();
        }
        Some(index)
    }

    fn search(&self, value: &Slot<'_>, once: &mut impl FnMut(usize)) {
        let Some(text) = value.folded() else { return };
        let whole = self.whole.get(text);
        let name = (!self.name.is_empty()).then(|| witness::name(text)).flatten().and_then(|name| self.name.get(name));
        whole.into_iter().chain(name).flatten().copied().for_each(&mut *once);
        for hit in self.within.iter().flat_map(|automaton| automaton.find_overlapping_iter(text)) {
            let rules = self.within_rules.get(hit.pattern().as_usize());
            rules.into_iter().flatten().copied().for_each(&mut *once);
        }
    }
}

/// A set of places.
struct Seen {
    words: Vec<u64>,
}

impl Seen {
    /// Whether the place was not in the set yet.
    fn insert(&mut self, place: usize) -> bool {
        let Some(word) = self.words.get_mut(place / 64) else { return false };
        let bit = 1 << (place % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
