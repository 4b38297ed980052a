//! `logs`: batches in any order, twice, with gaps; forged streams; what it does about sessions.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use warden_functions::alert::Kind;
use warden_functions::error::Failure;
use warden_functions::follow::Gap;
use warden_functions::handler::logs::{finish, handle};
use warden_functions::handler::transcripts;
use warden_functions::ledger::Ledger;
use warden_functions::ledger::memory::Memory;
use warden_functions::ledger::table::{Expect, Key, Pending, Range, Row, Table, TableError};
use warden_functions::object::MemoryStore;
use warden_functions::source::LogEvent;
use warden_rules::RuleSet;
use warden_session::{Item, Kind as SourceKind, Reader};

use crate::support::{Twin, invocation, message, now, packed, recorded_sessions, subscription, twin, twin_with};

const SESSION: &str = "eva-0123456789abcdef0";
const GROUP: &str = "/ssm/session-logs";

async fn deliver(twin: &Twin, events: &[Value]) -> Result<Value, Failure> {
    handle(&twin.app, &invocation("one"), &subscription(GROUP, SESSION, events)).await
}

fn texts(twin: &Twin) -> Vec<String> {
    let mut texts = Vec::new();
    for alert in twin.alerts() {
        texts.extend(alert.finding.and_then(|finding| finding.command).map(|command| command.text));
    }
    texts
}

fn log_event(event: &Value) -> LogEvent {
    LogEvent {
        id: String::new(),
        at: event["timestamp"].as_i64().and_then(|at| Timestamp::from_millisecond(at).ok()),
        message: event["message"].as_str().unwrap().to_owned(),
    }
}

/// A session in three batches; the second command is cut by the border between the last two.
fn story() -> Vec<Value> {
    vec![
        message(1, SESSION, &["sh-5.2$ cat /etc/shadow", "cat: /etc/shadow: Permission denied"]),
        message(3, SESSION, &["sh-5.2$ bash -c 'id"]),
        message(5, SESSION, &["> cat /etc/sudoers'", "uid=1001(ssm-user)", "sh-5.2$ exit"]),
    ]
}

#[tokio::test]
async fn a_command_is_told_at_once_and_one_that_a_batch_cut_when_it_is_whole() {
    let twin = twin("logs", &[]);
    let story = story();
    deliver(&twin, &story[..1]).await.unwrap();
    assert_eq!(texts(&twin).first().map(String::as_str), Some("cat /etc/shadow"));
    let told = twin.alerts().len();
    deliver(&twin, &story[1..2]).await.unwrap();
    assert_eq!(twin.alerts().len(), told);
    deliver(&twin, &story[2..]).await.unwrap();
    let seen = twin.seen();
    assert_eq!(seen, ids_of_whole(&story));
    // Everything comes again, three times, together and alone.
    for _ in 0..3 {
        deliver(&twin, &story).await.unwrap();
        for event in &story {
            deliver(&twin, std::slice::from_ref(event)).await.unwrap();
        }
    }
    assert_eq!(twin.seen(), seen);
    let receipts = twin.app.ledger.receipts(SESSION, now()).await.unwrap();
    assert_eq!((receipts.len(), receipts[0].commands), (1, 2));
}

/// Finding ids of these events read at once.
fn ids_of_whole(events: &[Value]) -> Vec<String> {
    let rules = warden_functions::shipped::rules().unwrap();
    let mut detector = warden_rules::detect::Detector::new(&rules);
    let source = warden_rules::finding::Source::new(SourceKind::LogStream, "x");
    let mut ids = Vec::new();
    let mut sink = |item| {
        if let Item::Command(session, command) = item {
            ids.extend(
                detector.command_findings(&session, &source, &command).into_iter().map(|found| found.finding_id),
            );
        }
    };
    let mut reader = Reader::new(SourceKind::LogStream);
    for event in events {
        let line = json!({"logGroup": GROUP, "logStream": SESSION, "timestamp": event["timestamp"], "message": event["message"]});
        reader.feed(line.to_string().as_bytes(), &mut sink);
    }
    reader.finish(&mut sink);
    ids.sort();
    ids.dedup();
    ids
}

