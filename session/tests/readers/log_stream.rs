//! CloudWatch log streams.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use warden_session::log_stream::{LINE_LIMIT, LogStreamReader, MESSAGE_LIMIT};
use warden_session::session::Platform;
use warden_session::timeline::Deviation::{self, IdentityConflict, LimitReached, Truncated, Undecodable};

use crate::support::{Said, data, recorded_sessions};

const ALICE: &str = "alice-052afb0c93508ea82";
const BOB: &str = "bob-0m2blk0onutpss7e8owd38cvsm";

fn read(bytes: &[u8], piece: usize) -> Said {
    let mut said = Said::default();
    let mut reader = LogStreamReader::new();
    for bytes in bytes.chunks(piece) {
        reader.feed(bytes, &mut |event| said.take(event));
    }
    reader.finish(&mut |event| said.take(event));
    said
}

/// The agent's message.
fn message(session: &str, second: u32, lines: &[&str]) -> String {
    json!({
        "eventVersion": "1.0", "eventTime": format!("2026-11-22T13:08:{second:02}Z"), "awsRegion": "us-east-1", "target": {"id": "i-47431b43881c0689d"},
        "userIdentity": {"arn": format!("arn:aws:sts::123456789012:assumed-role/Admin/{}", &session[..3])}, "runAsUser": "ssm-user",
        "sessionId": session, "sessionData": lines,
    })
    .to_string()
}

fn event(stream: &str, timestamp: u64, message: &str) -> Value {
    json!({"logGroup": "/ssm", "logStream": stream, "timestamp": timestamp, "message": message})
}

fn lines(values: &[Value]) -> String {
    let texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.join("\n") + "\n"
}

fn batch(stream: &str, messages: &[&str]) -> Value {
    let events: Vec<Value> = messages
        .iter()
        .enumerate()
        .map(|(n, message)| json!({"id": format!("{n:056}"), "timestamp": 1000 + n, "message": message}))
        .collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/ssm", "logStream": stream, "subscriptionFilters": ["f"], "logEvents": events})
}

fn packed(text: &str) -> String {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    BASE64_STANDARD.encode(encoder.finish().unwrap())
}

/// Go and Rust replace a run of invalid bytes by different numbers of U+FFFD.
fn joined(text: &str) -> String {
    let parts: Vec<&str> = text.split('\u{fffd}').filter(|part| !part.is_empty()).collect();
    parts.join("\u{fffd}")
}

#[test]
fn recorded_streams() {
    for folder in recorded_sessions() {
        let id = folder.file_name().unwrap().to_str().unwrap();
        let streamed = std::fs::read(folder.join("cloudwatch-stream.jsonl")).unwrap();
        let expected: Vec<String> = String::from_utf8(streamed.clone())
            .unwrap()
            .lines()
            .flat_map(|row| {
                let row: Value = serde_json::from_str(row).unwrap();
                let message: Value = serde_json::from_str(row["message"].as_str().unwrap()).unwrap();
                message["sessionData"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|line| line.as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            })
            .collect();
        let said = read(&streamed, 1000);
        assert_eq!(
            (said.lines.as_slice(), said.deviations.as_slice(), said.ids()),
            (expected.as_slice(), [].as_slice(), vec![id])
        );
        assert!(said.times.iter().all(Option::is_some));
        let session = &said.sessions[0];
        assert!(session.principal.is_some() && session.region.is_some() && session.target.is_some(), "{id}");
        assert!(session.run_as.is_some() && session.account.as_deref() == Some("123456789012"), "{id}");

        let uploaded = std::fs::read(folder.join("cloudwatch-upload.jsonl")).unwrap();
        let raw = std::fs::read(folder.join("raw.bin")).unwrap();
        for piece in [777, uploaded.len()] {
            let said = read(&uploaded, piece);
            assert_eq!(joined(&said.text()), joined(&String::from_utf8_lossy(&raw)), "{id}");
            assert_eq!((said.deviations.as_slice(), said.ids()), ([].as_slice(), vec![id]));
            assert_eq!(said.sessions[0].plugin.as_deref(), Some("Standard_Stream"));
        }
    }
}

#[test]
fn recorded_envelopes() {
    let Some(folder) = data().map(|data| data.join("made/envelopes")) else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = read(&std::fs::read(&path).unwrap(), 5000);
        assert_eq!(said.deviations, [], "{name}");
        let (session, streamed) = (usize::from(!name.starts_with("control")), name.contains("-stream-"));
        assert_eq!(said.sessions.len(), session, "{name}");
        assert_eq!((said.lines.is_empty(), said.output.is_empty()), (!streamed, streamed || session == 0), "{name}");
    }
}

