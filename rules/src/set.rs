//! Sets of rules: loading with all errors, matching.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::detection::Fields;
use crate::error::{Problem, Report, RuleError, Severity};
use crate::event::{Event, View};
use crate::explain;
use crate::finding::Matched;
use crate::prefilter::Prefilter;
use crate::rule::parse::hex;
use crate::rule::{self, Case, CaseInput, Logsource, Rule};
use crate::yaml::{self, Span};

mod pack;

pub use pack::{PACK_FORMAT, PackError, is_pack};

/// Largest rule file, in bytes.
pub const MAX_FILE_LENGTH: usize = 4 << 20;

/// What loading gives: the good rules, and all that is wrong with the others.
#[derive(Debug)]
pub struct Loaded {
    /// The rules without errors.
    pub set: RuleSet,
    /// Why the others are not in the set, in the order of the files and of their lines.
    pub errors: Vec<RuleError>,
    /// What may not do what its author meant, in the order of the files and of their lines.
    pub warnings: Vec<RuleError>,
}

/// Rules, ready to be matched.
///
/// ```
/// use warden_rules::{Event, Logsource, RuleSet};
///
/// let text = r"
/// title: SSH key read
/// id: 5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c11
/// level: high
/// logsource: {product: linux, category: process_creation}
/// detection:
///     reader:
///         Image|endswith: /cat
///     key:
///         CommandLine|contains: /.ssh/id_
///     condition: all of them
/// ";
/// let loaded = RuleSet::load([("ssh.yml", text)]);
/// assert!(loaded.errors.is_empty());
///
/// let mut event = Event::new();
/// event.push("Image", "/usr/bin/cat");
/// event.push("CommandLine", "cat /home/eva/.SSH/id_rsa");
/// let linux = Logsource::new("linux", "process_creation", "");
/// let matches = loaded.set.matches(Some(&linux), &event);
/// assert_eq!(matches[0].rule.title, "SSH key read");
/// assert_eq!(matches[0].matched[1].span, Some((13, 22)));
/// ```
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    fields: Fields,
    shards: Vec<Shard>,
    keywords: bool,
    version: String,
}

/// A rule that matched.
#[derive(Clone, Debug)]
pub struct Match<'s> {
    /// The rule.
    pub rule: &'s Rule,
    /// The fields whose values made it match, with the values as they are: nothing is masked yet.
    pub matched: Vec<Matched>,
}

/// The rules of one log source.
#[derive(Debug)]
struct Shard {
    logsource: Logsource,
    /// Indices into the set's rules.
    rules: Vec<usize>,
    prefilter: Prefilter,
}

