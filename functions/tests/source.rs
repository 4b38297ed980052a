//! Every envelope in which AWS's services hand events on.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use warden_functions::source::{Carrier, Deliveries, ObjectRef, SourceError, Work, deliveries};

fn read(event: &Value) -> Deliveries {
    deliveries(event.to_string().as_bytes()).unwrap()
}

fn only_work(event: &Value) -> Vec<Work> {
    let mut found = read(event);
    assert_eq!(found.deliveries.len(), 1);
    found.deliveries.remove(0).work.unwrap()
}

fn notification(key: &str) -> Value {
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1", "eventTime": "2026-11-24T10:00:00.000Z",
        "eventName": "ObjectCreated:Put", "userIdentity": {"principalId": "AWS:AROAEXAMPLE:i-0123456789abcdef0"},
        "requestParameters": {"sourceIPAddress": "10.0.0.1"}, "responseElements": {},
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "transcripts"},
               "object": {"key": key, "size": 12, "eTag": "abc", "versionId": "v1", "sequencer": "1"}},
    }]})
}

fn wanted() -> ObjectRef {
    ObjectRef {
        bucket: "transcripts".into(),
        key: "a b/carol@example.com-0123456789abcdef0.log".into(),
        version: Some("v1".into()),
        size: Some(12),
        etag: Some("abc".into()),
        uploader: Some("AWS:AROAEXAMPLE:i-0123456789abcdef0".into()),
        at: Some("2026-11-24T10:00:00Z".parse().unwrap()),
    }
}

#[test]
fn a_notification_is_found_in_all_its_wrappings() {
    let s3 = notification("a+b/carol%40example.com-0123456789abcdef0.log");
    let sns_message = json!({
        "Type": "Notification", "MessageId": "1", "TopicArn": "arn", "Message": s3.to_string(), "Timestamp": "2026-11-24T10:00:00Z",
        "SignatureVersion": "1", "Signature": "x", "SigningCertURL": "x", "UnsubscribeURL": "x",
    });
    let sns = json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": "arn", "Sns": sns_message}]});
    let sqs =
        |body: &Value| json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": body.to_string()}]});
    let rows = [
        ("S3", s3.clone(), Carrier::Whole),
        ("SNS", sns, Carrier::Whole),
        ("SQS", sqs(&s3), Carrier::Sqs),
        ("SNS in SQS", sqs(&sns_message), Carrier::Sqs),
    ];
    for (name, event, carrier) in rows {
        assert_eq!(read(&event).carrier, carrier, "{name}");
        assert_eq!(only_work(&event), [Work::Object(wanted())], "{name}");
    }
}

#[test]
fn an_eventbridge_key_is_taken_as_it_is() {
    let event = json!({
        "version": "0", "id": "1", "detail-type": "Object Created", "source": "aws.s3", "account": "111122223333",
        "time": "2026-11-24T10:00:00Z", "region": "eu-central-1", "resources": [],
        "detail": {"version": "0", "bucket": {"name": "b"}, "object": {"key": "a%40b+c.log", "size": 1, "etag": "e", "version-id": ""},
                   "requester": "111122223333", "reason": "PutObject"},
    });
    let [Work::Object(object)] = &only_work(&event)[..] else { unreachable!("one object") };
    assert_eq!((object.key.as_str(), &object.version), ("a%40b+c.log", &None));
}

#[test]
fn what_is_meant_for_nobody_is_accepted() {
    let mut removed = notification("a");
    removed["Records"][0]["eventName"] = json!("ObjectRemoved:Delete");
    let rows = [
        (json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}), "S3 test event"),
        (json!({"Type": "SubscriptionConfirmation", "Message": "x"}), "SNS subscription message"),
        (removed, "S3 notification of something else than a new object"),
        (notification("prefix/"), "folder marker"),
    ];
    for (event, why) in rows {
        assert_eq!(only_work(&event), [Work::Nothing(why)]);
    }
}

