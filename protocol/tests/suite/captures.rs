//! Captures of AWS's own client talking to AWS's own agent, on both legs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use warden_protocol::channel::{Channel, Content, Event, Evidence, Opcode, Report, Status, StreamReport, What};
use warden_protocol::connection::{Connection, ConnectionEnd};
use warden_protocol::port::{Carriage, Forwarding};
use warden_protocol::reorder::Missing;
use warden_protocol::seal::SessionKey;
use warden_protocol::wire::{Direction, PayloadType, Sha256, Side};

use crate::support::{data, lines};

/// What a capture came to.
pub(crate) struct Run {
    pub(crate) report: Report,
    pub(crate) events: Vec<Event>,
    pub(crate) statuses: BTreeMap<Status, u64>,
    pub(crate) forwarding: Forwarding,
    /// Bytes by payload type, in order.
    pub(crate) client: BTreeMap<PayloadType, Vec<u8>>,
    pub(crate) agent: BTreeMap<PayloadType, Vec<u8>>,
}

pub(crate) fn run(frames: &[Value], key: Option<SessionKey>) -> Run {
    let mut channel = Channel::new(key);
    let mut run = Run {
        report: Report::default(),
        events: Vec::new(),
        statuses: BTreeMap::new(),
        forwarding: Forwarding::default(),
        client: BTreeMap::new(),
        agent: BTreeMap::new(),
    };
    for frame in frames {
        let message = Bytes::from(STANDARD.decode(frame["b64"].as_str().unwrap()).unwrap());
        let direction = Direction::parse(frame["dir"].as_str().unwrap()).unwrap();
        let opcode = if frame["opcode"] == 1 { Opcode::Text } else { Opcode::Binary };
        let at = jiff::SignedDuration::try_from_secs_f64(frame["t"].as_f64().unwrap()).unwrap();
        let at = Timestamp::UNIX_EPOCH + at;
        let verdict = channel.feed(at, direction, opcode, &message, &mut |event| run.events.push(event));
        if let Content::Frame(decoded) = &verdict.content {
            assert!(decoded.deviations.is_empty());
            assert_eq!(decoded.frame.encode(), message);
        }
        *run.statuses.entry(verdict.status()).or_default() += 1;
    }
    channel.finish(&mut |event| run.events.push(event));
    run.report = channel.report();
    for event in &run.events {
        run.forwarding.feed(event, &mut |_| {});
        let (side, payload_type, bytes) = match &event.what {
            What::Output(bytes) => (&mut run.agent, PayloadType::OUTPUT, bytes),
            What::StdErr(bytes) => (&mut run.agent, PayloadType::STDERR, bytes),
            What::Input(bytes) => (&mut run.client, PayloadType::OUTPUT, bytes),
            _ => continue,
        };
        side.entry(payload_type).or_default().extend_from_slice(bytes);
    }
    run.forwarding.finish(&mut |_| {});
    run
}

