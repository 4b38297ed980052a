//! Sessions that are ended, and records that claim to be of somebody else's: the functions `cloudtrail` and `logs` before a stand-in
//! for Systems Manager.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use warden_tests::runtime::Runtime;
use warden_tests::sessions::Operated;

use crate::command;
use crate::faults::{ATTACK, Bad, TIME};

const ACCOUNT: &str = "200000000007";

/// A rule that asks for the session's end.
const RULE: &str = "title: Deadly\nid: 0f7a5a4e-0000-4000-8000-000000000002\nlevel: high\nresponse: terminate\nlogsource: {product: aws, service: session-manager, category: command}\ndetection:\n  run:\n    CommandLine|contains: /etc/shadow\n  condition: run\n";

/// Name, mode, what is forged in the stream, whether the session is ended, what the alert says of it, whether a conflict is told.
type Row = (&'static str, &'static str, Option<(&'static str, Value)>, bool, &'static str, bool);

#[test]
fn a_session_is_ended_only_where_it_may_be_and_on_no_forged_word() {
    let Some(bad) = Bad::new(ACCOUNT) else { return };
    let digest: Vec<_> = Sha256::digest(RULE).iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest = json!({"version": 1, "files": [{"path": "deadly.yml", "sha256": digest.concat()}]});
    bad.stack.account.put(&bad.bucket, "rules/deadly.yml", RULE);
    bad.stack.account.put(&bad.bucket, "rules/manifest.json", manifest.to_string());
    let other = json!({"arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/Operator/bob")});
    let rows: [Row; 6] = [
        ("off", "off", None, false, "does not allow", false),
        ("dry run", "dry-run", None, false, "would have been ended", false),
        ("on", "on", None, true, "was ended", false),
        ("another principal", "on", Some(("userIdentity", other)), false, "contradicts", true),
        ("another instance", "on", Some(("target", json!({"id": "i-0fffffffffffffff0"}))), false, "contradicts", true),
        ("another session", "on", Some(("sessionId", json!("bob-0fffffffffffffff0"))), false, "Not ended", true),
    ];
    let started = Runtime::start("cloudtrail", &environment(&bad, "cloudtrail", "off"), TIME).unwrap();
    for (n, (name, mode, forged, ended, sentence, conflict)) in (0_u32..).zip(rows) {
        let session = Operated::new(ACCOUNT, n, &["uptime", ATTACK, "sudo cat /etc/shadow"]);
        bad.faults.clear();
        bad.faults
            .show_sessions(vec![json!({"SessionId": session.id, "Target": session.target, "Status": "Connected"})]);
        started.invoke(&session.started()).unwrap();
        let logs = Runtime::start("logs", &environment(&bad, "logs", mode), TIME).unwrap();
        let event = subscription(&session, forged.as_ref());
        for _ in 0..2 {
            logs.invoke(&event).unwrap();
        }
        let calls = bad.faults.calls("ssm", "TerminateSession");
        assert_eq!(calls.len(), usize::from(ended), "{name}: {calls:?}");
        assert!(calls.iter().all(|call| call.body.contains(&session.id)), "{name}");
        let alerts = bad.alerts();
        let deadly = |alert: &&Value| alert["finding"]["rule"]["title"] == "Deadly" && command(alert) == ATTACK;
        let told: Vec<_> = alerts.iter().filter(deadly).map(|alert| alert["response"].to_string()).collect();
        assert!(told.len() == 1 && told[0].contains(sentence), "{name}: {told:?}");
        let conflicts: Vec<_> = alerts.iter().filter(|alert| alert["kind"] == "identity-conflict").collect();
        assert_eq!(!conflicts.is_empty(), conflict, "{name}: {conflicts:?}");
        assert!(conflicts.iter().all(|alert| alert["level"] == "high"), "{name}: {conflicts:?}");
    }
}

/// The function's environment, with the rule from the bucket.
fn environment(bad: &Bad, handler: &str, mode: &str) -> Vec<(String, String)> {
    let mut all = bad.stack.environment(handler, &bad.faults.url());
    let own = [("WARDEN_RESPONSE", mode.to_owned()), ("WARDEN_RULES", format!("s3://{}/rules", bad.bucket))];
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
    all
}

/// The session's log stream, as a subscription delivers it; `forged` replaces a field of every message.
fn subscription(session: &Operated, forged: Option<&(&str, Value)>) -> Value {
    let now = Timestamp::now().as_millisecond();
    let events = session.messages().into_iter().zip(0_i64..).map(|(message, n)| {
        let mut message: Value = serde_json::from_str(&message).unwrap();
        if let Some((field, value)) = forged {
            message[*field] = value.clone();
        }
        json!({"id": format!("{n:056}"), "timestamp": now + n, "message": message.to_string()})
    });
    let batch = json!({
        "messageType": "DATA_MESSAGE", "owner": session.account, "logGroup": "/ssm/sessions", "logStream": session.id,
        "subscriptionFilters": ["warden"], "logEvents": events.collect::<Vec<_>>(),
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(batch.to_string().as_bytes()).unwrap();
    json!({"awslogs": {"data": STANDARD.encode(gzip.finish().unwrap())}})
}