#[test]
fn every_arrangement_of_events() {
    let (one, two) = (message(ALICE, 1, &["$ id", "uid=0"]), message(ALICE, 2, &["$ exit"]));
    let whole = batch(ALICE, &[&one, &two]);
    let mut sorted = serde_json::Map::new();
    for key in ["logEvents", "logGroup", "logStream", "messageType", "owner"] {
        sorted.insert(key.to_owned(), whole[key].clone());
    }
    let twice = format!("{}{}", batch(ALICE, &[&one]), batch(ALICE, &["x", &two]))
        .replace("\"message\":\"x\"", &format!("\"message\":{}", Value::from(one.as_str())));
    let bare = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let table: Vec<(&str, String)> = vec![
        ("lines", lines(&[event(ALICE, 1, &one), event(ALICE, 2, &two)])),
        ("other names", lines(&[json!({"logGroupName": "/ssm", "logStreamName": ALICE, "message": one}), json!({"logGroupName": "/ssm", "logStreamName": ALICE, "message": two})])),
        ("messages only", lines(&[json!({"message": one}), json!({"message": two})])),
        ("get-log-events", json!({"events": [{"timestamp": 1, "message": one, "ingestionTime": 2}, {"timestamp": 2, "message": two, "ingestionTime": 3}], "nextForwardToken": "f/1"}).to_string()),
        ("filter-log-events", serde_json::to_string_pretty(&json!({"searchedLogStreams": [], "events": [{"logStreamName": ALICE, "timestamp": 1, "message": one, "eventId": "1"}, {"logStreamName": ALICE, "timestamp": 2, "message": two, "eventId": "2"}]})).unwrap()),
        ("array", json!([event(ALICE, 1, &one), event(ALICE, 2, &two)]).to_string()),
        ("bare", format!("{one}\n{two}\n")),
        ("bare, pretty", format!("{:#}\n{:#}", bare(&one), bare(&two))),
        ("batch", whole.to_string()),
        ("batch, keys sorted", Value::Object(sorted).to_string()),
        ("subscription", json!({"awslogs": {"data": packed(&whole.to_string())}}).to_string()),
        ("Kinesis", json!({"Records": [{"kinesis": {"data": packed(&whole.to_string())}, "eventSource": "aws:kinesis"}]}).to_string()),
        ("Kinesis, an event twice", json!({"Records": [{"kinesis": {"data": packed(&twice)}}]}).to_string()),
        ("Firehose", json!({"records": [{"recordId": "1", "data": packed(&batch(ALICE, &[&one]).to_string())}, {"recordId": "2", "data": packed(&two)}]}).to_string()),
        ("Firehose, plain", json!({"records": [{"recordId": "1", "data": BASE64_STANDARD.encode(format!("{one}\n{two}\n"))}]}).to_string()),
    ];
    for (name, text) in &table {
        for piece in [1, 1000, 1_000_000] {
            let said = read(text.as_bytes(), piece);
            assert_eq!(said.lines, ["$ id", "uid=0", "$ exit"], "{name}");
            assert_eq!(said.deviations, [], "{name}");
            assert!(said.ids().iter().all(|id| *id == ALICE), "{name}: {:?}", said.ids());
            assert_eq!(said.times[0].as_deref(), Some("2026-11-22T13:08:01.000Z"), "{name}");
            let (start, end) = (
                usize::try_from(said.line_offsets[0].start).unwrap(),
                usize::try_from(said.line_offsets[0].end).unwrap(),
            );
            assert!(text[start..end].starts_with('{') && text[start..end].ends_with('}'), "{name}");
        }
    }
}