/// One session in eight; all of them with `WARDEN_ALL`.
#[tokio::test]
async fn recorded_sessions_give_the_same_findings_in_any_order() {
    let Some(sessions) = recorded_sessions() else { return };
    let (mut streams, mut findings) = (0, 0);
    let step = if std::env::var_os("WARDEN_ALL").is_some() { 1 } else { 8 };
    for dir in sessions.iter().step_by(step) {
        for name in ["cloudwatch-stream.jsonl", "cloudwatch-upload.jsonl"] {
            let text = fs::read_to_string(dir.join(name)).unwrap();
            let mut events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            for (n, event) in events.iter_mut().enumerate() {
                event["timestamp"] = json!(event["timestamp"].as_i64().unwrap() + i64::try_from(n).unwrap());
            }
            let session = events[0]["logStream"].as_str().unwrap().to_owned();
            let whole = Box::pin(whole(&events, &session)).await;
            for order in 0..3 {
                let twin = twin("logs", &[]);
                twin.history.put(&events.iter().map(log_event).collect::<Vec<_>>());
                let mut batches: Vec<&[Value]> = events.chunks(1 + order % 2).collect();
                if order > 0 {
                    batches.reverse();
                }
                for batch in batches.iter().chain(&batches) {
                    let event = subscription(GROUP, &session, batch);
                    handle(&twin.app, &invocation("one"), &event).await.unwrap();
                }
                assert_eq!(twin.seen(), whole, "{} {name} order {order}", dir.display());
                streams += 1;
                findings += whole.len();
            }
        }
    }
    println!(
        "{streams} streams delivered in pieces, twice, forwards and backwards: {findings} findings, none missing, none more"
    );
}

/// The stream as it comes and the transcript at the end: one alert for each key, the same findings, none by the transcript that the
/// uploaded text did not give.
#[tokio::test]
async fn both_sources_of_a_session_give_one_alert() {
    let Some(sessions) = recorded_sessions() else { return };
    for dir in sessions.iter().step_by(8) {
        let session = dir.file_name().unwrap().to_str().unwrap();
        let mut twin = twin("logs", &[]);
        let store = MemoryStore::default();
        let key = format!("{session}.log");
        store.put("audit", &key, None, &fs::read(dir.join("transcript.log")).unwrap());
        twin.app.store = Box::new(store);
        let text = fs::read_to_string(dir.join("cloudwatch-upload.jsonl")).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let stream = subscription(GROUP, session, &events);
        let object = json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
            "eventTime": "2026-11-22T13:10:00.000Z", "eventName": "ObjectCreated:Put", "userIdentity": {}, "requestParameters": {},
            "responseElements": {}, "s3": {"bucket": {"name": "audit"}, "object": {"key": key.replace('@', "%40"), "size": 1}}}]});
        handle(&twin.app, &invocation("one"), &stream).await.unwrap();
        let (seen, alerts) = (twin.seen(), twin.alerts().len());
        for _ in 0..2 {
            let event = object.to_string();
            transcripts::handle(&twin.app, &invocation("two"), event.as_bytes()).await.unwrap();
            handle(&twin.app, &invocation("three"), &stream).await.unwrap();
        }
        assert_eq!((twin.seen(), twin.alerts().len()), (seen, alerts), "{session}");
    }
}

async fn whole(events: &[Value], session: &str) -> Vec<String> {
    let twin = twin("logs", &[]);
    handle(&twin.app, &invocation("one"), &subscription(GROUP, session, events)).await.unwrap();
    twin.seen()
}

