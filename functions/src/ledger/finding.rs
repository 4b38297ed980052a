//! Findings as rows hold them: the JSON of [`Finding::to_json`], bounded, and read back.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use warden_rules::finding::{ApiCallRef, Finding, Matched, RuleRef, Source};
use warden_session::command::{Command, Confidence, Mark, Origin};
use warden_session::{Invocation, Kind};

use super::facts::cut;

/// Longest text of a stored finding, in bytes.
pub const TEXT_LIMIT: usize = 8 * 1024;
/// Longest other value of a stored finding, in bytes.
pub const VALUE_LIMIT: usize = 2 * 1024;
/// Most elements of each of its lists.
pub const LIST_LIMIT: usize = 16;
/// Most words of an argument vector.
pub const WORDS_LIMIT: usize = 32;
/// Longest stored finding, in bytes of JSON: beyond it what is decoded goes first, then what matched.
pub const FINDING_LIMIT: usize = 48 * 1024;

/// Cuts a finding to what alerts show and rows hold. The evidence has the rest.
pub fn bound(finding: &mut Finding) {
    if let Some(command) = &mut finding.command {
        if command.text.len() > TEXT_LIMIT {
            shorten(&mut command.text, TEXT_LIMIT);
            command.marks.insert(Mark::Cut);
        }
        command.prompt.iter_mut().chain(&mut command.cwd).for_each(|text| shorten(text, VALUE_LIMIT));
        command.invocations.truncate(LIST_LIMIT);
        for invocation in &mut command.invocations {
            invocation.argv.truncate(WORDS_LIMIT);
            invocation.via.truncate(LIST_LIMIT);
            invocation.argv.iter_mut().chain(&mut invocation.via).for_each(|word| shorten(word, VALUE_LIMIT));
        }
    }
    finding.matched.truncate(LIST_LIMIT);
    for matched in &mut finding.matched {
        shorten(&mut matched.value, VALUE_LIMIT);
        let length = matched.value.len();
        matched.span = matched.span.filter(|(_, end)| *end <= length);
    }
    finding.decoded.truncate(LIST_LIMIT);
    finding.decoded.iter_mut().for_each(|text| shorten(text, VALUE_LIMIT));
    if let Some(call) = &mut finding.api_call {
        call.user_agent.iter_mut().for_each(|text| shorten(text, VALUE_LIMIT));
    }
    if length(finding) > FINDING_LIMIT
        && let Some(command) = &mut finding.command
    {
        command.invocations.truncate(1);
        finding.decoded.truncate(1);
    }
    if length(finding) > FINDING_LIMIT {
        finding.matched.truncate(1);
        finding.command.iter_mut().for_each(|command| command.invocations.clear());
    }
}

fn length(finding: &Finding) -> usize {
    finding.to_json().to_string().len()
}

fn shorten(text: &mut String, limit: usize) {
    if text.len() > limit {
        *text = format!("{}…", cut(text, limit));
    }
}

/// Reads a stored finding; `None` if it is none.
pub fn parse(value: &Value) -> Option<Finding> {
    let rule = value.get("rule")?;
    Some(Finding {
        finding_id: text(value, "finding_id")?,
        rule: RuleRef {
            id: text(rule, "id")?,
            title: text(rule, "title")?,
            level: text(rule, "level")?,
            tags: texts(rule, "tags"),
            hash: text(rule, "hash")?,
        },
        rules_version: text(value, "rules_version").unwrap_or_default(),
        session: text(value, "session"),
        principal: text(value, "principal"),
        target: text(value, "target"),
        account: text(value, "account"),
        region: text(value, "region"),
        run_as: text(value, "run_as"),
        source: source(value.get("source")?)?,
        command: value.get("command").and_then(command),
        api_call: value.get("api_call").and_then(api_call),
        matched: list(value, "matched", matched),
        decoded: texts(value, "decoded"),
    })
}

fn source(value: &Value) -> Option<Source> {
    let kinds = [Kind::Transcript, Kind::LogStream, Kind::ApiCall];
    let (kind, path) = (value.get("kind")?.as_str()?, value.get("path")?.as_str()?);
    kinds.into_iter().map(|kind| Source::new(kind, path)).find(|source| source.kind == kind)
}