/// The captures of the repository and, where `WARDEN_DATA` names the data, those of the data.
fn captures() -> Vec<PathBuf> {
    let mut captures = folders(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures"));
    match data("made/captures") {
        Some(folder) => captures.extend(folders(&folder)),
        None => eprintln!("only the captures of the repository: WARDEN_DATA names no folder with made/captures"),
    }
    captures
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The capture whose name starts like this.
fn capture(prefix: &str) -> Option<PathBuf> {
    let found = captures().into_iter().find(|capture| name(capture).starts_with(prefix));
    if found.is_none() {
        eprintln!("skipped: no capture {prefix}");
    }
    found
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn frames(capture: &Path, file: &str) -> Vec<Value> {
    lines(&std::fs::read_to_string(capture.join(file)).unwrap())
}

fn key(capture: &Path) -> Option<SessionKey> {
    let truth = json(&capture.join("ground-truth.json"));
    truth["kms"]["data_key_hex"].as_str().map(|hex| SessionKey::from_hex(hex).unwrap())
}

fn name(capture: &Path) -> String {
    capture.file_name().unwrap().to_string_lossy().into_owned()
}

fn missing_numbers(side: &StreamReport) -> Vec<i64> {
    side.missing.iter().flat_map(|gap| gap.from..=gap.to).collect()
}

fn assert_stream_files(capture: &Path, run: &Run) {
    for (prefix, side) in [("s2c", &run.agent), ("c2s", &run.client)] {
        for payload_type in [PayloadType::OUTPUT, PayloadType::STDERR] {
            let path = capture.join(format!("{prefix}.type{}.bin", payload_type.0));
            if path.exists() {
                let bytes = side.get(&payload_type).cloned().unwrap_or_default();
                assert!(bytes == std::fs::read(&path).unwrap(), "{}", path.display());
            }
        }
    }
}

fn assert_side(name: &str, side: &StreamReport, expected: &Value) {
    let counts = [
        ("unique", side.unique),
        ("duplicates", side.duplicates),
        ("duplicates_with_other_bytes", side.conflicting),
        ("late", side.late),
    ];
    for (key, count) in counts {
        assert_eq!(Value::from(count), expected[key], "{name}: {key}");
    }
    assert_eq!(Value::from(missing_numbers(side)), expected["missing"], "{name}: missing");
    assert_streams(name, side, expected);
}

fn assert_streams(name: &str, side: &StreamReport, expected: &Value) {
    let streams = expected["streams"].as_object().unwrap();
    assert_eq!(side.streams.len(), streams.len(), "{name}: payload types");
    for (payload_type, summary) in &side.streams {
        let stream = &streams[&payload_type.0.to_string()];
        assert_eq!(Value::from(summary.bytes), stream["bytes"], "{name}: type {}", payload_type.0);
        assert_eq!(summary.sha256.to_string(), stream["sha256"].as_str().unwrap(), "{name}: type {}", payload_type.0);
    }
}

fn assert_counts(name: &str, report: &Report, expected: &Value) {
    let mut counts = serde_json::Map::new();
    for ((side, message_type, payload_type), count) in &report.counts {
        let leg = if *side == Side::Client { "c2s" } else { "s2c" };
        let key = if message_type.is_stream() {
            format!("{leg} {message_type}/{}", payload_type.0)
        } else {
            format!("{leg} {message_type}")
        };
        counts.insert(key, Value::from(*count));
    }
    counts.insert("text".to_owned(), Value::from(report.texts));
    counts.sort_keys();
    let mut expected = expected["counts"].as_object().unwrap().clone();
    expected.sort_keys();
    assert_eq!(counts, expected, "{name}");
}

#[test]
fn the_client_leg_is_what_was_recorded_of_it() {
    for capture in captures() {
        let name = name(&capture);
        let run = run(&frames(&capture, "frames.jsonl"), key(&capture));
        let expected = json(&capture.join("decoded.json"));
        assert_stream_files(&capture, &run);
        assert_eq!(Value::from(run.report.frames), expected["frames"], "{name}");
        assert_eq!(Value::from(run.report.bad_digests), expected["bad_digest"], "{name}");
        assert_counts(&name, &run.report, &expected);
        assert_side(&format!("{name} agent"), &run.report.agent, &expected["s2c"]);
        assert_side(&format!("{name} client"), &run.report.client, &expected["c2s"]);
        assert_eq!((run.report.undecodable, run.report.bad_acknowledges), (0, 0), "{name}");
        let anomalies = run.events.iter().filter(|event| matches!(event.what, What::Anomaly(_))).count();
        assert_eq!(
            anomalies,
            usize::from(run.report.agent.storms.len() + run.report.client.storms.len() > 0),
            "{name}"
        );
        eprintln!("{name}: {} frames, {:?}", run.report.frames, run.statuses);
    }
}

/// What the relay dropped on the client leg is on the agent leg, and the other way round.
#[test]
fn the_agent_leg_holds_the_same_streams() {
    for capture in captures() {
        let name = name(&capture);
        let run = run(&frames(&capture, "agent-frames.jsonl"), key(&capture));
        let mut expected = json(&capture.join("decoded.json"));
        assert_eq!((run.report.undecodable, run.report.bad_acknowledges, run.report.bad_digests), (0, 0, 0), "{name}");
        assert_eq!(
            (missing_numbers(&run.report.agent), missing_numbers(&run.report.client)),
            (vec![], vec![]),
            "{name}"
        );
        if name.starts_with("i1b") {
            let lost: Vec<i64> = serde_json::from_value(expected["s2c"]["missing"].clone()).unwrap();
            let kept = run.events.iter().filter(|event| !event.sequence.is_some_and(|number| lost.contains(&number)));
            let kept: Vec<u8> = kept
                .filter_map(|event| if let What::Output(bytes) = &event.what { Some(bytes.to_vec()) } else { None })
                .flatten()
                .collect();
            assert!(kept == std::fs::read(capture.join("s2c.type1.bin")).unwrap());
            expected["s2c"]["streams"] = Value::Null;
        } else {
            assert_stream_files(&capture, &run);
            assert_streams(&name, &run.report.agent, &expected["s2c"]);
        }
        assert_streams(&name, &run.report.client, &expected["c2s"]);
        if !name.starts_with("i1") {
            assert_side(&format!("{name} agent"), &run.report.agent, &expected["s2c"]);
            assert_side(&format!("{name} client"), &run.report.client, &expected["c2s"]);
        }
    }
}

/// The worst permutation there is, with and without the data key.
#[test]
fn a_capture_read_backwards_gives_the_same_streams() {
    for capture in captures() {
        let forwards = frames(&capture, "frames.jsonl");
        let backwards: Vec<Value> = forwards.iter().rev().cloned().collect();
        for key in [|_: &Path| None, key] {
            let (forwards, backwards) = (run(&forwards, key(&capture)), run(&backwards, key(&capture)));
            assert!(forwards.client == backwards.client && forwards.agent == backwards.agent, "{}", name(&capture));
            for (a, b) in
                [(forwards.report.agent, backwards.report.agent), (forwards.report.client, backwards.report.client)]
            {
                assert_eq!((a.streams, a.missing, a.unique), (b.streams, b.missing, b.unique), "{}", name(&capture));
                assert_eq!((a.encrypted, a.decrypted), (b.encrypted, b.decrypted), "{}", name(&capture));
            }
        }
    }
}

#[test]
fn both_legs_in_one_capture_are_one_session() {
    for capture in captures() {
        let mut both = frames(&capture, "frames.jsonl");
        both.extend(frames(&capture, "agent-frames.jsonl"));
        both.sort_by(|a, b| a["t"].as_f64().unwrap().total_cmp(&b["t"].as_f64().unwrap()));
        let run = run(&both, key(&capture));
        assert!(run.report.agent.missing.is_empty(), "{}", name(&capture));
        if !name(&capture).starts_with("i1b") {
            assert_stream_files(&capture, &run);
        }
    }
}

#[test]
fn a_lost_acknowledge_leaves_three_messages_missing() {
    let Some(capture) = capture("i1b-") else { return };
    let run = run(&frames(&capture, "frames.jsonl"), None);
    let gaps = [Missing { from: 8, to: 8 }, Missing { from: 12, to: 13 }];
    assert_eq!(run.report.agent.missing, gaps);
    let told: Vec<Missing> = run
        .events
        .iter()
        .filter_map(|event| if let What::Missing(gap) = event.what { Some(gap) } else { None })
        .collect();
    assert_eq!(told, gaps);
    assert_eq!(run.report.agent.storms.len(), 1);
    assert!(run.report.is_incomplete());
}

#[test]
fn session_types_are_announced_or_inferred() {
    for capture in captures() {
        let truth = json(&capture.join("ground-truth.json"));
        let (session_type, evidence) =
            run(&frames(&capture, "frames.jsonl"), key(&capture)).report.session_type.unwrap();
        let expected = truth["plugin_type"].as_str().unwrap();
        // A command on a terminal looks like a shell.
        let looks_like = if expected == "InteractiveCommands" { "Standard_Stream" } else { expected };
        match evidence {
            Evidence::Terminal => assert_eq!(session_type.as_str(), looks_like, "{}", name(&capture)),
            _ => assert_eq!(session_type.as_str(), expected, "{}", name(&capture)),
        }
    }
}

#[test]
fn reconnects_pauses_exit_codes_and_versions_are_told() {
    let reports: BTreeMap<String, Report> = captures()
        .iter()
        .map(|capture| (name(capture), run(&frames(capture, "frames.jsonl"), key(capture)).report))
        .collect();
    for (name, report) in reports {
        assert_eq!(report.reconnects, u64::from(name.starts_with("i4")), "{name}");
        assert_eq!(report.pauses, u64::from(name.starts_with("i3")), "{name}");
        let exit_code = [("e1-", 3), ("e2-", 3), ("e4-", 1)].into_iter().find(|(prefix, _)| name.starts_with(prefix));
        assert_eq!(report.exit_code, exit_code.map(|(_, code)| code), "{name}");
        assert!(report.client_version.is_some(), "{name}");
        let has_handshake = ["e1", "e2", "e4", "f-", "g-", "g3", "h"].iter().any(|prefix| name.starts_with(prefix));
        assert_eq!(report.agent_version.is_some(), has_handshake, "{name}");
        assert_eq!(report.closed_reason.is_some(), !["f-", "g-", "g3"].iter().any(|prefix| name.starts_with(prefix)));
        let skew = report.agent.clock.unwrap();
        assert!(skew.most_ms <= 1 && skew.most_ms > -1000, "{name}: {skew:?}");
    }
}

#[test]
fn a_kms_session_stays_sealed_without_its_key_and_says_which_frame_a_wrong_key_does_not_open() {
    let Some(capture) = capture("h-") else { return };
    let frames = frames(&capture, "frames.jsonl");
    let sealed = run(&frames, None).report;
    assert_eq!((sealed.agent.encrypted, sealed.agent.decrypted), (79, 0));
    assert!(!sealed.agent.streams.contains_key(&PayloadType::OUTPUT));
    let opened = run(&frames, key(&capture));
    assert_eq!((opened.report.agent.encrypted, opened.report.agent.decrypted), (0, 79));
    assert!(
        opened.events.iter().any(|event| matches!(event.what, What::ChallengeResponse { answers: Some(true), .. }))
    );
    let wrong = run(&frames, Some(SessionKey::new(&[1; 64]).unwrap()));
    assert_eq!((wrong.report.agent.encrypted, wrong.report.agent.decrypted), (79, 0));
    // Without the handshake in the capture the key is tried all the same.
    let cut = run(&frames[40..], key(&capture)).report;
    assert!(cut.agent.decrypted > 50 && cut.agent.encrypted == 0, "{:?}", cut.agent);
}

fn sent(connection: &Connection) -> (u32, u64, u64, ConnectionEnd) {
    (connection.id, connection.client.bytes(), connection.agent.bytes(), connection.end)
}

#[test]
fn forwarded_connections_are_told_apart() {
    let run = |prefix, file| capture(prefix).map(|capture| run(&frames(&capture, file), None).forwarding);
    for file in ["frames.jsonl", "agent-frames.jsonl"] {
        let Some(basic) = run("f-", file) else { return };
        assert_eq!(basic.carriage(), Carriage::Basic);
        let ends: Vec<_> = basic.connections().map(|it| (it.client.bytes(), it.end)).collect();
        assert_eq!(ends, [(107, ConnectionEnd::Closed), (103, ConnectionEnd::Closed)]);
        let mux = run("g-", file).unwrap();
        assert_eq!(mux.carriage(), Carriage::Mux);
        for connection in mux.connections() {
            eprintln!("{:?}", sent(connection));
        }
        let refused = run("g3-", file).unwrap();
        let ends: Vec<_> = refused.connections().map(sent).collect();
        assert_eq!(ends, [(3, 79, 0, ConnectionEnd::Refused)]);
    }
}

#[test]
fn connections_of_a_mux_hold_whole_responses() {
    let Some(capture) = capture("g-") else { return };
    let mut bodies: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut forwarding = Forwarding::default();
    for event in run(&frames(&capture, "frames.jsonl"), None).events {
        forwarding.feed(&event, &mut |event| {
            if let (Side::Agent, warden_protocol::connection::ConnectionWhat::Data(bytes)) = (event.side, &event.what) {
                bodies.entry(event.id).or_default().extend_from_slice(bytes);
            }
        });
    }
    for connection in forwarding.connections() {
        let response = &bodies[&connection.id];
        assert_eq!(Sha256::of(response), connection.agent.sha256());
        let text = String::from_utf8_lossy(response);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), body.len());
    }
    assert!(bodies.len() >= 2);
}