#[test]
fn sessions_take_turns() {
    let text = lines(&[
        event(ALICE, 1, &message(ALICE, 1, &["$ a1"])),
        event(BOB, 2, &message(BOB, 1, &["$ b1"])),
        event(BOB, 3, &message(BOB, 2, &["$ b2"])),
        event(ALICE, 4, &message(ALICE, 3, &["$ a2"])),
    ]);
    let said = read(text.as_bytes(), 50);
    let (alice, bob) = (format!("session {ALICE}"), format!("session {BOB}"));
    assert_eq!(said.order, [&alice, "line $ a1", &bob, "line $ b1", "line $ b2", &alice, "line $ a2"]);
}

#[test]
fn uploads_and_messages_take_turns() {
    let header = |id: &str| {
        format!(
            "Script started on 2026-11-22 13:08:33+00:00 [COMMAND=\"cat /var/lib/amazon/ssm/i-1/session/orchestration/{id}/Standard_Stream/ipcTempFile.log\" <not executed on terminal>]\n"
        )
    };
    let footer = "\nScript done on 2026-11-22 13:08:33+00:00 [COMMAND_EXIT_CODE=\"0\"]";
    let text = lines(&[
        event(ALICE, 1, &format!("{}$ a1\r\n$ a2\r", header(ALICE))),
        event(BOB, 2, &message(BOB, 1, &["$ b1"])),
        event(ALICE, 3, &format!("Script started on x\r\n$ a3\r\n{footer}")),
    ]);
    for piece in [9, 10_000] {
        let said = read(text.as_bytes(), piece);
        assert_eq!(
            said.text(),
            "$ a1\r\n$ a2\r\nScript started on x\r\n$ a3\r\n",
            "the last line end of an event is put back"
        );
        assert_eq!(
            (said.lines.as_slice(), said.deviations.as_slice()),
            (["$ b1".to_owned()].as_slice(), [].as_slice())
        );
        let last = text.lines().map(str::len).sum::<usize>() + 2;
        assert!(said.offsets.iter().all(|&at| at <= last as u64));
    }
    let cut = lines(&[event(ALICE, 1, &format!("{}$ a1\r", header(ALICE)))]);
    assert_eq!(read(cut.as_bytes(), 100).deviations, [Truncated]);
    // Two transcripts one after the other, without the name of a log stream.
    let whole = |id: &str, body: &str| json!({"message": format!("{}{body}\r\n{footer}", header(id))});
    let said = read(lines(&[whole(ALICE, "$ a"), whole(BOB, "$ b")]).as_bytes(), 100);
    assert_eq!((said.text().as_str(), said.ids()), ("$ a\r\n$ b\r\n", vec![ALICE, BOB]));
}

#[test]
fn an_upload_in_pieces_is_whole() {
    let body = (0..40_000).map(|n| format!("line {n}\r\n")).collect::<Vec<_>>().concat();
    let long = "y".repeat(450_000);
    let transcript = format!(
        "Script started on 2020-05-27 23:00:48+0000\n{body}{long}\r\n$ exit\r\n\nScript done on 2020-05-27 23:01:53+0000\n"
    );
    // As `getNextMessage` cuts it: at line ends up to 200,000 bytes, and a longer line every 200,000.
    let (mut events, mut text) = (Vec::new(), String::new());
    for line in transcript.split_inclusive('\n').flat_map(|line| line.as_bytes().chunks(200_000)) {
        if text.len() + line.len() > 200_000 {
            events.push(std::mem::take(&mut text));
        }
        text.push_str(std::str::from_utf8(line).unwrap());
    }
    events.push(text);
    let events: Vec<Value> = events
        .iter()
        .enumerate()
        .map(|(n, text)| event(ALICE, n as u64, text.strip_suffix('\n').unwrap_or(text)))
        .collect();
    let said = read(lines(&events).as_bytes(), 4096);
    assert!(said.text() == format!("{body}{long}\r\n$ exit\r\n"));
    assert_eq!(said.deviations, []);
    assert_eq!(said.ids(), [ALICE]);
}

