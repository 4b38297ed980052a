//! One YAML document -> one rule, or what is wrong with it.

use sha2::{Digest, Sha256};

use super::{Level, Logsource, Response, Rule, Status};
use crate::detection::{self, Fields};
use crate::error::{Problem, Report, did_you_mean};
use crate::yaml::{Document, Node, Span};

/// Top-level keys that change what a rule does or is known by. A misspelt one is an error.
const KEYS: &[&str] = &[
    "title",
    "id",
    "status",
    "description",
    "tags",
    "level",
    "logsource",
    "detection",
    "tests",
    "response",
    "dedup",
    "owner",
    "runbook",
];

/// The other top-level keys of Sigma 2.1 and of SigmaHQ's rules. A misspelt one is a warning.
const NOTES: &[&str] = &[
    "name",
    "taxonomy",
    "related",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "scope",
    "fields",
    "falsepositives",
    "regression_tests_path",
    "simulation",
];

/// The fields of events of `product: aws, service: session-manager, category: command`.
pub const COMMAND_FIELDS: &[&str] = &[
    "CommandLine",
    "ScriptBlockText",
    "Image",
    "ParentImage",
    "User",
    "LogonId",
    "CurrentDirectory",
    "Session",
    "Principal",
    "Target",
    "Account",
    "Region",
    "Document",
    "Platform",
    "Marks",
    "Via",
    "Invocation",
    "Writes",
    "Redirect",
    "PipesTo",
    "PipedFrom",
];

/// Reads one document. `Some` only if it has no error; warnings may stand in the report all the same.
pub(crate) fn rule(
    document: &Document,
    path: &str,
    text: &str,
    fields: &mut Fields,
    report: &mut Report<'_>,
) -> Option<Rule> {
    let before = report.errors();
    for (span, key) in &document.duplicates {
        report.error(*span, Problem::DuplicateKey { key: key.clone() }, None);
    }
    let root = document.root.span;
    let Some(entries) = document.root.as_mapping() else {
        report.error(root, Problem::Expected { what: "a rule".to_owned(), expected: "a mapping" }, None);
        return None;
    };
    let mut reader = Reader { entries, start: Span { length: 0, ..root }, report };
    if reader.is_unsupported() {
        return None;
    }
    reader.check_keys();
    let mut rule = reader.rule(fields)?;
    if reader.report.errors() > before {
        return None;
    }
    path.clone_into(&mut rule.path);
    rule.hash = hex(&Sha256::digest(text));
    Some(rule)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn known_fields(logsource: &Logsource) -> Option<&'static [&'static str]> {
    let ours = Logsource::new("", "", "session-manager").covers(logsource);
    ours.then_some(COMMAND_FIELDS)
}

/// The entries of one document.
pub(super) struct Reader<'r, 't> {
    entries: &'r [(Node, Node)],
    start: Span,
    report: &'r mut Report<'t>,
}

