//! The report for people: what the capture holds, and what is wrong where.

use std::fmt::Write as _;
use std::io::{self, Write};

use warden_protocol::channel::{Anomaly, Report, StreamReport};
use warden_protocol::wire::{PayloadType, Side};
use warden_session::timestamp::to_rfc3339;

use super::{Problem, Verified, report};
use crate::exit::Exit;
use crate::paint::Paint;
use crate::reconstruct::Session;
use crate::report::{Lines, escape};

/// Problems that are shown one by one.
const MAX_SHOWN: usize = 20;

pub(super) fn print(out: &mut impl Write, verified: &Verified, paint: Paint) -> io::Result<()> {
    if verified.sessions.is_empty() {
        writeln!(out, "{}  no message of a data channel is in it", paint.bold(&safe(&verified.path)))?;
    }
    for (at, session) in verified.sessions.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        heading(out, verified, at, session, paint)?;
        contents(out, session)?;
        wrong(out, verified, at, session, paint)?;
        verdict(out, verified, session, paint)?;
    }
    Ok(())
}

fn heading(out: &mut impl Write, verified: &Verified, at: usize, session: &Session, paint: Paint) -> io::Result<()> {
    let name = session.id.as_deref().map_or("session without an id".to_owned(), |id| format!("session {}", safe(id)));
    let format = verified.facts.format.as_str();
    writeln!(out, "{}  {}", paint.bold(&name), paint.dim(&format!("{} ({format})", safe(&verified.path))))?;
    let Some(span) = verified.spans.get(at) else { return Ok(()) };
    let seconds = span.last.duration_since(span.first).as_secs();
    let (first, last) = (to_rfc3339(span.first), to_rfc3339(span.last));
    line(out, "time", &format!("{first} to {last}, {}", duration(seconds)))
}

fn contents(out: &mut impl Write, session: &Session) -> io::Result<()> {
    let channel = &session.report;
    if let Some((session_type, evidence)) = &channel.session_type {
        line(out, "type", &format!("{} (known from the {})", safe(session_type.as_str()), known_from(*evidence)))?;
    }
    let version = |version: &Option<String>| version.as_deref().map_or("not known".to_owned(), safe);
    let (client, agent) = (version(&channel.client_version), version(&channel.agent_version));
    line(out, "versions", &format!("client {client}, agent {agent}"))?;
    line(out, "messages", &messages(channel))?;
    for (side, report) in [(Side::Client, &channel.client), (Side::Agent, &channel.agent)] {
        for (payload_type, summary) in &report.streams {
            let name = stream_name(side, *payload_type);
            let text = format!("{side} {:<29} {:>10} bytes  sha256 {}", name, summary.bytes, summary.sha256);
            line(out, "stream", &text)?;
        }
    }
    for it in session.forwarding.connections() {
        let text = format!(
            "{} {}: {} bytes from the client, {} from the agent, {}",
            report::carriage(&session.forwarding).unwrap_or("connection"),
            it.id,
            it.client.bytes(),
            it.agent.bytes(),
            it.end.as_str()
        );
        line(out, "connection", &text)?;
    }
    if let Some(code) = channel.exit_code {
        line(out, "exit code", &code.to_string())?;
    }
    match channel.closed_reason.as_deref() {
        Some("") => line(out, "closed", "by the service, without a reason"),
        Some(reason) => line(out, "closed", &safe(reason)),
        None => line(out, "closed", "the capture does not hold the end"),
    }
}

