//! AWS on a bad day: a proxy before ministack answers in its place, and the `bootstrap` runs behind the Runtime API.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use warden_tests::aws::Stored;
use warden_tests::faults::{Fault, Faults};
use warden_tests::http::Response;
use warden_tests::ministack::Stack;
use warden_tests::runtime::Runtime;
use warden_tests::sessions::{Operated, message};
use warden_tests::wait_for;

use crate::{command, is_initial, ministack};

pub(crate) const ATTACK: &str = "cat /etc/shadow";
const MEMORY: u64 = 128 << 20;
/// The functions' timeouts, shortened.
pub(crate) const TIME: Duration = Duration::from_mins(1);

/// A stack, a proxy before it, and a function that sees AWS through the proxy.
pub(crate) struct Bad {
    pub(crate) stack: Stack,
    pub(crate) faults: Faults,
    queue: String,
    pub(crate) bucket: String,
}

impl Bad {
    pub(crate) fn new(account: &str) -> Option<Self> {
        let ministack = ministack()?;
        let stack = ministack.deploy(account, &[("SizeCapMiB", "4")]);
        let faults = Faults::start();
        faults.forward_to(ministack.address);
        let queue = stack.alerts("alerts", None);
        // The stack's own functions are not told of objects in it.
        let bucket = format!("other-{account}");
        stack.account.make_bucket(&bucket);
        Some(Self { stack, faults, queue, bucket })
    }

    pub(crate) fn run(&self, handler: &str, time: Duration) -> Runtime {
        Runtime::start(handler, &self.stack.environment(handler, &self.faults.url()), time).unwrap()
    }

    fn put(&self, session: &Operated) -> Stored {
        self.stack.account.put(&self.bucket, &session.key(), session.transcript())
    }

    pub(crate) fn alerts(&self) -> Vec<Value> {
        self.stack.account.take(&self.queue).iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }
}

fn failed(answer: &Value) -> Vec<&str> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect()
}

/// A bad object among two good ones, for each way in which S3 can fail.
#[test]
fn a_bad_object_fails_alone_with_a_stable_error_type() {
    let Some(bad) = Bad::new("200000000001") else { return };
    let runtime = bad.run("transcripts", TIME);
    let always = 100;
    // Name, how often, fault, error type (none: it is read all the same).
    let rows = [
        ("500 once", 1, Fault::s3(500, "InternalError"), None),
        ("SlowDown twice", 2, Fault::s3(503, "SlowDown"), None),
        ("truncated once", 1, Fault::Truncated, None),
        ("reset once", 1, Fault::Reset, None),
        ("slow", always, Fault::Slow(Duration::from_millis(50)), None),
        ("stalled once", 1, Fault::Stall(TIME), None),
        ("500", always, Fault::s3(500, "InternalError"), Some("Warden.InputFailed")),
        ("SlowDown", always, Fault::s3(503, "SlowDown"), Some("Warden.InputThrottled")),
        ("429", always, Fault::s3(429, "TooManyRequests"), Some("Warden.InputThrottled")),
        ("denied", always, Fault::s3(403, "AccessDenied"), Some("Warden.InputDenied")),
        ("missing", always, Fault::s3(404, "NoSuchKey"), Some("Warden.InputMissing")),
        ("truncated", always, Fault::Truncated, Some("Warden.InputTruncated")),
        ("too short a length once", 1, Fault::TooShort(10), Some("Warden.InputTruncated")),
    ];
    for (n, (name, times, fault, error_type)) in (0_u32..).zip(rows) {
        let sessions: Vec<_> = (0..3).map(|k| Operated::new("200000000001", 10 * n + k, &[ATTACK])).collect();
        let stored: Vec<_> = sessions.iter().map(|session| bad.put(session)).collect();
        bad.faults.clear();
        bad.faults.plan("s3", &sessions[1].id, times, fault);
        runtime.take_log();
        let ids = ["first", "middle", "last"];
        let records = (0..3).map(|n| sessions[n].notification(&stored[n], ids[n]));
        let answer = runtime.invoke(&json!({ "Records": records.collect::<Vec<_>>() })).unwrap();
        let expected: &[&str] = if error_type.is_some() { &["middle"] } else { &[] };
        let log = runtime.take_log();
        assert_eq!(failed(&answer), expected, "{name}: {log}");
        if let Some(error_type) = error_type {
            assert!(log.contains(error_type), "{name}: {log}");
        }
        assert!(!log.contains(ATTACK), "{name}: session text in the log");
        let alerts = bad.alerts();
        for (session, id) in sessions.iter().zip(ids) {
            let told =
                alerts.iter().any(|alert| alert["session"]["id"] == json!(session.id) && command(alert) == ATTACK);
            assert_eq!(told, !expected.contains(&id), "{name}, {id}");
        }
    }
    assert!(runtime.peak_memory() < MEMORY, "{} bytes", runtime.peak_memory());
}

