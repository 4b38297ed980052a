//! What the page says of the session as a whole.

use serde_json::{Value, json};
use warden_protocol::channel::{Report, StreamReport};
use warden_session::Kind;
use warden_session::screen::USUAL_COLS;
use warden_session::timestamp::to_rfc3339;

use crate::export::survey::Survey;
use crate::export::telling::Teller;
use crate::report::{Lines, escape};

/// The session's name.
pub(super) fn title(survey: &Survey) -> String {
    survey.session.id.as_ref().map_or_else(|| "Session without an id".to_owned(), |id| format!("Session {id}"))
}

/// Who, where, when, each in a few words.
pub(super) fn facts(teller: &Teller<'_>) -> Vec<String> {
    let survey = teller.survey;
    let reason = survey.session.reason.as_ref().map(|reason| teller.text(reason));
    let session = &survey.session;
    let mut facts = Vec::new();
    let mut say = |name: &str, value: Option<&String>| {
        if let Some(value) = value {
            facts.push(format!("{name}{}", escape(value, Lines::Show)));
        }
    };
    say("", session.principal.as_ref());
    say("on ", session.target.as_ref());
    say("as ", session.run_as.as_ref());
    say("in ", session.region.as_ref());
    say("account ", session.account.as_ref());
    say("", session.plugin.as_ref());
    say("reason: ", reason.as_ref());
    if let Some((first, _)) = survey.dates() {
        facts.push(to_rfc3339(first));
    }
    let seconds = survey.duration() / 1000;
    if survey.times.is_some() {
        facts.push(format!("{}:{:02}:{:02} long", seconds / 3600, seconds / 60 % 60, seconds % 60));
    }
    facts.push(format!("from a {}", survey.found_in.kind));
    facts
}

/// What a reader has to know before looking.
pub(super) fn notices(teller: &Teller<'_>) -> Vec<String> {
    let survey = teller.survey;
    let mut notices = Vec::new();
    if survey.times.is_none() {
        notices.push("This record holds no times: the speed is made up.".to_owned());
    }
    if survey.size.is_none() {
        let (cols, rows) = survey.window(USUAL_COLS);
        notices.push(format!("It does not say how large the window was: {cols} × {rows} is taken."));
    }
    if !survey.ending.others.is_empty() {
        notices.push(format!("The record holds {} further sessions, which are not shown.", survey.ending.others.len()));
    }
    if survey.is_incomplete() {
        notices.push("Something is missing from this record; see what was verified.".to_owned());
    }
    match teller.cuts.all.len() {
        0 => {}
        1 => notices.push("One text was removed from the output (█); its digest is listed.".to_owned()),
        texts => notices.push(format!("{texts} texts were removed from the output (█); their digests are listed.")),
    }
    notices
}

/// What was verified: state, label, rows of name and value.
pub(super) fn verify(teller: &Teller<'_>) -> Value {
    let survey = teller.survey;
    let mut rows = vec![
        ("Record", format!("{} ({})", escape(&survey.found_in.path, Lines::Show), survey.found_in.kind)),
        ("SHA-256 of it", survey.sha256.clone()),
        ("Written by", written_by(survey)),
    ];
    let (state, label) = match survey.report() {
        Some(report) => {
            of_channel(report, &mut rows);
            let broken = survey.ending.chain.as_ref().is_some_and(|chain| chain.broken_at.is_some());
            let contradicts =
                broken || survey.ending.capture.as_ref().is_some_and(|session| session.is_contradictory());
            match (contradicts, survey.is_incomplete()) {
                (true, _) => ("bad", "✗ contradicted"),
                (false, true) => ("incomplete", "△ incomplete"),
                (false, false) => ("whole", "✓ whole"),
            }
        }
        None if survey.is_incomplete() => ("incomplete", "△ incomplete"),
        None => ("unproven", "△ not provable"),
    };
    if let Some(chain) = &survey.ending.chain {
        rows.push(("Chain of hashes", format!("{chain}; last hash {}", chain.last)));
    }
    if let Some(capture) = &survey.ending.capture {
        rows.extend(capture.damage.iter().map(|(at, damage)| ("Damage", format!("at byte {at}: {damage}"))));
    }
    rows.extend(survey.deviations.iter().map(|(at, deviation)| ("Deviation", format!("at byte {at}: {deviation}"))));
    if survey.report().is_none() {
        rows.push((
            "Proof",
            "This kind of record holds no digests or sequence numbers: nothing shows that it is whole.".to_owned(),
        ));
    }
    rows.push(("Exported by", format!("warden {}", env!("CARGO_PKG_VERSION"))));
    json!({"state": state, "label": label, "rows": rows})
}

fn written_by(survey: &Survey) -> String {
    let is = |kind: Kind| warden_rules::finding::Source::new(kind, "").kind == survey.found_in.kind;
    if is(Kind::Capture) {
        return "whoever recorded the connection, away from the target".to_owned();
    }
    match survey.found_in.trust {
        "service" => "AWS".to_owned(),
        _ => "the target itself: whoever had root there can have changed it".to_owned(),
    }
}

fn of_channel(report: &Report, rows: &mut Vec<(&'static str, String)>) {
    rows.push(("Frames", report.frames.to_string()));
    rows.push(("Wrong digests", report.bad_digests.to_string()));
    rows.push(("Undecodable", report.undecodable.to_string()));
    rows.push(("Reconnects, pauses", format!("{}, {}", report.reconnects, report.pauses)));
    for (side, stream) in [("client", &report.client), ("agent", &report.agent)] {
        rows.push((if side == "client" { "Client sent" } else { "Agent sent" }, of_stream(stream)));
    }
    for (side, stream) in [("client", &report.client), ("agent", &report.agent)] {
        for (payload_type, summary) in &stream.streams {
            let name = if side == "client" { "Client stream" } else { "Agent stream" };
            let value = format!("type {}: {} bytes, SHA-256 {}", payload_type.0, summary.bytes, summary.sha256);
            rows.push((name, value));
        }
        if let Some(clock) = stream.clock {
            let name = if side == "client" { "Client clock" } else { "Agent clock" };
            rows.push((name, format!("{:+} ms against the capture's", clock.most_ms)));
        }
    }
    if let Some(code) = report.exit_code {
        rows.push(("Exit code", code.to_string()));
    }
    if let Some(reason) = &report.closed_reason {
        let reason = if reason.is_empty() { "no reason given".to_owned() } else { escape(reason, Lines::Show) };
        rows.push(("Closed", reason));
    }
}

fn of_stream(stream: &StreamReport) -> String {
    let ranges: Vec<String> = stream
        .missing
        .iter()
        .take(16)
        .map(|gap| if gap.from == gap.to { gap.from.to_string() } else { format!("{}–{}", gap.from, gap.to) })
        .collect();
    let missing = if ranges.is_empty() { "none missing".to_owned() } else { format!("missing {}", ranges.join(", ")) };
    format!(
        "{} messages, {missing}; {} duplicates, {} conflicting, {} late, {} reordered, {} decrypted, {} left encrypted",
        stream.unique,
        stream.duplicates,
        stream.conflicting,
        stream.late,
        stream.reordered,
        stream.decrypted,
        stream.encrypted
    )
}