fn messages(channel: &Report) -> String {
    let mut text = format!("{}, {} of them texts", channel.frames, channel.texts);
    let total = |count: fn(&StreamReport) -> u64| count(&channel.client) + count(&channel.agent);
    for (count, what) in [
        (total(|side| side.duplicates), "sent again"),
        (total(|side| side.late), "late"),
        (total(|side| side.reordered), "ahead of time"),
        (channel.reconnects, "reconnects"),
        (channel.pauses, "pauses"),
        (total(|side| side.decrypted), "decrypted"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text
}

fn wrong(out: &mut impl Write, verified: &Verified, at: usize, session: &Session, paint: Paint) -> io::Result<()> {
    let channel = &session.report;
    let problems = verified.problems.iter().filter(|problem| problem.session == at);
    let closed = |problem: &&Problem| matches!(problem.anomaly, Anomaly::DoesNotOpen(_));
    // A key that opens nothing is said once.
    let wrong_key = channel.client.decrypted + channel.agent.decrypted == 0 && problems.clone().any(|it| closed(&it));
    let problems: Vec<&Problem> = problems.filter(|problem| !(wrong_key && closed(problem))).collect();
    for (side, report) in [(Side::Client, &channel.client), (Side::Agent, &channel.agent)] {
        for gap in &report.missing {
            let numbers = if gap.from == gap.to { gap.from.to_string() } else { format!("{} to {}", gap.from, gap.to) };
            bad(out, paint, "missing", &format!("{side} messages {numbers}"))?;
        }
        if report.unlisted_missing > 0 {
            bad(out, paint, "missing", &format!("{} more messages of the {side}", report.unlisted_missing))?;
        }
        if report.encrypted > 0 {
            let why = match wrong_key {
                true => "the key that was given opens none, so it is not this session's",
                false if channel.client.decrypted + channel.agent.decrypted > 0 => {
                    "the key opens others, but not these"
                }
                false => "give the data key with --key",
            };
            bad(out, paint, "encrypted", &format!("{} messages of the {side}: {why}", report.encrypted))?;
        }
    }
    if let Some(record) = verified.facts.chain.as_ref().and_then(|chain| chain.broken_at) {
        bad(out, paint, "chain", &format!("breaks at record {record}: what follows need not be what was recorded"))?;
    }
    for (offset, damage) in &session.damage {
        bad(out, paint, "damage", &format!("at byte {offset}: {damage}"))?;
    }
    for problem in problems.iter().take(MAX_SHOWN) {
        let label = if matches!(problem.anomaly, Anomaly::RetransmissionStorm) { "note" } else { "problem" };
        let place = problem.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
        let sequence = problem.sequence.map(|number| format!(", sequence {number}")).unwrap_or_default();
        let who = format!("message {}{place} ({}{sequence}, {})", problem.n, problem.side, to_rfc3339(problem.at));
        bad(out, paint, label, &format!("{who}: {}", problem.what()))?;
    }
    let more = problems.len().saturating_sub(MAX_SHOWN) as u64 + verified.unlisted;
    if more > 0 {
        bad(out, paint, "problem", &format!("{more} more; --format json lists up to {}", super::MAX_PROBLEMS))?;
    }
    Ok(())
}

fn verdict(out: &mut impl Write, verified: &Verified, session: &Session, paint: Paint) -> io::Result<()> {
    let text = match verified.exit_of(session) {
        Exit::Clean => paint.bold("whole: every digest is right, nothing is missing"),
        Exit::Findings => paint.wrong("contradictory: do not take it for what happened without an explanation"),
        _ if session.is_contradictory() => paint.wrong("incomplete, and contradictory"),
        _ => paint.wrong("incomplete"),
    };
    line(out, "verdict", &text)?;
    match &verified.facts.chain {
        None => {
            let text = "this format has no chain of hashes: records that were taken out need not leave a trace";
            line(out, "", &paint.dim(text))
        }
        Some(chain) => {
            if chain.masked > 0 {
                let text = format!("the input of {} messages that was not echoed, by the recorder", chain.masked);
                line(out, "masked", &text)?;
            }
            line(out, "last hash", &format!("{} of {} records", chain.last, chain.records))?;
            let text = "the chain proves nothing unless this hash is the one that was kept elsewhere";
            line(out, "", &paint.dim(text))
        }
    }
}

impl Problem {
    /// What it is, in words that hold nothing of the session.
    pub(super) fn what(&self) -> String {
        match &self.anomaly {
            Anomaly::Undecodable(error) => format!("undecodable: {error}"),
            Anomaly::BadDigest => "bad-digest: the payload is not what its sender hashed".to_owned(),
            Anomaly::Conflicting => "conflicting: other bytes under a sequence number that came before".to_owned(),
            Anomaly::TooLate => "too-late: it came when its gap had been given up".to_owned(),
            Anomaly::RetransmissionStorm => "storm: the same message over and over".to_owned(),
            Anomaly::WrongSender => "wrong-sender: this end does not send such messages".to_owned(),
            Anomaly::AcknowledgesNothing { sequence } => {
                format!("acknowledges message {sequence}, which is not in the capture")
            }
            Anomaly::AcknowledgesOther { sequence } => {
                format!("acknowledges another message {sequence} than the one in the capture")
            }
            Anomaly::NonceJump(jump) => match jump.unaccounted {
                Some(count) => format!("nonce-jump: {count} sealed messages are not in the capture"),
                None => "nonce-jump: the nonce is not behind the one before".to_owned(),
            },
            Anomaly::DoesNotOpen(error) => format!("does-not-open: {error}"),
            Anomaly::Unreadable(error) => format!("unreadable: {error}"),
            Anomaly::Refused(faults) => format!("refused: {} fields of a wrong type", faults.len()),
            _ => "anomaly".to_owned(),
        }
    }
}

/// What a payload type carries from this side.
fn stream_name(side: Side, payload_type: PayloadType) -> &'static str {
    match (payload_type, side) {
        (PayloadType::OUTPUT, Side::Client) => "input",
        _ => payload_type.name().unwrap_or("unknown"),
    }
}

fn known_from(evidence: warden_protocol::channel::Evidence) -> &'static str {
    use warden_protocol::channel::Evidence;
    match evidence {
        Evidence::Terminal => "terminal's traffic",
        Evidence::Payload => "payloads",
        Evidence::Handshake => "handshake",
    }
}

fn duration(seconds: i64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn line(out: &mut impl Write, label: &str, text: &str) -> io::Result<()> {
    writeln!(out, "  {label:<10}  {text}")
}

fn bad(out: &mut impl Write, paint: Paint, label: &str, text: &str) -> io::Result<()> {
    writeln!(out, "  {}  {text}", paint.wrong(&format!("{label:<10}")))
}

fn safe(text: &str) -> String {
    escape(text, Lines::Show)
}
