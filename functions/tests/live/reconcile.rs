//! `reconcile`: what is missing is told once; what is due is sent; a stream whose session is over is finished.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;
use serde_json::json;
use warden_functions::app::Invocation;
use warden_functions::handler::{logs, reconcile};
use warden_functions::ledger::table::Expect;
use warden_functions::ledger::{Due, Facts};
use warden_functions::ssm::Known;

use crate::support::{Twin, invocation, message, now, subscription, twin};

const SESSION: &str = "eva-0123456789abcdef0";

async fn run(twin: &Twin, run: &str) -> Vec<String> {
    let before = twin.alerts().len();
    let event = json!({ "run": run }).to_string();
    reconcile::handle(&twin.app, &invocation(run), event.as_bytes()).await.unwrap();
    twin.alerts()[before..].iter().map(|alert| alert.title.clone()).collect()
}

/// A deployment that began to run a day ago, with preferences that record.
async fn deployed() -> Twin {
    let twin = twin("reconcile", &[]);
    let key = twin.app.ledger.key("R", "", "SINCE");
    let since = json!({ "at": now() - SignedDuration::from_hours(30) });
    twin.app.ledger.store_new(key, &since, now()).await.unwrap();
    let preferences = r#"{"schemaVersion":"1.0","inputs":{"s3BucketName":"logs","cloudWatchLogGroupName":"/ssm","cloudWatchStreamingEnabled":true}}"#;
    twin.sessions.put_document(Some(preferences));
    twin
}

fn known(session: &str, document: Option<&str>, hours: i64, ended: bool) -> Known {
    let started = now() - SignedDuration::from_hours(hours);
    Known {
        facts: Facts {
            session: Some(session.to_owned()),
            principal: Some("arn:aws:iam::123456789012:user/eva".to_owned()),
            target: Some("i-0123456789abcdef0".to_owned()),
            document: document.map(str::to_owned),
            started: Some(started),
            ended: ended.then(|| started + SignedDuration::from_mins(5)),
            ..Facts::default()
        },
        failed: false,
    }
}