/// A body that never comes holds up the records behind it, and fails them in time for their next attempt.
#[test]
fn a_body_that_stalls_ends_before_the_function_does() {
    let Some(bad) = Bad::new("200000000009") else { return };
    let runtime = bad.run("transcripts", Duration::from_secs(8));
    let sessions: Vec<_> = (0..3).map(|n| Operated::new("200000000009", n, &[ATTACK])).collect();
    let stored: Vec<_> = sessions.iter().map(|session| bad.put(session)).collect();
    bad.faults.plan("s3", &sessions[1].id, 100, Fault::Stall(TIME));
    let ids = ["first", "middle", "last"];
    let records = (0..3).map(|n| sessions[n].notification(&stored[n], ids[n]));
    let event = json!({ "Records": records.collect::<Vec<_>>() });
    let begun = Instant::now();
    let answer = runtime.invoke(&event).unwrap();
    let log = runtime.take_log();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(failed(&answer), ["middle", "last"], "{log}");
    assert!(log.contains("Warden.OutOfTime"), "{log}");
    let alerts = bad.alerts();
    assert!(alerts.iter().any(|alert| alert["session"]["id"] == json!(sessions[0].id) && is_initial(alert, ATTACK)));
    assert!(alerts.iter().any(|alert| alert["title"] == "A record could not be read in the function's time"));
    bad.faults.clear();
    assert_eq!(failed(&runtime.invoke(&event).unwrap()), [""; 0], "{}", runtime.take_log());
    let alerts = bad.alerts();
    for session in &sessions[1..] {
        assert!(alerts.iter().any(|alert| alert["session"]["id"] == json!(session.id) && is_initial(alert, ATTACK)));
    }
}

/// The ledger and the topics: while they fail the record fails and comes again, and is then alerted about.
#[test]
fn nothing_is_lost_while_the_ledger_or_a_topic_fails() {
    let Some(bad) = Bad::new("200000000002") else { return };
    let runtime = bad.run("transcripts", Duration::from_secs(8));
    let always = 1000;
    let rows = [
        ("ledger 500", "dynamodb", Fault::json(500, "InternalServerError")),
        ("ledger throttled", "dynamodb", Fault::json(400, "ProvisionedThroughputExceededException")),
        ("ledger denied", "dynamodb", Fault::json(400, "AccessDeniedException")),
        ("topic 500", "sns", Fault::xml(500, "InternalError")),
        ("topic throttled", "sns", Fault::xml(429, "Throttled")),
        ("topic denied", "sns", Fault::xml(403, "AuthorizationError")),
        ("topic reset", "sns", Fault::Reset),
    ];
    for (n, (name, service, fault)) in (0_u32..).zip(rows) {
        let session = Operated::new("200000000002", n, &[ATTACK]);
        let stored = bad.put(&session);
        bad.faults.clear();
        bad.faults.plan(service, "", always, fault);
        let event = json!({ "Records": [session.notification(&stored, "record")] });
        let answer = runtime.invoke(&event);
        let reported = answer
            .as_ref()
            .map_or_else(|failure| failure.error_type.starts_with("Warden."), |answer| failed(answer) == ["record"]);
        assert!(reported, "{name}: {answer:?}");
        assert_eq!(bad.alerts(), Vec::<Value>::new(), "{name}");
        bad.faults.clear();
        // A claim that could not be given back lasts until its lease ends.
        wait_for(name, || {
            runtime.invoke(&event).ok()?;
            let of_it = |alert: &Value| alert["session"]["id"] == json!(session.id) && is_initial(alert, ATTACK);
            bad.alerts().iter().any(of_it).then_some(())
        });
    }
}

/// The process dies while it publishes: before SNS has the alert, and after.
#[test]
fn a_crash_loses_nothing() {
    let Some(bad) = Bad::new("200000000003") else { return };
    let rows = [("before the publish", Fault::Hang(TIME)), ("after the publish", Fault::DoneButLost)];
    for (n, (name, fault)) in (0_u32..).zip(rows) {
        let session = Operated::new("200000000003", n, &[ATTACK]);
        let stored = bad.put(&session);
        bad.faults.clear();
        let published = matches!(fault, Fault::DoneButLost);
        bad.faults.plan("sns", "Publish", 1, fault);
        let event = json!({ "Records": [session.notification(&stored, "record")] });
        let mut runtime = bad.run("transcripts", Duration::from_secs(8));
        runtime.begin(&event);
        wait_for("the publish", || (!bad.faults.calls("sns", "Publish").is_empty()).then_some(()));
        runtime.kill();
        bad.faults.clear();
        let again = bad.run("transcripts", Duration::from_secs(8));
        let mut told = 0;
        wait_for(name, || {
            again.invoke(&event).ok()?;
            let of_it = |alert: &&Value| alert["session"]["id"] == json!(session.id) && is_initial(alert, ATTACK);
            told += bad.alerts().iter().filter(of_it).count();
            (told > 0).then_some(())
        });
        // Twice only where the answer of SNS was lost: nobody can tell then.
        assert!(told <= 1 + usize::from(published), "{name}: {told}");
    }
}