#[test]
fn api_calls_come_bare_through_eventbridge_and_in_files() {
    let record = json!({"eventSource": "ssm.amazonaws.com", "eventName": "StartSession", "eventID": "e"});
    let bridge = json!({"detail-type": "AWS API Call via CloudTrail", "source": "aws.ssm", "detail": record});
    for event in [bridge, record.clone(), json!({"Records": [record]})] {
        assert_eq!(only_work(&event), [Work::ApiCall(Box::new(record.clone()))]);
    }
    let stored = json!({"s3Bucket": "trail", "s3ObjectKey": ["AWSLogs/1/CloudTrail/r/a.json.gz"]});
    let [Work::Object(object)] = &only_work(&stored)[..] else { unreachable!("one object") };
    assert_eq!((object.bucket.as_str(), object.key.as_str()), ("trail", "AWSLogs/1/CloudTrail/r/a.json.gz"));
}

#[test]
fn a_poison_record_fails_alone() {
    let good = json!({"messageId": "good", "eventSource": "aws:sqs", "body": notification("k").to_string()});
    let bodies = [
        "",
        "poison",
        "{}",
        "[]",
        "{\"Records\":[{}]}",
        "{\"Records\":[{\"eventSource\":\"aws:s3\"}]}",
        "\u{0}",
        "{\"a\":",
    ];
    for body in bodies {
        let bad = json!({"messageId": "bad", "eventSource": "aws:sqs", "body": body});
        let found = read(&json!({"Records": [good, bad, good]}));
        let outcomes: Vec<_> =
            found.deliveries.iter().map(|one| (one.id.as_deref().unwrap(), one.work.is_ok())).collect();
        assert_eq!(outcomes, [("good", true), ("bad", false), ("good", true)], "{body}");
    }
    let damaged = json!({"kinesis": {"sequenceNumber": "7", "data": "%%%"}, "eventSource": "aws:kinesis"});
    let found = read(&json!({"Records": [damaged]}));
    assert_eq!(found.deliveries[0].id.as_deref(), Some("7"));
    assert!(found.deliveries[0].work.is_err());
}

#[test]
fn depth_and_size_are_bounded() {
    let mut body = notification("k").to_string();
    for _ in 0..12 {
        body = json!({"Type": "Notification", "Message": body}).to_string();
    }
    assert!(matches!(
        deliveries(body.as_bytes()).unwrap().deliveries[0].work,
        Err(SourceError::LimitReached { limit: "envelopes around one another", .. })
    ));
    let bomb = STANDARD.encode(gzip_of_blanks(64 << 20));
    let event = json!({"awslogs": {"data": bomb}});
    assert!(matches!(read(&event).deliveries[0].work, Err(SourceError::LimitReached { .. })));
}

fn gzip_of_blanks(length: usize) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![b' '; length]).unwrap();
    encoder.finish().unwrap()
}

/// Lambda, Kinesis and Firehose envelopes with the agent's real events.
#[test]
fn made_envelopes_hold_log_events() {
    let Some(folder) = data("made/envelopes") else { return };
    let mut batches = 0;
    for path in files(&folder) {
        let found = deliveries(&fs::read(&path).unwrap()).unwrap();
        for delivery in found.deliveries {
            for work in delivery.work.unwrap() {
                match work {
                    Work::Logs(batch) => {
                        assert!(!batch.events.is_empty() && !batch.log_stream.is_empty(), "{}", path.display());
                        batches += 1;
                    }
                    other => assert_eq!(other, Work::Nothing("CloudWatch Logs control message")),
                }
            }
        }
    }
    assert!(batches >= 10, "{batches}");
}

#[test]
fn public_envelopes_are_read_or_refused_in_words() {
    let Some(folder) = data("public/envelopes") else { return };
    for path in files(&folder).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json"))
    {
        let found = deliveries(&fs::read(&path).unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let read = found.as_ref().is_ok_and(|found| found.deliveries.iter().all(|delivery| delivery.work.is_ok()));
        let readable = name.contains("s3-event") || name.contains("cloudwatch");
        assert_eq!(read, readable, "{name}: {found:?}");
    }
}

fn data(folder: &str) -> Option<PathBuf> {
    let path = std::env::var_os("WARDEN_DATA").map(|data| Path::new(&data).join(folder)).filter(|path| path.is_dir());
    if path.is_none() {
        println!("skipped: WARDEN_DATA names no folder with {folder}");
    }
    path
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