#[tokio::test]
async fn only_gaps_are_asked_for() {
    let twin = twin("logs", &[]);
    let mut story = story();
    story.push(message(500, SESSION, &["sh-5.2$ visudo -c"]));
    let hidden = message(300, SESSION, &["sh-5.2$ cat /root/.ssh/id_rsa"]);
    let at = |event: &Value| event["timestamp"].as_i64().unwrap();
    let mut all: Vec<LogEvent> = story.iter().map(log_event).collect();
    all.insert(3, log_event(&hidden));
    twin.history.put(&all);
    for event in &story {
        deliver(&twin, std::slice::from_ref(event)).await.unwrap();
    }
    // Once at the start, and once over the silence, in which a delivery was skipped.
    let gaps = [Gap { from: None, until: at(&story[0]) }, Gap { from: Some(at(&story[2]) + 1), until: at(&story[3]) }];
    assert_eq!(twin.history.asked(), gaps);
    assert!(texts(&twin).iter().any(|text| text.contains("id_rsa")), "{:?}", texts(&twin));
}

#[tokio::test]
async fn without_the_past_late_events_are_read_as_they_come() {
    let twin = twin("logs", &[]);
    twin.history.fail(warden_aws::FetchError::Throttled);
    let story = story();
    for event in [&story[2], &story[0]] {
        deliver(&twin, std::slice::from_ref(event)).await.unwrap();
    }
    assert!(texts(&twin).iter().any(|text| text == "cat /etc/shadow"));
}

#[tokio::test]
async fn a_gap_that_could_not_be_read_is_read_later() {
    let twin = twin("logs", &[]);
    let mut story = story();
    story.push(message(500, SESSION, &["sh-5.2$ visudo -c"]));
    let hidden = message(300, SESSION, &["sh-5.2$ cat /root/.ssh/id_rsa"]);
    let mut all: Vec<LogEvent> = story.iter().map(log_event).collect();
    all.insert(3, log_event(&hidden));
    twin.history.put(&all);
    for event in &story[..3] {
        deliver(&twin, std::slice::from_ref(event)).await.unwrap();
    }
    twin.history.fail(warden_aws::FetchError::Throttled);
    deliver(&twin, &story[3..]).await.unwrap();
    let hides = |twin: &Twin| !texts(twin).iter().any(|text| text.contains("id_rsa"));
    assert!(hides(&twin));
    twin.history.fail(None);
    // The end of the session is soon enough.
    let (end, path) = (invocation("end"), format!("cloudwatch://{GROUP}/{SESSION}"));
    finish(&twin.app, &end, &twin.app.outbox(&end), &path).await.unwrap();
    assert!(!hides(&twin), "{:?}", texts(&twin));
}

#[tokio::test]
async fn whoever_dies_between_alert_and_state_loses_nothing() {
    let story = story();
    let expected = ids_of_whole(&story);
    for call in 0..40 {
        let twin = twin("logs", &[]);
        twin.table.fail(call, TableError::Timeout);
        for event in &story {
            while deliver(&twin, std::slice::from_ref(event)).await.is_err() {}
        }
        assert_eq!(twin.seen(), expected, "call {call} failed");
    }
}

/// A table that lets others come in between any two calls.
#[derive(Debug)]
struct Yielding(Arc<Memory>);

impl Table for Yielding {
    fn read<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Row>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.0.read(key).await
        })
    }

    fn write(&self, row: Row, expect: Expect) -> Pending<'_, bool> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.write(row, expect).await
        })
    }

    fn write_together(&self, rows: Vec<(Row, Expect)>) -> Pending<'_, bool> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.write_together(rows).await
        })
    }

    fn remove<'a>(&'a self, key: &'a Key, expect: Expect) -> Pending<'a, bool> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.remove(key, expect).await
        })
    }

    fn query(&self, range: Range) -> Pending<'_, Vec<Row>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.0.query(range).await
        })
    }
}