#[test]
fn cut_lines_are_joined_where_that_is_proven() {
    let piece = "y".repeat(33_000);
    let (almost, rest) = ("y".repeat(32_999), "yy");
    let table = [
        ("joined", vec![vec!["$ yes"], vec![&piece], vec![&piece], vec![rest, "$ exit"]], vec![5, 66_002, 6]),
        ("not alone", vec![vec!["$ yes", &piece], vec![rest]], vec![5, 33_000, 2]),
        ("shorter", vec![vec![&almost], vec![rest]], vec![32_999, 2]),
        ("no rest", vec![vec![&piece]], vec![33_000]),
    ];
    for (name, messages, lengths) in &table {
        let events: Vec<Value> =
            messages.iter().zip(0..).map(|(lines, n)| event(ALICE, u64::from(n), &message(ALICE, n, lines))).collect();
        let said = read(lines(&events).as_bytes(), 10_000);
        assert_eq!(said.lines.iter().map(String::len).collect::<Vec<_>>(), *lengths, "{name}");
        assert_eq!(said.deviations, [], "{name}");
    }
    let endless: Vec<Value> = (0..30).map(|n| event(ALICE, u64::from(n), &message(ALICE, n, &[&piece]))).collect();
    let said = read(lines(&endless).as_bytes(), 100_000);
    assert_eq!(said.lines.concat().len(), 30 * 33_000);
    assert!(said.lines.iter().all(|line| line.len() <= LINE_LIMIT) && said.deviations.contains(&LimitReached("line")));
}

#[test]
fn what_is_there_twice_comes_out_once() {
    let one = message(ALICE, 1, &["$ id"]);
    let again = message(ALICE, 2, &["$ id"]);
    let table: Vec<(&str, String, usize)> = vec![
        ("same id", lines(&[json!({"eventId": "7", "message": one}), json!({"eventId": "7", "message": one})]), 1),
        ("same time and text", lines(&[event(ALICE, 1, &one), event(ALICE, 1, &one)]), 1),
        ("bare, same text", format!("{one}\n{one}\n"), 1),
        ("another time", lines(&[event(ALICE, 1, &one), event(ALICE, 2, &again)]), 2),
        ("another stream", lines(&[event(ALICE, 1, &one), event(BOB, 1, &message(BOB, 1, &["$ id"]))]), 2),
        ("typed twice", lines(&[event(ALICE, 1, &message(ALICE, 1, &["$ id", "$ id"]))]), 2),
    ];
    for (name, text, count) in &table {
        assert_eq!(read(text.as_bytes(), 30).lines.len(), *count, "{name}");
    }
}

#[test]
fn identities_that_disagree() {
    let other = message(ALICE, 2, &["$ b"]).replace("i-47431b43881c0689d", "i-00000000000000000");
    let principal = message(ALICE, 2, &["$ b"]).replace("role/Admin", "role/Other");
    let table: Vec<(&str, String, &[Deviation])> = vec![
        (
            "stream and message",
            lines(&[event(BOB, 1, &message(ALICE, 1, &["$ a"])), event(BOB, 2, &message(ALICE, 2, &["$ b"]))]),
            &[IdentityConflict],
        ),
        (
            "target changes",
            lines(&[event(ALICE, 1, &message(ALICE, 1, &["$ a"])), event(ALICE, 2, &other)]),
            &[IdentityConflict],
        ),
        (
            "principal changes",
            lines(&[event(ALICE, 1, &message(ALICE, 1, &["$ a"])), event(ALICE, 2, &principal)]),
            &[IdentityConflict],
        ),
        (
            "a stream that names no session",
            lines(&[
                event("forwarded", 1, &message(ALICE, 1, &["$ a"])),
                event("forwarded", 2, &message(ALICE, 2, &["$ b"])),
            ]),
            &[],
        ),
    ];
    for (name, text, expected) in &table {
        let said = read(text.as_bytes(), 100);
        assert_eq!((said.deviations.as_slice(), said.lines.len()), (*expected, 2), "{name}");
    }
}

