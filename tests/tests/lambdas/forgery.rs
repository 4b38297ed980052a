//! Records that are not what they say, in the bucket of transcripts: reported, never believed.

use serde_json::{Value, json};
use warden_tests::sessions::Operated;

use crate::faults::{ATTACK, Bad, TIME};

const ACCOUNT: &str = "200000000008";

#[test]
fn forged_transcripts_are_reported_and_not_believed() {
    let Some(bad) = Bad::new(ACCOUNT) else { return };
    let (cloudtrail, transcripts) = (bad.run("cloudtrail", TIME), bad.run("transcripts", TIME));
    let honest = Operated::new(ACCOUNT, 1, &[ATTACK]);
    cloudtrail.invoke(&honest.started()).unwrap();
    let text = String::from_utf8(honest.transcript()).unwrap();
    let other = Operated::new(ACCOUNT, 2, &[]);
    let unknown = Operated::new(ACCOUNT, 3, &[ATTACK]);
    let trail = json!({"Records": [unknown.started()["detail"]]}).to_string();
    let year = text.get("Script started on ".len()..).unwrap().get(..4).unwrap();
    // What is stored, under which key, and what is said of it.
    let conflict = "A record's identity disagrees with what is known of its session";
    let rows = [
        ("another session", honest.key(), text.replace(&honest.id, &other.id), conflict),
        ("another node", honest.key(), text.replace(&honest.target, &other.target), conflict),
        (
            "a late upload",
            honest.key(),
            text.replace(year, "2020"),
            "A record was stored too late to be the agent's own",
        ),
        (
            "other content",
            honest.key(),
            text.replace(ATTACK, "uptime"),
            "A session's record was stored a second time, with other content",
        ),
        ("API calls", "notes.json".to_owned(), trail, "An object does not belong where it lies"),
    ];
    let mut said = Vec::new();
    for (name, key, body, title) in rows {
        let stored = bad.stack.account.put(&bad.bucket, &key, body);
        for _ in 0..2 {
            let event = json!({ "Records": [honest.notification(&stored, name)] });
            let answer = transcripts.invoke(&event).unwrap();
            assert_eq!(answer["batchItemFailures"], json!([]), "{name}: {}", transcripts.take_log());
        }
        said.extend(bad.alerts());
        let told = |alert: &&Value| alert["kind"] == "identity-conflict" && alert["title"] == title;
        assert!(said.iter().any(|alert| told(&alert)), "{name}: {said:#?}");
    }
    // Nobody learned of a session from what hosts may write.
    let stored = bad.stack.account.put(&bad.bucket, &unknown.key(), unknown.transcript());
    transcripts.invoke(&json!({ "Records": [unknown.notification(&stored, "unknown")] })).unwrap();
    let alerts = bad.alerts();
    let initial = alerts.iter().find(|alert| alert["kind"] == "initial").unwrap();
    assert_eq!(initial["session"]["principal"], Value::Null, "{initial:#}");
    assert!(bad.faults.calls("ssm", "TerminateSession").is_empty());
}