/// Objects that are larger than they look, and larger than is read.
#[test]
fn memory_stays_small_whatever_the_object() {
    let Some(bad) = Bad::new("200000000004") else { return };
    let capped = "larger than the size cap";
    let rows = [
        ("zeros", Fault::Large(2 << 30, "\0\0\0\0\0\0\0\0"), capped),
        ("lines", Fault::Large(2 << 30, "[ec2-user@ip-10-0-0-1 ~]$ cat /etc/hosts\r\r\n"), capped),
        ("one line", Fault::Large(2 << 30, "no end of it, "), capped),
        ("gzip bomb", Fault::Answer(Response::new(200, "binary/octet-stream", bomb())), "could not be read to its end"),
    ];
    for (n, (name, fault, expected)) in (0_u32..).zip(rows) {
        let runtime = bad.run("transcripts", Duration::from_mins(10));
        let begun = Instant::now();
        let session = Operated::new("200000000004", n, &[]);
        let stored = bad.put(&session);
        bad.faults.clear();
        bad.faults.plan("s3", &session.id, 100, fault);
        let answer = runtime.invoke(&json!({ "Records": [session.notification(&stored, "large")] })).unwrap();
        assert_eq!(failed(&answer), [""; 0], "{name}: {}", runtime.take_log());
        assert!(!bad.faults.calls("s3", "GET").is_empty(), "{name}: it was not read");
        let titles: Vec<_> = bad.alerts().iter().map(|alert| alert["title"].to_string()).collect();
        assert!(titles.iter().any(|title| title.contains(expected)), "{name}: {titles:?}");
        println!("{name}: {} KiB at most, {:?}", runtime.peak_memory() >> 10, begun.elapsed());
        assert!(runtime.peak_memory() < MEMORY, "{name}: {} bytes", runtime.peak_memory());
    }
}

#[test]
fn malformed_envelopes_fail_alone() {
    let Some(bad) = Bad::new("200000000005") else { return };
    let runtime = bad.run("transcripts", TIME);
    let session = Operated::new("200000000005", 1, &[ATTACK]);
    let stored = bad.put(&session);
    let deep = "[".repeat(100_000);
    let bodies = [
        "",
        "{}",
        "null",
        "[]",
        "{\"Records\":7}",
        "{\"Records\":[{}]}",
        "{\"Records\":[{\"s3\":{\"bucket\":{\"name\":\"b\"}}}]}",
        &deep,
    ];
    let mut records: Vec<_> = (0..).zip(bodies).map(|(n, body)| message(&format!("bad-{n}"), body)).collect();
    records.insert(4, session.notification(&stored, "good"));
    records.push(message("test", "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Bucket\":\"b\"}"));
    let answer = runtime.invoke(&json!({ "Records": records })).unwrap();
    let failed = failed(&answer);
    assert!(!failed.contains(&"good") && !failed.contains(&"test"), "{failed:?}");
    assert!(failed.len() >= 5, "{failed:?}");
    assert!(bad.alerts().iter().any(|alert| is_initial(alert, ATTACK)));
    for handler in ["cloudtrail", "logs"] {
        let runtime = bad.run(handler, TIME);
        for event in [
            json!({}),
            json!([]),
            json!({"awslogs": {"data": "!"}}),
            json!({"detail-type": "AWS API Call via CloudTrail"}),
        ] {
            let failure = runtime.invoke(&event).unwrap_err();
            let stable = ["Warden.", "Source."].iter().any(|space| failure.error_type.starts_with(space));
            assert!(stable, "{handler}: {failure:?}");
        }
    }
}

/// A session that runs away: some alerts, a digest that says so, and little memory.
#[test]
fn ten_thousand_findings_become_few_alerts() {
    let Some(bad) = Bad::new("200000000006") else { return };
    let runtime = bad.run("transcripts", Duration::from_mins(10));
    let commands: Vec<String> = (0..10_000).map(|n| format!("head -n {n} /etc/shadow")).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let session = Operated::new("200000000006", 1, &commands);
    let stored = bad.put(&session);
    let begun = Instant::now();
    let answer = runtime.invoke(&json!({ "Records": [session.notification(&stored, "many")] })).unwrap();
    assert_eq!(failed(&answer), [""; 0], "{}", runtime.take_log());
    let calls: usize = ["GetItem", "UpdateItem", "Query", "TransactWriteItems"]
        .iter()
        .map(|name| bad.faults.calls("dynamodb", name).len())
        .sum();
    println!(
        "10,000 findings: {calls} calls of the ledger, {:?}, {} KiB",
        begun.elapsed(),
        runtime.peak_memory() >> 10
    );
    assert!(calls < 1000, "{calls}");
    let alerts = bad.alerts();
    assert!(!alerts.is_empty() && alerts.len() <= 100, "{}", alerts.len());
    assert!(runtime.peak_memory() < MEMORY, "{} bytes", runtime.peak_memory());
}

/// Zeros, compressed a thousand times.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let piece = vec![0; 1 << 20];
    for _ in 0..2048 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap()
}
