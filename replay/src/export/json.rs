//! `--to json`: the whole session as JSON Lines, in the order of time.
//!
//! Every object has `type`, and all but the first and last have `at` (RFC 3339 or null), `ms` (milliseconds since the session
//! began; made up where the record holds no times) and `place` (bytes of output before it; in transcripts and log streams
//! bytes of the file). `command` and `finding` are the objects of `warden commands` and `warden scan`, with these fields added
//! where the object has no field of that name (a command's own `at` stays).
//!
//! | type | fields |
//! |---|---|
//! | `session` | `session`, `principal`, `target`, `account`, `region`, `run_as`, `document`, `reason`, `started`, `ended`, `session_type`, `source` (`kind`, `path`, `trust`, `sha256`), `cols`, `rows`, `begins`, `ends`, `timed` |
//! | `output` | `text`, if it is UTF-8 by itself, else `base64` |
//! | `input` | the same; what the terminal echoed. With `--redact` or `--redact-pattern` only `bytes`, its length |
//! | `hidden_input` | `bytes`: how many were typed and not echoed; never what |
//! | `resize` | `cols`, `rows` |
//! | `command` | as `warden commands` prints it |
//! | `finding` | as `warden scan` prints it |
//! | `gap` | `direction` (`input` or `output`), `messages` (null = not known) |
//! | `redaction` | `characters`, `end` (place behind it), `hmac_sha256` |
//! | `exit` | `code` |
//! | `note` | `text`: reconnects, pauses, anomalies, damage, in words |
//! | `summary` | `duration_ms`, `output_bytes`, `commands`, `findings`, `redactions`, `incomplete`, `other_sessions` |

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use warden_session::timeline::Direction;
use warden_session::timestamp::to_rfc3339;

use super::survey::Marked;
use super::telling::{Teller, Telling, Told};

/// Writes the lines.
///
/// # Errors
/// What the file system or the output says.
pub(crate) fn write(teller: &Teller<'_>, out: &mut dyn Write) -> io::Result<()> {
    let survey = teller.survey;
    writeln!(out, "{}", session(teller))?;
    let (mut commands, mut findings) = (0_u64, 0_u64);
    teller.tell(&mut |told| {
        commands += u64::from(matches!(told.what, Telling::Command(_)));
        findings += u64::from(matches!(told.what, Telling::Mark(Marked::Finding(_))));
        let mut object = object(teller, told);
        for (name, value) in
            [("at", json!(told.at.map(to_rfc3339))), ("ms", json!(told.ms)), ("place", json!(told.place))]
        {
            object.entry(name).or_insert(value);
        }
        writeln!(out, "{}", Value::Object(object))
    })?;
    let summary = json!({
        "type": "summary", "duration_ms": survey.duration(), "output_bytes": survey.output, "commands": commands,
        "findings": findings, "redactions": teller.cuts.all.len(), "incomplete": survey.is_incomplete(),
        "other_sessions": survey.ending.others,
    });
    writeln!(out, "{summary}")
}

fn session(teller: &Teller<'_>) -> Value {
    let survey = teller.survey;
    let session = &survey.session;
    json!({
        "type": "session", "session": session.id, "principal": session.principal, "target": session.target,
        "account": session.account, "region": session.region, "run_as": session.run_as, "document": session.document,
        "reason": session.reason.as_ref().map(|reason| teller.text(reason)), "started": session.started.map(to_rfc3339), "ended": session.ended.map(to_rfc3339),
        "session_type": session.plugin,
        "source": {
            "kind": survey.found_in.kind, "path": survey.found_in.path, "trust": survey.found_in.trust,
            "sha256": survey.sha256,
        },
        "cols": survey.size.map(|(cols, _)| cols), "rows": survey.size.map(|(_, rows)| rows),
        "begins": survey.dates().map(|(first, _)| to_rfc3339(first)), "ends": survey.dates().map(|(_, last)| to_rfc3339(last)),
        "timed": survey.times.is_some(),
    })
}

fn object(teller: &Teller<'_>, told: &Told<'_>) -> Map<String, Value> {
    let value = match &told.what {
        Telling::Output(bytes) => data("output", bytes),
        Telling::Input(bytes) => data("input", bytes),
        Telling::Typed(bytes) => json!({"type": "input", "bytes": bytes}),
        Telling::Command(command) => {
            let mut value = json!({"type": "command", "session": teller.survey.session.id});
            if let (Some(object), Ok(Value::Object(fields))) = (value.as_object_mut(), serde_json::to_value(command)) {
                object.extend(fields);
            }
            value
        }
        Telling::Redaction(cut) => json!({
            "type": "redaction", "characters": cut.characters, "end": cut.place.end, "hmac_sha256": cut.digest,
        }),
        Telling::Mark(mark) => of_mark(teller, mark),
    };
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn data(name: &str, bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({"type": name, "text": text}),
        Err(_) => json!({"type": name, "base64": STANDARD.encode(bytes)}),
    }
}

fn of_mark(teller: &Teller<'_>, mark: &Marked) -> Value {
    match mark {
        Marked::Command(_) => Value::Null,
        Marked::Finding(finding) => teller.finding(finding).to_json(),
        Marked::Resize { cols, rows } => json!({"type": "resize", "cols": cols, "rows": rows}),
        Marked::Gap { direction, messages } => {
            let direction = match direction {
                Direction::Input => "input",
                Direction::Output => "output",
            };
            json!({"type": "gap", "direction": direction, "messages": Some(*messages).filter(|count| *count > 0)})
        }
        Marked::Hidden { bytes } => json!({"type": "hidden_input", "bytes": bytes}),
        Marked::Exit(code) => json!({"type": "exit", "code": code}),
        Marked::Note(text) => json!({"type": "note", "text": text}),
    }
}