#[tokio::test]
async fn what_is_missing_is_told_once() {
    let twin = deployed().await;
    twin.start("ann-0123456789abcdef0", "i-0123456789abcdef0", "arn:aws:iam::123456789012:user/ann").await;
    twin.sessions.put(known("ann-0123456789abcdef0", None, 2, true));
    twin.sessions.put(known("bob-0123456789abcdef0", None, 2, false));
    twin.sessions.put(known("eve-0123456789abcdef0", Some("AWS-StartSSHSession"), 0, false));
    let mut told = run(&twin, "frequent").await;
    told.sort();
    let expected = [
        "A session of a kind that is never recorded",
        "A session that CloudTrail never delivered",
        "A session without a record",
    ];
    assert_eq!(told, expected);
    assert_eq!(run(&twin, "frequent").await, Vec::<String>::new());
    assert_eq!(run(&twin, "nightly").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_record_without_a_session_is_told() {
    let twin = deployed().await;
    let early = now() - SignedDuration::from_hours(1);
    for session in ["eva-0123456789abcdef0", "bob-0123456789abcdef0"] {
        twin.app.ledger.note_record(session, early).await.unwrap();
    }
    twin.sessions.put(known("bob-0123456789abcdef0", None, 1, false));
    let told = run(&twin, "frequent").await;
    assert!(told.contains(&"A record without a session".to_owned()), "{told:?}");
    let about: Vec<_> = twin
        .alerts()
        .iter()
        .filter(|alert| alert.title.starts_with("A record"))
        .map(|alert| alert.session.id.clone())
        .collect();
    assert_eq!(about.len(), 1);
    assert_eq!(about[0].as_ref().unwrap().as_str(), "eva-0123456789abcdef0");
}

#[tokio::test]
async fn preferences_that_stop_recording_are_told_each_time() {
    let twin = deployed().await;
    assert_eq!(run(&twin, "frequent").await, Vec::<String>::new());
    let on = r#"{"inputs":{"s3BucketName":"logs"}}"#;
    let off = r#"{"inputs":{"s3BucketName":""}}"#;
    twin.sessions.put_document(Some(on));
    assert_eq!(run(&twin, "frequent").await, ["The session preferences were changed"]);
    for _ in 0..2 {
        twin.sessions.put_document(Some(off));
        assert_eq!(run(&twin, "frequent").await, ["Sessions are recorded nowhere any more"]);
        assert_eq!(run(&twin, "frequent").await, Vec::<String>::new());
        twin.sessions.put_document(Some(on));
        run(&twin, "frequent").await;
    }
}

#[tokio::test]
async fn a_command_that_was_held_comes_out_at_the_end_of_its_session() {
    let twin = deployed().await;
    // A bell may mean a completion, so the command waits for the next prompt, which never comes.
    let event = subscription("/ssm", SESSION, &[message(1, SESSION, &["sh-5.2$ cat /etc/shadow\u{7}"])]);
    logs::handle(&twin.app, &invocation("one"), &event).await.unwrap();
    assert!(twin.seen().is_empty());
    twin.sessions.put(known(SESSION, None, 2, true));
    let told = run(&twin, "frequent").await;
    assert!(twin.alerts().iter().any(|alert| alert.finding.is_some()), "{told:?}");
    let alerts = twin.alerts().len();
    run(&twin, "frequent").await;
    assert_eq!(twin.alerts().len(), alerts);
}

#[tokio::test]
async fn follow_ups_do_not_wait_for_systems_manager() {
    let twin = deployed().await;
    twin.sessions.fail(Some("ThrottlingException"));
    let answer = reconcile::handle(&twin.app, &invocation("one"), b"{}").await.unwrap();
    assert_eq!(answer, json!({"sent": 0, "sessions": 0}));
    // That it may not ask is no weather: an alarm goes by the failure.
    twin.sessions.fail(Some("AccessDeniedException"));
    let failure = reconcile::handle(&twin.app, &invocation("two"), b"{}").await.unwrap_err();
    assert_eq!(failure.error_type(), "Warden.SystemsManagerFailed");
}

#[tokio::test]
async fn a_session_of_any_length_is_judged_at_its_end() {
    let twin = deployed().await;
    twin.start(SESSION, "i-0123456789abcdef0", "arn:aws:iam::123456789012:user/eva").await;
    let since = json!({ "at": now() - SignedDuration::from_hours(200) });
    twin.app.ledger.store(twin.app.ledger.key("R", "", "SINCE"), &since, Expect::Any, now()).await.unwrap();
    twin.sessions.put(known(SESSION, None, 100, false));
    assert_eq!(run(&twin, "frequent").await, Vec::<String>::new());
    // It ends; no run looks back on its start.
    twin.sessions.clear();
    let ended = now() - SignedDuration::from_hours(1);
    let mut over = known(SESSION, None, 100, false);
    over.facts.ended = Some(ended);
    twin.sessions.put(over);
    assert_eq!(run(&twin, "frequent").await, ["A session without a record"]);
    assert_eq!(run(&twin, "nightly").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_due_leaves_time_for_the_sessions() {
    let twin = deployed().await;
    for n in 0..500 {
        let due = Due::FollowUp { key: format!("{n}"), opened: now() };
        twin.app.ledger.put_due(now() - SignedDuration::from_mins(5), &due, now()).await.unwrap();
    }
    twin.sessions.put(known("bob-0123456789abcdef0", None, 2, false));
    // Every look at the clock takes a second.
    let hurried = Invocation { clock: ticking, ..invocation("hurried") };
    let answer = reconcile::handle(&twin.app, &hurried, b"{}").await;
    let told: Vec<_> = twin.alerts().iter().map(|alert| alert.title.clone()).collect();
    assert!(told.contains(&"A session that CloudTrail never delivered".to_owned()), "{answer:?}: {told:?}");
}

fn ticking() -> jiff::Timestamp {
    static TICKS: AtomicI64 = AtomicI64::new(0);
    now() + SignedDuration::from_secs(TICKS.fetch_add(1, Ordering::Relaxed))
}
