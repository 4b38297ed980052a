//! Records that are not what they say: reported, never acted on.

use warden_functions::alert::Kind;
use warden_functions::object::MemoryStore;

use crate::support::{
    BUCKET, NODE, PRINCIPAL, SESSION, Twin, key, pass, started, store, stored, streamed, transcript, twin,
};

const OTHER: &str = "bob-0123456789abcdefghijklmnop";
const ATTACK: &[&str] = &["cat /etc/shadow"];

fn conflicts(twin: &Twin) -> Vec<String> {
    twin.of(Kind::IdentityConflict).iter().map(|alert| alert.notes.join("; ")).collect()
}

#[tokio::test]
async fn a_transcript_that_claims_another_session_or_instance_is_reported() {
    // name, session and node in the header, who stored it, what the report names
    let rows = [
        ("another session", OTHER, NODE, NODE, "session"),
        ("another instance", SESSION, "i-0fffffffffffffff0", "role", "target"),
        ("stored by another instance", SESSION, NODE, "i-0fffffffffffffff0", "it was stored by"),
    ];
    for (name, session, node, uploader, on) in rows {
        for start_first in [true, false] {
            let memory = MemoryStore::default();
            memory.put(BUCKET, &key(SESSION), Some("1"), &transcript(session, node, ATTACK));
            let twin = twin(memory, &[("WARDEN_RESPONSE", "on")]);
            for n in 0..3 {
                let id = format!("{n}");
                if start_first {
                    twin.cloudtrail(&id, &started(SESSION, PRINCIPAL, NODE)).await.unwrap();
                }
                twin.transcripts(&id, &stored(SESSION, Some("1"), uploader)).await.unwrap();
                twin.cloudtrail(&id, &started(SESSION, PRINCIPAL, NODE)).await.unwrap();
                pass(70);
            }
            let told = conflicts(&twin);
            assert!(told.iter().any(|notes| notes.contains(on)), "{name}, StartSession first: {start_first}: {told:?}");
            assert!(told.len() <= 2, "{name}: {told:?}");
            assert!(twin.of(Kind::IdentityConflict).iter().all(|alert| alert.level >= warden_rules::Level::High));
            assert!(twin.of(Kind::Update).iter().all(|alert| alert.finding.is_some()), "{name}");
            assert_eq!(twin.initials().len(), 1, "{name}: the finding itself is told as well");
        }
    }
}

#[tokio::test]
async fn a_stream_that_claims_another_principal_is_reported() {
    let twin = twin(store(ATTACK, Some("1")), &[("WARDEN_RESPONSE", "on")]);
    twin.cloudtrail("1", &started(SESSION, PRINCIPAL, NODE)).await.unwrap();
    let forged = streamed(SESSION, "arn:aws:iam::111122223333:user/bob", NODE, ATTACK);
    for n in 0..3 {
        twin.logs(&format!("s{n}"), &forged).await.unwrap();
    }
    let told = conflicts(&twin);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("principal"), "{told:?}");
}

#[tokio::test]
async fn a_second_version_is_reported_once_in_either_order() {
    for order in [["1", "2"], ["2", "1"]] {
        let memory = store(ATTACK, Some("1"));
        memory.put(BUCKET, &key(SESSION), Some("2"), &transcript(SESSION, NODE, &["ls"]));
        let twin = twin(memory, &[]);
        for n in 0..3 {
            for version in order {
                twin.transcripts(&format!("{version}-{n}"), &stored(SESSION, Some(version), NODE)).await.unwrap();
            }
        }
        let told = twin.of(Kind::IdentityConflict);
        assert_eq!(told.len(), 1, "{:?}", conflicts(&twin));
        assert!(told[0].title.contains("second time"));
    }
}

#[tokio::test]
async fn a_late_upload_is_reported() {
    let memory = store(ATTACK, Some("1"));
    pass(2 * 3600);
    let twin = twin(memory, &[]);
    twin.transcripts("1", &stored(SESSION, Some("1"), NODE)).await.unwrap();
    let told = twin.of(Kind::IdentityConflict);
    assert_eq!(told.len(), 1, "{:?}", conflicts(&twin));
    assert!(told[0].title.contains("too late"));
}

#[tokio::test]
async fn an_honest_session_is_no_conflict() {
    let twin = twin(store(ATTACK, Some("1")), &[]);
    twin.cloudtrail("1", &started(SESSION, PRINCIPAL, NODE)).await.unwrap();
    twin.logs("2", &streamed(SESSION, PRINCIPAL, NODE, ATTACK)).await.unwrap();
    twin.transcripts("3", &stored(SESSION, Some("1"), NODE)).await.unwrap();
    assert_eq!(conflicts(&twin), Vec::<String>::new());
}