#[tokio::test]
async fn invocations_at_the_same_time_find_what_one_finds() {
    let mut twin = twin("logs", &[]);
    let table = Arc::new(Yielding(twin.table.clone()));
    twin.app.ledger = Ledger::new(table, "123456789012", "us-east-1", SignedDuration::from_hours(24));
    let mut story = story();
    story.insert(0, message(0, SESSION, &["sh-5.2$ sudo -l"]));
    twin.history.put(&story.iter().map(log_event).collect::<Vec<_>>());
    let events: Vec<Vec<u8>> =
        story.iter().map(|event| subscription(GROUP, SESSION, std::slice::from_ref(event))).collect();
    let names = ["a", "b", "c", "d"].map(invocation);
    let (a, b, c, d) = tokio::join!(
        handle(&twin.app, &names[0], &events[0]),
        handle(&twin.app, &names[1], &events[1]),
        handle(&twin.app, &names[2], &events[2]),
        handle(&twin.app, &names[3], &events[3]),
    );
    for result in [a, b, c, d] {
        result.unwrap();
    }
    assert_eq!(twin.seen(), ids_of_whole(&story));
    let initial: Vec<_> = twin.alerts().into_iter().filter(|alert| alert.kind == Kind::Initial).collect();
    let keys: BTreeSet<_> = initial.iter().map(|alert| alert.dedup_key.clone()).collect();
    assert_eq!(keys.len(), initial.len());
}

#[tokio::test]
async fn carriers_get_the_answers_that_they_take() {
    let twin = twin("logs", &[]);
    let story = story();
    let data = packed(GROUP, SESSION, &story);
    let record = |n: u32, data: &str| {
        json!({"eventSource": "aws:kinesis", "eventID": format!("shard:{n}"), "kinesis": {"kinesisSchemaVersion": "1.0",
            "partitionKey": "p", "sequenceNumber": n.to_string(), "data": data, "approximateArrivalTimestamp": 1.0}})
    };
    let event = json!({"Records": [record(1, "AAAA"), record(2, &data)]}).to_string();
    let answer = handle(&twin.app, &invocation("one"), event.as_bytes()).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "1"}]}));
    assert!(!twin.alerts().is_empty());
    let record = |id: &str, data: &str| json!({"recordId": id, "data": data, "approximateArrivalTimestamp": 1});
    let event = json!({"invocationId": "i", "deliveryStreamArn": "arn:aws:firehose:us-east-1:1:deliverystream/s",
        "region": "us-east-1", "records": [record("a", &data), record("b", "AAAA")]});
    let answer = handle(&twin.app, &invocation("one"), event.to_string().as_bytes()).await.unwrap();
    assert_eq!(
        answer,
        json!({"records": [{"recordId": "a", "result": "Ok", "data": data},
        {"recordId": "b", "result": "ProcessingFailed", "data": "AAAA"}]})
    );
    let control = fs::read("tests/live/control-message.json").unwrap();
    assert_eq!(handle(&twin.app, &invocation("one"), &control).await.unwrap(), Value::Null);
}

#[tokio::test]
async fn own_log_groups_are_never_read() {
    let twin = twin("logs", &[("WARDEN_REFUSE", "/session-warden")]);
    let event = subscription("/session-warden/main/logs", SESSION, &story());
    handle(&twin.app, &invocation("one"), &event).await.unwrap();
    assert!(twin.table.rows().is_empty());
}

/// A rule that asks for the session's end.
fn deadly() -> RuleSet {
    let text = "title: Password hashes\nid: 5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c11\nlevel: high\nresponse: terminate\n\
        logsource: {product: aws, service: session-manager, category: command}\n\
        detection:\n    one:\n        Invocation|contains: /etc/shadow\n    condition: one\n";
    RuleSet::load([("deadly.yml", text)]).set
}

/// Name, mode, node and principal of StartSession, whether the session is ended, what is said.
type Ending<'a> = (&'a str, &'static str, Option<(&'a str, &'a str)>, bool, &'a str);