fn command(value: &Value) -> Option<Command> {
    let offset = value.get("offset")?;
    let at = |n: usize| offset.get(n).and_then(Value::as_u64).unwrap_or_default();
    let origins = [Origin::Screen, Origin::Keys, Origin::Marker, Origin::Api];
    let confidences = [Confidence::Low, Confidence::Medium, Confidence::High];
    Some(Command {
        n: value.get("n").and_then(Value::as_u64).unwrap_or_default(),
        text: text(value, "text")?,
        at: time(value, "at"),
        prompt: text(value, "prompt"),
        origin: named(value.get("origin")?, &origins)?,
        confidence: named(value.get("confidence")?, &confidences)?,
        offset: at(0)..at(1),
        marks: texts(value, "marks").iter().filter_map(|name| mark(name)).collect::<BTreeSet<_>>(),
        // Only captures tell of it.
        hidden_input: Vec::new(),
        user: text(value, "user"),
        cwd: text(value, "cwd"),
        invocations: list(value, "invocations", |value| {
            let decoded = value.get("decoded").and_then(Value::as_bool).unwrap_or_default();
            Some(Invocation { argv: texts(value, "argv"), via: texts(value, "via"), decoded })
        }),
    })
}

fn api_call(value: &Value) -> Option<ApiCallRef> {
    Some(ApiCallRef {
        event_id: text(value, "event_id"),
        event_name: text(value, "event_name")?,
        event_time: time(value, "event_time"),
        source_ip: text(value, "source_ip"),
        user_agent: text(value, "user_agent"),
        error_code: text(value, "error_code"),
    })
}

fn matched(value: &Value) -> Option<Matched> {
    let end = |n: usize| value.pointer(&format!("/span/{n}")).and_then(Value::as_u64).map(usize::try_from);
    let span = match (end(0), end(1)) {
        (Some(Ok(from)), Some(Ok(to))) => Some((from, to)),
        _ => None,
    };
    Some(Matched { field: text(value, "field")?, value: text(value, "value")?, span })
}

/// The value whose serialised form this is.
fn named<T: Copy + serde::Serialize>(value: &Value, all: &[T]) -> Option<T> {
    all.iter().copied().find(|one| serde_json::to_value(one).is_ok_and(|name| name == *value))
}

fn mark(name: &str) -> Option<Mark> {
    let all = [
        Mark::Edited,
        Mark::Hidden,
        Mark::SpoofSuspect,
        Mark::Unterminated,
        Mark::Obfuscated,
        Mark::Repl,
        Mark::Profile,
        Mark::UnknownControl,
        Mark::Cut,
    ];
    all.into_iter().find(|mark| mark.as_str() == name)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn time(value: &Value, key: &str) -> Option<Timestamp> {
    value.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok())
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key, |value| value.as_str().map(str::to_owned))
}

fn list<T>(value: &Value, key: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    value.get(key).and_then(Value::as_array).map(|list| list.iter().filter_map(read).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use warden_rules::detect::{Detector, typed};
    use warden_rules::library;
    use warden_session::session::Platform;
    use warden_session::{Session, SessionId};

    fn found(line: &str) -> Finding {
        let set = library::load().set;
        let session = Session { id: SessionId::parse("alice-052afb0c93508ea82"), ..Session::default() };
        let source = Source::new(Kind::Transcript, "s3://logs/alice.log");
        let mut findings = Detector::new(&set).command_findings(&session, &source, &typed(line, Platform::Linux));
        findings.swap_remove(0)
    }

    #[test]
    fn a_finding_comes_back_as_it_went() {
        let mut finding = found("sudo bash -c 'cat /etc/shadow'");
        finding.command.as_mut().unwrap().marks.insert(Mark::SpoofSuspect);
        assert_eq!(parse(&finding.to_json()).unwrap(), finding);
    }

    #[test]
    fn a_huge_finding_is_bounded() {
        let mut finding = found(&format!("cat /etc/shadow {}", "x ".repeat(500_000)));
        finding.decoded = vec!["€".repeat(100_000); 1000];
        bound(&mut finding);
        assert!(length(&finding) <= FINDING_LIMIT, "{}", length(&finding));
        assert!(finding.command.as_ref().unwrap().marks.contains(&Mark::Cut));
        assert_eq!(parse(&finding.to_json()).unwrap(), finding);
    }
}