#[test]
fn windows_streams_are_recognised() {
    let text = lines(&[event(
        ALICE,
        1,
        &message(ALICE, 1, &["**********************", "Windows PowerShell transcript start", "PS C:\\> ls"]),
    )]);
    assert_eq!(read(text.as_bytes(), 100).sessions[0].platform, Platform::Windows);
}

#[test]
fn a_bad_event_fails_alone() {
    let good = event(ALICE, 1, &message(ALICE, 1, &["$ id"])).to_string();
    let huge = event(ALICE, 1, &"x".repeat(MESSAGE_LIMIT + 1)).to_string();
    let bomb = json!({"awslogs": {"data": packed(&" ".repeat(70 << 20))}}).to_string();
    let deep = format!("{{\"message\":{}{}}}", "[".repeat(9000), "]".repeat(9000));
    let nested = format!("{}1{}", "{\"logEvents\":[".repeat(60), "]}".repeat(60));
    let table: Vec<(&str, String, Deviation)> = vec![
        ("no event", "{\"a\":1}".to_owned(), Undecodable),
        ("message of others", event("app", 1, "START RequestId: 1").to_string(), Undecodable),
        ("message is a number", "{\"message\":5}".to_owned(), Undecodable),
        ("too deep", deep, Undecodable),
        ("batches in batches", nested, Undecodable),
        ("too long", huge, LimitReached("message")),
        ("bomb", bomb, LimitReached("inflated size")),
        ("bad base64", "{\"awslogs\":{\"data\":\"%%\"}}".to_owned(), Undecodable),
        ("no data", "{\"awslogs\":{}}".to_owned(), Undecodable),
    ];
    for (name, bad, expected) in &table {
        let said = read(format!("{bad}\n{good}\n").as_bytes(), 100_000);
        assert_eq!(
            (said.lines.as_slice(), said.deviations.as_slice()),
            (["$ id".to_owned()].as_slice(), [*expected].as_slice()),
            "{name}"
        );
    }
    let odd = json!({"message": json!({"sessionId": ALICE, "sessionData": null, "eventTime": "?"}).to_string(), "timestamp": {"a": []}}).to_string();
    assert_eq!(read(odd.as_bytes(), 10).ids(), [ALICE]);
}

#[test]
fn many_streams_stay_bounded() {
    let events: Vec<Value> = (0..500)
        .map(|n| event(&format!("eve-{n:017x}"), 1, "Script started on 2020-05-27 23:00:48+0000\n$ id\r\nuid=0"))
        .collect();
    let said = read(lines(&events).as_bytes(), 100_000);
    let distinct: std::collections::BTreeSet<&str> = said.ids().into_iter().collect();
    assert_eq!((said.text().matches("$ id").count(), distinct.len()), (500, 500));
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..500), piece in 1_usize..40) {
        prop_assert_eq!(read(&bytes, piece), read(&bytes, 1000));
    }

    #[test]
    fn damage_and_pieces_do_not_matter(at in 0_usize..1600, byte in any::<u8>(), piece in 1_usize..200) {
        let mut bytes = lines(&[event(ALICE, 1, &message(ALICE, 1, &["$ id"])), event(BOB, 2, "Script started on x\n$ a\r\n\nScript done on y"), event(ALICE, 2, &message(ALICE, 2, &["$ exit"]))]).into_bytes();
        if let Some(old) = bytes.get_mut(at) {
            *old = byte;
        }
        prop_assert_eq!(read(&bytes, piece), read(&bytes, 100_000));
    }
}