#[tokio::test]
async fn a_session_is_ended_once_and_only_on_the_word_of_start_session() {
    const NODE: &str = "i-0123456789abcdef0";
    const EVA: &str = "arn:aws:iam::123456789012:user/eva";
    let rows: &[Ending<'_>] = &[
        ("on", "on", Some((NODE, EVA)), true, "was ended"),
        ("dry run", "dry-run", Some((NODE, EVA)), false, "would have been ended"),
        ("off", "off", Some((NODE, EVA)), false, "does not allow"),
        ("not started", "on", None, false, "has not been heard of"),
        ("another node", "on", Some(("i-2", EVA)), false, "contradicts"),
        ("another principal", "on", Some((NODE, "arn:aws:iam::123456789012:user/bob")), false, "contradicts"),
    ];
    for (name, mode, started, ended, sentence) in rows {
        let twin = twin_with("logs", &[("WARDEN_RESPONSE", mode)], deadly());
        if let Some((target, principal)) = started {
            twin.start(SESSION, target, principal).await;
        }
        twin.sessions.put(warden_functions::ssm::Known {
            facts: warden_functions::ledger::Facts { session: Some(SESSION.to_owned()), ..Default::default() },
            failed: false,
        });
        for _ in 0..2 {
            deliver(&twin, &[message(1, SESSION, &["sh-5.2$ cat /etc/shadow"])]).await.unwrap();
            deliver(&twin, &[message(2, SESSION, &["sh-5.2$ sudo cat /etc/shadow"])]).await.unwrap();
        }
        assert_eq!(twin.sessions.terminated().len(), usize::from(*ended), "{name}");
        let said: Vec<String> = twin.alerts().into_iter().filter_map(|alert| alert.response).collect();
        assert!(said.iter().all(|said| said.contains(sentence)) && !said.is_empty(), "{name}: {said:?}");
    }
}

#[tokio::test]
async fn a_stream_that_names_another_session_is_reported_and_not_acted_on() {
    let twin = twin_with("logs", &[("WARDEN_RESPONSE", "on")], deadly());
    twin.start("bob-0123456789abcdef0", "i-0123456789abcdef0", "arn:aws:iam::123456789012:user/eva").await;
    twin.start(SESSION, "i-0123456789abcdef0", "arn:aws:iam::123456789012:user/eva").await;
    deliver(&twin, &[message(1, "bob-0123456789abcdef0", &["sh-5.2$ cat /etc/shadow"])]).await.unwrap();
    assert!(twin.alerts().iter().any(|alert| alert.kind == Kind::IdentityConflict));
    assert_eq!(twin.sessions.terminated(), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_at_the_end_of_a_session_ends_nothing() {
    let twin = twin_with("logs", &[("WARDEN_RESPONSE", "on")], deadly());
    twin.start(SESSION, "i-0123456789abcdef0", "arn:aws:iam::123456789012:user/eva").await;
    let path = format!(
        "/var/lib/amazon/ssm/i-0123456789abcdef0/session/orchestration/{SESSION}/Standard_Stream/ipcTempFile.log"
    );
    let lines = [
        &format!("Script started on 2026-11-22 13:00:00+00:00 [COMMAND=\"cat {path}\" <not executed on terminal>]"),
        "sh-5.2$ cat /etc/shadow",
        "sh-5.2$ exit",
        "exit",
        "",
        "Script done on 2026-11-22 13:01:00+00:00 [COMMAND_EXIT_CODE=\"0\"]",
    ];
    let event = |line: &&str| json!({"id": "", "timestamp": now().as_millisecond(), "message": line});
    deliver(&twin, &lines.iter().map(event).collect::<Vec<_>>()).await.unwrap();
    let path = format!("cloudwatch://{GROUP}/{SESSION}");
    finish(&twin.app, &invocation("end"), &twin.app.outbox(&invocation("end")), &path).await.unwrap();
    let said: Vec<_> =
        twin.alerts().into_iter().filter(|alert| alert.finding.is_some()).map(|alert| alert.response).collect();
    assert!(!said.is_empty(), "nothing was found");
    assert_eq!(twin.sessions.terminated(), Vec::<String>::new(), "{said:?}");
}
