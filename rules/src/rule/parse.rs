//! One YAML document -> one rule, or what is wrong with it.

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::{Case, CaseInput, Dedup, Level, Logsource, Response, Rule, Scope, Status};
use crate::detection::{self, Fields};
use crate::error::{Problem, Report, did_you_mean};
use crate::yaml::{Data, Document, Node, Span};

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
    let id = reader.required_text("id");
    let title = reader.required_text("title");
    let level = reader.level();
    let status = reader.status();
    let logsource = reader.logsource();
    let tags = reader.texts("tags");
    let description = reader.optional_text("description");
    let (owner, runbook) = (reader.optional_text("owner"), reader.optional_text("runbook"));
    let response = reader.response();
    let dedup = reader.dedup();
    let cases = reader.cases();
    let known = logsource.as_ref().and_then(known_fields);
    let detection = match reader.find("detection") {
        Some((key, node)) => detection::parse(key, node, known, fields, reader.report),
        None => reader.missing("detection"),
    };
    if reader.report.errors() > before {
        return None;
    }
    Some(Rule {
        id: id?,
        title: title?,
        level,
        status,
        logsource: logsource?,
        tags,
        description,
        path: path.to_owned(),
        line: root.line,
        hash: hex(&Sha256::digest(text)),
        response,
        dedup,
        owner,
        runbook,
        cases,
        detection: detection?,
    })
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

struct Reader<'r, 't> {
    entries: &'r [(Node, Node)],
    start: Span,
    report: &'r mut Report<'t>,
}

impl<'r> Reader<'r, '_> {
    fn find(&self, name: &str) -> Option<(Span, &'r Node)> {
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

    fn expected<T>(&mut self, span: Span, what: &str, expected: &'static str) -> Option<T> {
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

    fn unknown_value(&mut self, span: Span, what: &'static str, value: &str, words: &[&str]) {
        let advice = did_you_mean(value, words.iter().copied());
        let advice = advice.unwrap_or_else(|| format!("it is one of {}", words.join(", ")));
        self.report.error(span, Problem::UnknownValue { what, value: value.to_owned() }, Some(advice));
    }

    /// An unknown key inside one of the mappings whose keys are all known.
    fn unknown_key(&mut self, key: &Node, place: &'static str, known: &[&str]) {
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

    fn dedup(&mut self) -> Option<Dedup> {
        let (span, node) = self.find("dedup")?;
        let Some(entries) = node.as_mapping() else {
            return self.expected(span, "dedup", "a mapping of by and window");
        };
        let (mut by, mut window) = (vec![Scope::Session], None);
        for (key, value) in entries {
            match key.as_text() {
                Some("by") => by = self.scopes(value)?,
                Some("window") => {
                    window = value.as_text().and_then(seconds);
                    if window.is_none() {
                        return self.expected(value.span, "window", "a duration such as 90s, 15m, 1h or 7d");
                    }
                }
                _ => self.unknown_key(key, "dedup", &["by", "window"]),
            }
        }
        match window {
            Some(window) => Some(Dedup { by, window }),
            None => self.expected(span, "dedup.window", "given"),
        }
    }

    fn scopes(&mut self, node: &Node) -> Option<Vec<Scope>> {
        let words = ["session", "principal", "target"];
        let nodes = node.as_sequence().unwrap_or(std::slice::from_ref(node));
        let mut scopes = Vec::new();
        for node in nodes {
            scopes.push(match node.as_text() {
                Some("session") => Scope::Session,
                Some("principal") => Scope::Principal,
                Some("target") => Scope::Target,
                other => {
                    self.unknown_value(node.span, "scope", other.unwrap_or_default(), &words);
                    return None;
                }
            });
        }
        if scopes.is_empty() {
            return self.expected(node.span, "dedup.by", "a list of session, principal, target");
        }
        Some(scopes)
    }

    fn cases(&mut self) -> Vec<Case> {
        let Some((span, node)) = self.find("tests") else { return Vec::new() };
        let Some(list) = node.as_sequence() else {
            return self.expected(span, "tests", "a list of cases").unwrap_or_default();
        };
        list.iter().filter_map(|node| self.case(node)).collect()
    }

    fn case(&mut self, node: &Node) -> Option<Case> {
        let Some(entries) = node.as_mapping() else {
            return self.expected(node.span, "tests", "a list of mappings with match and command or event");
        };
        let (mut name, mut expected, mut inputs) = (None, None, Vec::new());
        for (key, value) in entries {
            match key.as_text() {
                Some("name") => name = value.as_text().map(str::to_owned),
                Some("match") => match value.as_bool() {
                    Some(value) => expected = Some(value),
                    None => return self.expected(value.span, "match", "true or false"),
                },
                Some("command") => match &value.data {
                    Data::Scalar { text, .. } if !value.is_null() => inputs.push(CaseInput::Command(text.clone())),
                    _ => return self.expected(value.span, "command", "a command line"),
                },
                Some("event") if value.as_mapping().is_some() => inputs.push(CaseInput::Event(json(value))),
                Some("event") => return self.expected(value.span, "event", "a mapping of fields"),
                _ => self.unknown_key(key, "a case", &["name", "match", "command", "event"]),
            }
        }
        let Some(expected) = expected else { return self.expected(node.span, "match", "given in each case") };
        let (1, Some(input)) = (inputs.len(), inputs.pop()) else {
            return self.expected(node.span, "tests", "cases with either command or event");
        };
        Some(Case { name, expected, input, line: node.span.line, column: node.span.column })
    }
}

/// Seconds of `90s`, `15m`, `1h`, `7d`.
fn seconds(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text.get(..text.len() - 1)?.parse().ok()?;
    number.checked_mul(unit).filter(|&seconds| seconds > 0)
}

/// The JSON value that a plain reader of YAML would make of the node. Its depth is bounded by the parser.
fn json(node: &Node) -> Json {
    match &node.data {
        Data::Sequence(elements) => Json::Array(elements.iter().map(json).collect()),
        Data::Mapping(entries) => {
            let name = |key: &Node| key.as_text().unwrap_or("null").to_owned();
            Json::Object(entries.iter().map(|(key, value)| (name(key), json(value))).collect::<Map<_, _>>())
        }
        Data::Scalar { .. } if node.is_null() => Json::Null,
        Data::Scalar { text, plain } => match (node.as_bool(), text.parse::<i64>()) {
            (Some(value), _) => Json::Bool(value),
            // Only what is written as JSON writes it: 010 stays text.
            (None, Ok(number)) if *plain && number.to_string() == *text => Json::Number(number.into()),
            _ => Json::String(text.clone()),
        },
    }
}
