//! What goes wrong on the way: good records are done, bad ones fail with a stable error type, logs hold no session text.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use warden_aws::FetchError;
use warden_functions::alert::Kind;
use warden_functions::error::Failure;
use warden_functions::ledger::table::TableError;
use warden_functions::object::{Body, Fetching, MemoryStore, Opened, Store};
use warden_functions::source::ObjectRef;

use crate::support::{BUCKET, NODE, PRINCIPAL, SESSION, key, sqs, started, store, stored, transcript, twin};

const ATTACK: &[&str] = &["cat /etc/shadow"];

#[tokio::test]
async fn a_poison_message_fails_alone() {
    let twin = twin(store(ATTACK, Some("1")), &[]);
    let good = stored(SESSION, Some("1"), NODE).to_string();
    let missing = stored("eve-0123456789abcdefghijklmnop", None, NODE).to_string();
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}).to_string();
    let event = sqs(&["poison".to_owned(), good, missing, test]);
    let answer = twin.transcripts("1", &event).await.unwrap();
    let failed: Vec<_> =
        answer["batchItemFailures"].as_array().unwrap().iter().map(|item| item["itemIdentifier"].clone()).collect();
    assert_eq!(failed, ["m-0", "m-2"]);
    assert_eq!(twin.initials().len(), 1);
}

#[tokio::test]
async fn failures_have_stable_types() {
    let rows = [
        (FetchError::Missing, "Warden.InputMissing"),
        (FetchError::Denied, "Warden.InputDenied"),
        (FetchError::Truncated { at: 1, length: 2 }, "Warden.InputTruncated"),
        (FetchError::Throttled, "Warden.InputThrottled"),
        (FetchError::Timeout, "Warden.InputTimeout"),
    ];
    for (error, expected) in rows {
        let memory = store(ATTACK, Some("1"));
        memory.fail(&key(SESSION), 200, error);
        let twin = twin(memory, &[]);
        let failure = twin.transcripts("1", &stored(SESSION, Some("1"), NODE)).await.unwrap_err();
        assert_eq!(failure.error_type(), expected);
    }
    assert_eq!(Failure::Ledger(TableError::Throttled).error_type(), "Warden.LedgerThrottled");
    let twin = twin(store(ATTACK, Some("1")), &[]);
    let failure = twin.transcripts("1", &started(SESSION, PRINCIPAL, NODE)).await.unwrap_err();
    assert_eq!(failure.error_type(), "Warden.Misdirected");
}

#[tokio::test]
async fn a_size_cap_is_told() {
    let padding = "x".repeat(3000);
    let echo = format!("echo {padding}");
    let mut commands = ATTACK.to_vec();
    commands.extend([echo.as_str(); 10]);
    let twin = twin(store(&commands, Some("1")), &[("WARDEN_SIZE_CAP", "16KiB")]);
    twin.transcripts("1", &stored(SESSION, Some("1"), NODE)).await.unwrap();
    assert_eq!(twin.initials().len(), 1);
    let told = twin.of(Kind::Audit);
    assert!(told.iter().any(|alert| alert.title.contains("size cap")), "{:?}", told.len());
    let receipts = twin.app.ledger.receipts(SESSION, crate::support::clock()).await.unwrap();
    assert_eq!((receipts.len(), receipts[0].bytes), (1, 16 * 1024));
    assert_eq!(receipts[0].result, warden_functions::ledger::Scan::SizeCap);
}

#[tokio::test]
async fn a_bomb_is_told() {
    let memory = MemoryStore::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&transcript(SESSION, NODE, ATTACK)).unwrap();
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..100 {
        gzip.write_all(&zeros).unwrap();
    }
    memory.put(BUCKET, &key(SESSION), Some("1"), &gzip.finish().unwrap());
    let twin = twin(memory, &[("WARDEN_SIZE_CAP", "8MiB")]);
    twin.transcripts("1", &stored(SESSION, Some("1"), NODE)).await.unwrap();
    assert_eq!(twin.initials().len(), 1);
    assert!(twin.of(Kind::Audit).iter().any(|alert| alert.title.contains("to its end")));
}

