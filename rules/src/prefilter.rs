//! Which rules can match at all: each is found by its witnesses, and only those found are evaluated.
//!
//! Values are folded before they are searched, exactly as the patterns' own haystacks are, so a witness is never missed.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use serde::{Deserialize, Serialize, Serializer};

use crate::detection::Detection;
use crate::event::{FieldId, Slot, View};
use crate::witness::{self, Popularity, Witness, WitnessPlace};

/// Most literals of one field for which the fastest but largest automaton is built.
const MAX_DFA_LITERALS: usize = 1_000;

/// For each rule a set of witnesses of which an event must hold one, if the rule is to match.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Prefilter {
    rules: usize,
    /// Places of the rules that have no witness.
    always: Vec<usize>,
    /// `None` = every value.
    fields: Vec<(Option<FieldId>, Index)>,
}

/// The witnesses looked for in one field; each leads to the places of its rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Index {
    #[serde(serialize_with = "sorted")]
    whole: HashMap<String, Vec<usize>>,
    #[serde(serialize_with = "sorted")]
    name: HashMap<String, Vec<usize>>,
    within: Vec<String>,
    /// By the place in `within`, which is the automaton's pattern number.
    within_rules: Vec<Vec<usize>>,
    /// Looks for all of `within` at once; made when a value first needs it, for most processes see one kind of events. `None`
    /// if it would be too large: then its rules are always tried.
    #[serde(skip)]
    automaton: OnceLock<Option<AhoCorasick>>,
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
        prefilter.fields = found.into_iter().map(|(field, witnesses)| (field, Index::new(&witnesses))).collect();
        prefilter
    }

    /// Whether it is one for so many rules.
    pub(crate) fn is_for(&self, rules: usize) -> bool {
        self.rules == rules
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
    fn new(witnesses: &[(Witness, usize)]) -> Self {
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
        (index.within, index.within_rules) = within.into_iter().map(|(text, rules)| (text.to_owned(), rules)).unzip();
        index
    }

    fn search(&self, value: &Slot<'_>, once: &mut impl FnMut(usize)) {
        let Some(text) = value.folded() else { return };
        let whole = self.whole.get(text);
        let name = (!self.name.is_empty()).then(|| witness::name(text)).flatten().and_then(|name| self.name.get(name));
        whole.into_iter().chain(name).flatten().copied().for_each(&mut *once);
        if self.within.is_empty() {
            return;
        }
        let Some(automaton) = self.automaton.get_or_init(|| automaton(&self.within)) else {
            return self.within_rules.iter().flatten().copied().for_each(once);
        };
        for hit in automaton.find_overlapping_iter(text) {
            let rules = self.within_rules.get(hit.pattern().as_usize());
            rules.into_iter().flatten().copied().for_each(&mut *once);
        }
    }
}

/// In the order of the keys: equal sets make equal packs.
fn sorted<S: Serializer>(map: &HashMap<String, Vec<usize>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().collect::<BTreeMap<_, _>>())
}

fn automaton(literals: &[String]) -> Option<AhoCorasick> {
    let kind = if literals.len() <= MAX_DFA_LITERALS { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    AhoCorasick::builder().match_kind(MatchKind::Standard).kind(Some(kind)).build(literals).ok()
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