impl<'r> Reader<'r, '_> {
    /// Reads every part before any of them can end it, so that all errors are found. Path and hash are the caller's.
    fn rule(&mut self, fields: &mut Fields) -> Option<Rule> {
        let (id, title) = (self.required_text("id"), self.required_text("title"));
        let (level, status) = (self.level(), self.status());
        let logsource = self.logsource();
        let tags = self.texts("tags");
        let description = self.optional_text("description");
        let (owner, runbook) = (self.optional_text("owner"), self.optional_text("runbook"));
        let (response, dedup, cases) = (self.response(), self.dedup(), self.cases());
        let known = logsource.as_ref().and_then(known_fields);
        let detection = match self.find("detection") {
            Some((key, node)) => detection::parse(key, node, known, fields, self.report),
            None => self.missing("detection"),
        };
        Some(Rule {
            id: id?,
            title: title?,
            level,
            status,
            logsource: logsource?,
            tags,
            description,
            path: String::new(),
            line: self.start.line,
            hash: String::new(),
            response,
            dedup,
            owner,
            runbook,
            cases,
            detection: detection?,
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<(Span, &'r Node)> {
        self.entries.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(key, value)| (key.span, value))
    }

    /// Documents of Sigma that are no detection rules.
    fn is_unsupported(&mut self) -> bool {
        let kinds = [
            ("correlation", "correlation rules are"),
            ("filter", "filters are"),
            ("action", "`action` documents (Sigma 1 collections) are"),
        ];
        for (key, what) in kinds {
            if let Some((span, _)) = self.find(key) {
                self.report.error(span, Problem::Unsupported { what }, None);
                return true;
            }
        }
        false
    }

    fn check_keys(&mut self) {
        for (key, _) in self.entries {
            let Some(name) = key.as_text() else {
                let what = "a top-level key".to_owned();
                self.report.error(key.span, Problem::Expected { what, expected: "text" }, None);
                continue;
            };
            if KEYS.contains(&name) || NOTES.contains(&name) {
                continue;
            }
            // Sigma allows keys of one's own; one that is a letter away from a known one is likely a mistake.
            let problem = Problem::UnknownKey { key: name.to_owned(), place: "a rule" };
            if let Some(advice) = did_you_mean(name, KEYS.iter().copied()) {
                self.report.error(key.span, problem, Some(advice));
            } else if let Some(advice) = did_you_mean(name, NOTES.iter().copied()) {
                self.report.warn(key.span, problem, Some(advice));
            }
        }
    }

    fn missing<T>(&mut self, key: &'static str) -> Option<T> {
        self.report.error(self.start, Problem::Missing { key }, None);
        None
    }

    pub(super) fn expected<T>(&mut self, span: Span, what: &str, expected: &'static str) -> Option<T> {
        self.report.error(span, Problem::Expected { what: format!("`{what}`"), expected }, None);
        None
    }

    fn required_text(&mut self, key: &'static str) -> Option<String> {
        match self.find(key) {
            None => self.missing(key),
            Some((span, node)) => match node.as_text().map(str::trim) {
                Some(text) if !text.is_empty() => Some(text.to_owned()),
                _ => self.expected(span, key, "text"),
            },
        }
    }

    fn optional_text(&mut self, key: &'static str) -> Option<String> {
        let (span, node) = self.find(key)?;
        if node.is_null() {
            return None;
        }
        match node.as_text() {
            Some(text) => Some(text.trim().to_owned()),
            None => self.expected(span, key, "text"),
        }
    }

    fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some((span, node)) = self.find(key).filter(|(_, node)| !node.is_null()) else { return Vec::new() };
        let texts: Option<Vec<String>> =
            node.as_sequence().and_then(|list| list.iter().map(|one| one.as_text().map(str::to_owned)).collect());
        texts.or_else(|| self.expected(span, key, "a list of texts")).unwrap_or_default()
    }

    fn level(&mut self) -> Level {
        let names = Level::ALL.map(Level::as_str);
        self.word("level", "level", &names).and_then(|name| Level::parse(&name)).unwrap_or(Level::Medium)
    }

    fn status(&mut self) -> Option<Status> {
        let names = Status::ALL.map(Status::as_str);
        self.word("status", "status", &names).and_then(|name| Status::parse(&name))
    }

    fn response(&mut self) -> Response {
        match self.word("response", "response", &["alert", "terminate"]).as_deref() {
            Some("terminate") => Response::Terminate,
            _ => Response::Alert,
        }
    }

    /// The value of a key that has only these values.
    fn word(&mut self, key: &'static str, what: &'static str, words: &[&str]) -> Option<String> {
        let (_, node) = self.find(key)?;
        let text = node.as_text().unwrap_or_default();
        if words.contains(&text) {
            return Some(text.to_owned());
        }
        self.unknown_value(node.span, what, text, words);
        None
    }

    pub(super) fn unknown_value(&mut self, span: Span, what: &'static str, value: &str, words: &[&str]) {
        let advice = did_you_mean(value, words.iter().copied());
        let advice = advice.unwrap_or_else(|| format!("it is one of {}", words.join(", ")));
        self.report.error(span, Problem::UnknownValue { what, value: value.to_owned() }, Some(advice));
    }

    /// An unknown key inside one of the mappings whose keys are all known.
    pub(super) fn unknown_key(&mut self, key: &Node, place: &'static str, known: &[&str]) {
        let name = key.as_text().unwrap_or_default().to_owned();
        let advice = did_you_mean(&name, known.iter().copied());
        let advice = advice.unwrap_or_else(|| format!("the keys are {}", known.join(", ")));
        self.report.error(key.span, Problem::UnknownKey { key: name, place }, Some(advice));
    }

    fn logsource(&mut self) -> Option<Logsource> {
        let Some((span, node)) = self.find("logsource") else { return self.missing("logsource") };
        let Some(entries) = node.as_mapping() else {
            return self.expected(span, "logsource", "a mapping of product, category and service");
        };
        let mut logsource = Logsource::default();
        for (key, value) in entries {
            let slot = match key.as_text() {
                Some("product") => &mut logsource.product,
                Some("category") => &mut logsource.category,
                Some("service") => &mut logsource.service,
                Some("definition") => continue,
                name => {
                    self.other_logsource_key(key, name.unwrap_or_default());
                    continue;
                }
            };
            match value.as_text() {
                Some(text) => *slot = Some(text.to_owned()),
                None => self.expected(value.span, key.as_text().unwrap_or_default(), "text").unwrap_or_default(),
            }
        }
        if logsource == Logsource::default() {
            return self.expected(span, "logsource", "at least one of product, category and service");
        }
        Some(logsource)
    }

    /// A misspelt key would widen the rule to events that it is not for.
    fn other_logsource_key(&mut self, key: &Node, name: &str) {
        let place = "logsource";
        let problem = Problem::UnknownKey { key: name.to_owned(), place };
        match did_you_mean(name, ["product", "category", "service", "definition"]) {
            Some(advice) => self.report.error(key.span, problem, Some(advice)),
            None => self.report.warn(key.span, problem, Some("it does not narrow the rule".to_owned())),
        }
    }
}
