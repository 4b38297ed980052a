//! `--to timesketch`: JSON Lines that Timesketch imports (<https://timesketch.org/guides/user/import-from-json-csv/>).
//!
//! Every line has `message`, `datetime` (ISO 8601 with offset, milliseconds) and `timestamp_desc`, and what an investigation
//! filters by: `session`, `principal`, `target`, `account`, `region`, `run_as`, `source_kind`, `source_path`, `source_sha256`,
//! `trust`; commands have `command`, `n`, `prompt`, `origin`, `confidence`, `marks`, `offset`; findings `level`, `rule_id`,
//! `rule_title`, `finding_id`, and Timesketch's own `tag`. A record without times gives the session's start (from CloudTrail or
//! its header) plus made-up milliseconds, and says so in `time_is`: `recorded`, `made-up`.

use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::html::in_words;
use super::survey::{Marked, Survey};
use super::telling::{Teller, Telling, Told};
use crate::report::{Lines, escape};

/// Writes the lines.
///
/// # Errors
/// What the file system or the output says.
pub(crate) fn write(teller: &Teller<'_>, out: &mut dyn Write) -> io::Result<()> {
    let survey = teller.survey;
    let start = start(survey);
    let line = |out: &mut dyn Write, at: Timestamp, what: Value| write_line(survey, at, what, out);
    let name =
        survey.session.id.as_ref().map_or_else(|| "session without an id".to_owned(), |id| format!("session {id}"));
    line(out, start, json!({"message": format!("{name} begins"), "timestamp_desc": "Session Start"}))?;
    let mut last = start;
    teller.tell(&mut |told| {
        last = moment(start, told);
        told_as(teller, told).map_or(Ok(()), |what| line(out, last, what))
    })?;
    line(out, last, json!({"message": format!("{name} ends"), "timestamp_desc": "Session End"}))
}

/// The session's start as well as it is known; 1970 says that it is not known at all.
fn start(survey: &Survey) -> Timestamp {
    let recorded = survey.dates().map(|(first, _)| first);
    recorded.or(survey.session.started).or(survey.session.ended).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn moment(start: Timestamp, told: &Told<'_>) -> Timestamp {
    let since = SignedDuration::from_millis(i64::try_from(told.ms).unwrap_or(i64::MAX));
    start.checked_add(since).unwrap_or(start)
}

fn told_as(teller: &Teller<'_>, told: &Told<'_>) -> Option<Value> {
    Some(match &told.what {
        Telling::Output(_) | Telling::Input(_) | Telling::Typed(_) | Telling::Mark(Marked::Command(_)) => return None,
        Telling::Command(command) => json!({
            "message": escape(&command.text, Lines::Show), "timestamp_desc": "Command Executed", "command": command.text,
            "n": command.n, "prompt": command.prompt, "origin": command.origin, "confidence": command.confidence,
            "marks": command.marks, "offset": [command.offset.start, command.offset.end],
        }),
        Telling::Redaction(cut) => json!({
            "message": format!("{} characters removed from the output", cut.characters), "timestamp_desc": "Redaction",
            "hmac_sha256": cut.digest,
        }),
        Telling::Mark(Marked::Finding(finding)) => {
            let finding = teller.finding(finding);
            let text = finding.command.as_ref().map(|command| command.text.clone()).unwrap_or_default();
            json!({
                "message": format!("[{}] {}: {}", finding.rule.level, finding.rule.title, escape(&text, Lines::Show)),
                "timestamp_desc": "Finding", "level": finding.rule.level, "rule_id": finding.rule.id,
                "rule_title": finding.rule.title, "finding_id": finding.finding_id, "command": text,
                "tag": finding.rule.tags,
            })
        }
        Telling::Mark(Marked::Resize { cols, rows }) => json!({
            "message": format!("window of {cols} x {rows}"), "timestamp_desc": "Terminal Resized",
        }),
        Telling::Mark(Marked::Hidden { bytes }) => json!({
            "message": format!("{bytes} bytes typed that the terminal did not echo"), "timestamp_desc": "Hidden Input",
        }),
        Telling::Mark(mark @ (Marked::Gap { .. } | Marked::Exit(_) | Marked::Note(_))) => {
            let described = match mark {
                Marked::Gap { .. } => "Evidence Missing",
                Marked::Exit(_) => "Command Ended",
                _ => "Note",
            };
            json!({"message": escape(&in_words(mark).1, Lines::Show), "timestamp_desc": described})
        }
    })
}

fn write_line(survey: &Survey, at: Timestamp, what: Value, out: &mut dyn Write) -> io::Result<()> {
    let session = &survey.session;
    let mut line = Map::new();
    if let Value::Object(what) = what {
        line.extend(what);
    }
    line.insert("datetime".to_owned(), json!(format!("{}+00:00", at.strftime("%Y-%m-%dT%H:%M:%S.%3f"))));
    let time_is = if survey.dates().is_some() { "recorded" } else { "made-up" };
    let facts = json!({
        "time_is": time_is, "session": session.id, "principal": session.principal, "target": session.target,
        "account": session.account, "region": session.region, "run_as": session.run_as,
        "source_kind": survey.found_in.kind, "source_path": survey.found_in.path, "source_sha256": survey.sha256,
        "trust": survey.found_in.trust,
    });
    if let Value::Object(facts) = facts {
        line.extend(facts);
    }
    writeln!(out, "{}", Value::Object(line))
}