#[tokio::test]
async fn what_is_no_record_is_told_if_it_has_the_name_of_one() {
    let memory = MemoryStore::default();
    memory.put(BUCKET, &key(SESSION), None, b"");
    memory.put(BUCKET, "sessions/notes.log", None, b"hello, world\n");
    let twin = twin(memory, &[]);
    twin.transcripts("1", &stored(SESSION, None, NODE)).await.unwrap();
    twin.transcripts("2", &stored("notes", None, NODE)).await.unwrap();
    assert_eq!(twin.sink.alerts().len(), 1);
}

#[tokio::test]
async fn own_outputs_are_refused() {
    let memory = MemoryStore::default();
    memory.put(BUCKET, "own/sessions/x.log", None, &transcript(SESSION, NODE, ATTACK));
    let twin = twin(memory, &[]);
    let mut event = stored(SESSION, None, NODE);
    event["Records"][0]["s3"]["object"]["key"] = json!("own/sessions/x.log");
    twin.transcripts("1", &event).await.unwrap();
    assert!(twin.sink.alerts().is_empty());
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Buffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn logs_hold_the_session_and_none_of_its_text() {
    let buffer = Buffer::default();
    let subscriber =
        tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(buffer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let secret = "mysql -uroot -pHunter22 && cat /etc/shadow # WARDENMARK";
    let memory = store(&[secret, "cat /etc/shadow | WARDENMARK"], Some("1"));
    let twin = twin(memory, &[]);
    let mut start = started(SESSION, PRINCIPAL, NODE);
    start["detail"]["requestParameters"]["reason"] = json!("WARDENMARK");
    start["detail"]["userAgent"] = json!("WARDENMARK");
    twin.cloudtrail("1", &start).await.unwrap();
    twin.sink.refuse(1);
    let poison = "{\"WARDENMARK\":".to_owned();
    let event = sqs(&[stored(SESSION, Some("1"), NODE).to_string(), poison]);
    twin.transcripts("2", &event).await.unwrap();
    twin.transcripts("3", &event).await.unwrap();
    drop(guard);
    let log = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains(SESSION) && log.contains("error_type"), "{log}");
    assert!(!log.contains("WARDENMARK") && !log.contains("Hunter22") && !log.contains("/etc/shadow"), "{log}");
    for alert in twin.sink.alerts() {
        let forms = [alert.machine_json(), alert.human_text(), alert.chat_json(), alert.ocsf(), alert.subject()];
        assert!(forms.iter().all(|form| !form.contains("Hunter22")));
    }
    assert!(twin.table.rows().iter().all(|row| !row.body.contains("Hunter22")));
}

/// A store of which one object makes the reader panic.
#[derive(Debug)]
struct Faulty(MemoryStore);

impl Store for Faulty {
    fn open<'a>(&'a self, object: &'a ObjectRef) -> Fetching<'a, Opened> {
        Box::pin(async move {
            let mut opened = self.0.open(object).await?;
            if object.version.as_deref() == Some("bad") {
                opened.body = Box::new(Panicking);
            }
            Ok(opened)
        })
    }
}

struct Panicking;

impl Body for Panicking {
    fn next(&mut self) -> Fetching<'_, Option<Vec<u8>>> {
        panic!("cat /etc/shadow")
    }
}

#[tokio::test]
async fn a_record_that_makes_us_panic_fails_alone() {
    let memory = store(ATTACK, Some("1"));
    memory.put(BUCKET, &key(SESSION), Some("bad"), b"x");
    let mut twin = twin(MemoryStore::default(), &[]);
    twin.app.store = Box::new(Faulty(memory));
    let of = |version| stored(SESSION, Some(version), NODE).to_string();
    let answer = twin.transcripts("1", &sqs(&[of("bad"), of("1"), of("bad")])).await.unwrap();
    let failed: Vec<_> =
        answer["batchItemFailures"].as_array().unwrap().iter().map(|item| &item["itemIdentifier"]).collect();
    assert_eq!(failed, ["m-0", "m-2"]);
    assert_eq!(twin.initials().len(), 1);
}
