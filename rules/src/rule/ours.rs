//! Keys of our own: `dedup` and `tests`.

use serde_json::{Map, Value as Json};

use super::parse::Reader;
use super::{Case, CaseInput, Dedup, Scope};
use crate::yaml::{Data, Node};

impl Reader<'_, '_> {
    pub(super) fn dedup(&mut self) -> Option<Dedup> {
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

    pub(super) fn cases(&mut self) -> Vec<Case> {
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