impl RuleSet {
    /// Loads rule files, given as path and text. A file may hold several documents; one bad document takes only itself
    /// away, a syntax error also those after it in its file.
    pub fn load<P: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (P, T)>) -> Loaded {
        Self::default().load_beside(files, |_| false)
    }

    /// Loads rule files beside the rules of this set: a rule of the files takes the place of one with the same id, and the ids
    /// that are `unwanted` are left out of this set.
    ///
    /// ```
    /// use warden_rules::{RuleSet, library};
    /// let shipped = library::load().set;
    /// let (count, first) = (shipped.rules().len(), shipped.rules()[0].id.clone());
    /// let loaded = shipped.load_beside(None::<(&str, &str)>, |id| id == first);
    /// assert_eq!(loaded.set.rules().len(), count - 1);
    /// ```
    pub fn load_beside<P: AsRef<str>, T: AsRef<str>>(
        self,
        files: impl IntoIterator<Item = (P, T)>,
        unwanted: impl Fn(&str) -> bool,
    ) -> Loaded {
        let (mut rules, mut fields) = (Vec::new(), self.fields);
        let mut found = Vec::new();
        let mut first_uses = HashMap::new();
        for (path, text) in files {
            let (path, text) = (path.as_ref(), text.as_ref());
            let mut report = Report::new(path, text);
            for rule in read_file(path, text, &mut fields, &mut report) {
                if is_new(&rule, &mut first_uses, &mut report) {
                    rules.push(rule);
                }
            }
            report.found.sort_by_key(|found| (found.line, found.column));
            found.append(&mut report.found);
        }
        rules.extend(self.rules.into_iter().filter(|rule| !first_uses.contains_key(&rule.id) && !unwanted(&rule.id)));
        let (errors, warnings) = found.into_iter().partition(|found| found.severity == Severity::Error);
        Loaded { set: Self::new(rules, fields), errors, warnings }
    }

    /// The rules, in the order of their files.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule with this id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// Hex SHA-256 over the sorted hashes of the rules: equal sets have equal versions, whatever their files' order.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The rules that match, in the set's order, and why. Without a log source every rule is tried.
    pub fn matches(&self, logsource: Option<&Logsource>, event: &Event<'_>) -> Vec<Match<'_>> {
        let view = self.view(event);
        let rules = self.matching(logsource, &view).into_iter().filter_map(|index| self.rules.get(index));
        rules.map(|rule| Match { rule, matched: explain::matched(&rule.detection, &view) }).collect()
    }

    /// The ids of the rules that match, sorted.
    pub fn match_ids(&self, logsource: Option<&Logsource>, event: &Event<'_>) -> Vec<&str> {
        let view = self.view(event);
        let rules = self.matching(logsource, &view).into_iter().filter_map(|index| self.rules.get(index));
        let mut ids: Vec<&str> = rules.map(|rule| rule.id.as_str()).collect();
        ids.sort_unstable();
        ids
    }

    /// Whether one rule of this set matches, whatever its log source.
    pub fn rule_matches(&self, rule: &Rule, event: &Event<'_>) -> bool {
        rule.detection.matches(&self.view(event))
    }

    /// Runs one case of a rule of this set: whether the rule does what the case expects. `run_command` says whether the
    /// rule matches a command line, which takes the readers that make events of it.
    pub fn run_case(&self, rule: &Rule, case: &Case, run_command: impl FnOnce(&Rule, &str) -> bool) -> bool {
        let matched = match &case.input {
            CaseInput::Event(record) => self.rule_matches(rule, &Event::from_json(record)),
            CaseInput::Command(line) => run_command(rule, line),
        };
        matched == case.expected
    }

    fn new(rules: Vec<Rule>, fields: Fields) -> Self {
        let mut shards: Vec<Shard> = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            match shards.iter_mut().find(|shard| shard.logsource == rule.logsource) {
                Some(shard) => shard.rules.push(index),
                None => shards.push(Shard {
                    logsource: rule.logsource.clone(),
                    rules: vec![index],
                    prefilter: Prefilter::default(),
                }),
            }
        }
        for shard in &mut shards {
            let detections = shard.rules.iter().filter_map(|&index| rules.get(index)).map(|rule| &rule.detection);
            shard.prefilter = Prefilter::new(detections);
        }
        let keywords = rules.iter().any(|rule| rule.detection.has_keywords());
        let version = version(&rules);
        Self { rules, fields, shards, keywords, version }
    }

    fn view<'e>(&self, event: &'e Event<'_>) -> View<'e> {
        View::new(event, self.fields.ids(), self.keywords)
    }

    /// Indices of the rules that match, ascending.
    fn matching(&self, logsource: Option<&Logsource>, view: &View<'_>) -> Vec<usize> {
        let mut matching = Vec::new();
        for shard in &self.shards {
            if logsource.is_some_and(|event| !shard.logsource.covers(event)) {
                continue;
            }
            shard.prefilter.candidates(view, |place| {
                let index = shard.rules.get(place).copied().unwrap_or(usize::MAX);
                if self.rules.get(index).is_some_and(|rule| rule.detection.matches(view)) {
                    matching.push(index);
                }
            });
        }
        matching.sort_unstable();
        matching
    }
}

fn read_file(path: &str, text: &str, fields: &mut Fields, report: &mut Report<'_>) -> Vec<Rule> {
    let top = Span { line: 1, column: 1, length: 0, inline: None };
    if text.len() > MAX_FILE_LENGTH {
        report.error(top, Problem::Limit { what: "the file", limit: MAX_FILE_LENGTH }, None);
        return Vec::new();
    }
    let (documents, broken) = yaml::parse(text);
    let mut starts: Vec<usize> = documents.iter().map(|document| document.start).collect();
    starts.push(usize::MAX);
    let mut rules = Vec::new();
    let several = documents.len() > 1;
    let mut empty = true;
    for (document, next) in documents.iter().zip(starts.iter().skip(1)) {
        if document.root.is_null() && document.duplicates.is_empty() {
            continue;
        }
        empty = false;
        let own = if several { characters(text, document.start, *next) } else { text };
        rules.extend(rule::parse::rule(document, path, own, fields, report));
    }
    if let Some(broken) = broken {
        report.error(broken.span, Problem::Syntax { detail: broken.why }, None);
    } else if empty {
        report.warn(top, Problem::NoRule, None);
    }
    rules
}

/// The text from one character to before another.
fn characters(text: &str, start: usize, end: usize) -> &str {
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(offset, _)| offset);
    text.get(byte(start)..byte(end)).unwrap_or_default()
}

/// Notes where the rule's id is used, or reports that it is already.
fn is_new(rule: &Rule, first_uses: &mut HashMap<String, String>, report: &mut Report<'_>) -> bool {
    let place = format!("{}:{}", rule.path, rule.line);
    match first_uses.get(&rule.id) {
        None => {
            first_uses.insert(rule.id.clone(), place);
            true
        }
        Some(first) => {
            let span = Span { line: rule.line, column: 1, length: 0, inline: None };
            report.error(span, Problem::DuplicateId { id: rule.id.clone(), first: first.clone() }, None);
            false
        }
    }
}

fn version(rules: &[Rule]) -> String {
    let mut hashes: Vec<&str> = rules.iter().map(|rule| rule.hash.as_str()).collect();
    hashes.sort_unstable();
    let mut digest = Sha256::new();
    for hash in hashes {
        digest.update(hash);
    }
    hex(&digest.finalize())
}
