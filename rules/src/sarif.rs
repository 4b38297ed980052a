//! Findings as one SARIF log (OASIS SARIF 2.1.0, <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::Level;
use crate::finding::Finding;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Longest command shown in a message, in characters.
const MAX_SHOWN: usize = 1000;

/// One log with one run: the rules that matched, and a result for each finding, in the order given. The findings are
/// expected to be masked, see [`crate::mask::Masker::finding`].
pub fn log(findings: &[Finding]) -> Value {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rules: Vec<Value> = Vec::new();
    for finding in findings {
        places.entry(&finding.rule.id).or_insert_with(|| {
            rules.push(rule(finding));
            rules.len() - 1
        });
    }
    let place = |finding: &Finding| places.get(finding.rule.id.as_str()).copied().unwrap_or_default();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, place(finding))).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "Session Warden", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(finding: &Finding) -> Value {
    let rule = &finding.rule;
    json!({
        "id": rule.id,
        "shortDescription": {"text": plain(&rule.title)},
        "defaultConfiguration": {"level": level(finding.level())},
        "properties": {"tags": rule.tags, "security-severity": score(finding.level()), "hash": rule.hash},
    })
}

fn result(finding: &Finding, rule_index: usize) -> Value {
    let mut properties = json!({
        "session": finding.session, "principal": finding.principal, "target": finding.target,
        "account": finding.account, "region": finding.region, "run_as": finding.run_as,
        "trust": finding.source.trust, "level": finding.rule.level, "decoded": finding.decoded,
    });
    if let Some(properties) = properties.as_object_mut() {
        properties.retain(|_, value| !value.is_null());
    }
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": rule_index,
        "kind": "fail",
        "level": level(finding.level()),
        "message": {"text": message(finding)},
        "locations": [{"physicalLocation": location(finding)}],
        "partialFingerprints": {"findingId/v1": finding.finding_id},
        "properties": properties,
    })
}

fn message(finding: &Finding) -> String {
    let what = match (&finding.command, &finding.api_call) {
        (Some(command), _) => command.text.as_str(),
        (None, Some(call)) => call.event_name.as_str(),
        (None, None) => "",
    };
    let who = finding.principal.as_deref().or(finding.session.as_deref()).unwrap_or("unknown principal");
    plain(&format!("{}: {what} ({who})", finding.rule.title))
}

/// The file, and the bytes of it that show the command; an API call has no place in bytes.
fn location(finding: &Finding) -> Value {
    let artifact = json!({"uri": uri(&finding.source.path)});
    match &finding.command {
        Some(command) => {
            let length = command.offset.end.saturating_sub(command.offset.start);
            json!({
                "artifactLocation": artifact,
                "region": {"byteOffset": command.offset.start, "byteLength": length},
            })
        }
        None => json!({"artifactLocation": artifact}),
    }
}

/// A path as a URI reference (RFC 3986): an absolute one becomes `file:`, a relative one stays relative.
fn uri(path: &str) -> String {
    if path == "-" {
        return "stdin".to_owned();
    }
    if let Some((scheme, rest)) = path.split_once("://") {
        // A key of an object may hold `?`, `#` and `%`, which mean something else in a URI.
        let encoded: String = rest.bytes().map(|byte| encode(byte, b"/:@!$&'()*+,;=")).collect();
        return format!("{scheme}://{encoded}");
    }
    // A colon in the first segment would read as a scheme.
    let encoded: String = path.bytes().map(|byte| encode(byte, b"/")).collect();
    if encoded.starts_with('/') { format!("file://{encoded}") } else { encoded }
}

fn encode(byte: u8, kept: &[u8]) -> String {
    let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte);
    if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}

/// Text as a SARIF plain text message: no placeholders (§3.11.5), no links (§3.11.6), no control or bidi characters.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == MAX_SHOWN {
            out.push('…');
            break;
        }
        match c {
            '{' => out.push_str("{{"),
            '}' => out.push_str("}}"),
            '[' | ']' | '\\' => out.extend(['\\', c]),
            '\n' => out.push(' '),
            c if is_unseen(c) => {
                // Writing to a string does not fail.
                let _ = write!(out, "<U+{:04X}>", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether a viewer acts on a character instead of showing it: control and bidi characters, line and paragraph separators.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::High => "error",
        Level::Medium => "warning",
        Level::Low | Level::Informational => "note",
    }
}

/// The score by which code scanning sorts security results (`security-severity`, 0.0 to 10.0).
fn score(level: Level) -> &'static str {
    match level {
        Level::Critical => "9.5",
        Level::High => "8.0",
        Level::Medium => "5.5",
        Level::Low => "3.0",
        Level::Informational => "0.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        let rows = [
            ("relative", "logs/a b.log", "logs/a%20b.log"),
            ("absolute", "/var/ü.log", "file:///var/%C3%BC.log"),
            ("colon", "a:b.log", "a%3Ab.log"),
            ("object", "s3://bucket/50%/a?b#c.log", "s3://bucket/50%25/a%3Fb%23c.log"),
            ("input", "-", "stdin"),
        ];
        for (name, path, expected) in rows {
            assert_eq!(uri(path), expected, "{name}");
        }
    }

    #[test]
    fn messages_show_what_viewers_would_act_on() {
        assert_eq!(plain("a\u{2028}b\u{2067}c\td"), "a<U+2028>b<U+2067>c<U+0009>d");
    }
}
