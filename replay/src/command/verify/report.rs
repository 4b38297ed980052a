//! The report as JSON: one object for each session, in the shape that scripts rely on.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};
use warden_protocol::channel::{Report, StreamReport};
use warden_protocol::connection::Connection;
use warden_protocol::port::{Carriage, Forwarding};
use warden_protocol::wire::Side;
use warden_session::timestamp::to_rfc3339;

use super::{Problem, Verified};
use crate::capture::own::Chain;
use crate::reconstruct::Session;

pub(super) fn print(out: &mut impl Write, verified: &Verified) -> io::Result<()> {
    for (at, session) in verified.sessions.iter().enumerate() {
        writeln!(out, "{}", report(verified, at, session))?;
    }
    Ok(())
}

fn report(verified: &Verified, at: usize, session: &Session) -> Value {
    let channel = &session.report;
    let span = verified.spans.get(at);
    let total = |count: fn(&StreamReport) -> u64| count(&channel.client) + count(&channel.agent);
    json!({
        "type": "verify",
        "session": session.id,
        "path": verified.path,
        "format": verified.facts.format.as_str(),
        "first": span.map(|span| to_rfc3339(span.first)),
        "last": span.map(|span| to_rfc3339(span.last)),
        "session_type": channel.session_type.as_ref().map(|(session_type, _)| session_type.as_str()),
        "agent_version": channel.agent_version,
        "client_version": channel.client_version,
        "kms_key_id": channel.kms_key_id,
        "frames": frames(channel),
        "stream_messages": stream_messages(channel),
        "duplicates": total(|side| side.duplicates),
        "conflicting": total(|side| side.conflicting),
        "late": total(|side| side.late),
        "reordered": total(|side| side.reordered),
        "sides": {"client": side(&channel.client), "agent": side(&channel.agent)},
        "reconnects": channel.reconnects,
        "pauses": channel.pauses,
        "bad_digests": channel.bad_digests,
        "bad_acknowledges": channel.bad_acknowledges,
        "missing": {"client": missing(&channel.client), "agent": missing(&channel.agent)},
        "undecodable": channel.undecodable,
        "encrypted": total(|side| side.encrypted),
        "decrypted": total(|side| side.decrypted),
        "streams": streams(channel),
        "carriage": carriage(&session.forwarding),
        "mux": session.forwarding.connections().map(connection).collect::<Vec<_>>(),
        "exit_code": channel.exit_code,
        "closed_reason": channel.closed_reason,
        "chain": chain(verified.facts.chain.as_ref()),
        "last_hash": verified.facts.chain.as_ref().map(|chain| chain.last.to_string()),
        "closing_record": verified.facts.chain.as_ref().map(|chain| chain.is_closed),
        "masked_messages": verified.facts.chain.as_ref().map(|chain| chain.masked),
        "clock_skew_ms": {"client": skew(&channel.client), "agent": skew(&channel.agent)},
        "damage": damage(session),
        "problems": verified.problems.iter().filter(|problem| problem.session == at).map(problem).collect::<Vec<_>>(),
        "unlisted_problems": verified.unlisted,
        "exit": verified.exit_of(session).code(),
    })
}

/// Messages by side and message type.
fn frames(report: &Report) -> Value {
    let mut sides = BTreeMap::from([("client", Map::new()), ("agent", Map::new()), ("service", Map::new())]);
    for ((side, message_type, _), count) in &report.counts {
        let types = sides.entry(side.as_str()).or_default();
        let before = types.get(&*message_type.to_text()).and_then(Value::as_u64).unwrap_or(0);
        types.insert(message_type.to_text().into_owned(), Value::from(before + count));
    }
    let mut frames = json!({"total": report.frames, "text": report.texts});
    if let Value::Object(frames) = &mut frames {
        frames.extend(sides.into_iter().map(|(side, types)| (side.to_owned(), Value::Object(types))));
    }
    frames
}

/// Stream messages by side and payload type.
fn stream_messages(report: &Report) -> Value {
    let mut sides = BTreeMap::from([("client", Map::new()), ("agent", Map::new())]);
    let of_streams = report.counts.iter().filter(|((_, message_type, _), _)| message_type.is_stream());
    for ((side, _, payload_type), count) in of_streams {
        let types = sides.entry(side.as_str()).or_default();
        let before = types.get(&payload_type.0.to_string()).and_then(Value::as_u64).unwrap_or(0);
        types.insert(payload_type.0.to_string(), Value::from(before + count));
    }
    json!(sides)
}

fn side(report: &StreamReport) -> Value {
    json!({
        "unique": report.unique,
        "duplicates": report.duplicates,
        "conflicting": report.conflicting,
        "late": report.late,
        "reordered": report.reordered,
        "encrypted": report.encrypted,
        "decrypted": report.decrypted,
        "unlisted_missing": report.unlisted_missing,
        "storms": report.storms,
    })
}

fn missing(side: &StreamReport) -> Vec<[i64; 2]> {
    side.missing.iter().map(|gap| [gap.from, gap.to]).collect()
}

fn streams(report: &Report) -> Vec<Value> {
    [(Side::Client, &report.client), (Side::Agent, &report.agent)]
        .into_iter()
        .flat_map(|(side, report)| {
            report.streams.iter().map(move |(payload_type, summary)| (side, payload_type, summary))
        })
        .map(|(side, payload_type, summary)| {
            json!({
                "side": side.as_str(),
                "payload_type": payload_type.0,
                "bytes": summary.bytes,
                "sha256": summary.sha256.to_string(),
            })
        })
        .collect()
}

pub(super) fn carriage(forwarding: &Forwarding) -> Option<&'static str> {
    match forwarding.carriage() {
        Carriage::Unknown => None,
        Carriage::Mux => Some("mux"),
        Carriage::Basic => Some("basic"),
        Carriage::StandardStream => Some("standard-stream"),
    }
}

fn connection(connection: &Connection) -> Value {
    json!({
        "id": connection.id,
        "client_bytes": connection.client.bytes(),
        "agent_bytes": connection.agent.bytes(),
        "client_sha256": connection.client.sha256().to_string(),
        "agent_sha256": connection.agent.sha256().to_string(),
        "opened": connection.opened.map(to_rfc3339),
        "closed": connection.closed.map(to_rfc3339),
        "end": connection.end.as_str(),
    })
}

fn chain(chain: Option<&Chain>) -> String {
    chain.map_or_else(|| "absent".to_owned(), ToString::to_string)
}

fn skew(side: &StreamReport) -> Option<i64> {
    side.clock.map(|clock| clock.most_ms)
}

fn damage(session: &Session) -> Vec<Value> {
    session.damage.iter().map(|(offset, damage)| json!({"offset": offset, "what": damage.to_string()})).collect()
}

fn problem(problem: &Problem) -> Value {
    json!({
        "n": problem.n,
        "offset": problem.offset,
        "at": to_rfc3339(problem.at),
        "side": problem.side.as_str(),
        "sequence": problem.sequence,
        "what": problem.what(),
    })
}
