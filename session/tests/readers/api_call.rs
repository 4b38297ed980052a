//! CloudTrail records.

use std::io::{Read, Write};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use warden_session::ApiCall;
use warden_session::api_call::{ApiCallReader, Found, RECORD_LIMIT};
use warden_session::timeline::Deviation::{self, LimitReached, Truncated, Undecodable};
use warden_session::timestamp::to_rfc3339;

use crate::support::data;

/// The calls and the deviations of an input fed in pieces.
fn read(bytes: &[u8], piece: usize) -> (Vec<ApiCall>, Vec<Deviation>) {
    let (mut calls, mut deviations) = (Vec::new(), Vec::new());
    let mut sink = |found: Found| match found {
        Found::Call(call) => calls.push(*call),
        Found::Deviation(_, deviation) => deviations.push(deviation),
    };
    let mut reader = ApiCallReader::new();
    for bytes in bytes.chunks(piece) {
        reader.feed(bytes, &mut sink);
    }
    reader.finish(&mut sink);
    (calls, deviations)
}

fn start_session() -> Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/Ops/erin@example.com", "accountId": "111122223333"},
        "eventTime": "2024-08-01T12:19:17Z", "eventSource": "ssm.amazonaws.com", "eventName": "StartSession", "awsRegion": "eu-central-1",
        "sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2", "requestParameters": {"target": "i-0123456789abcdef0", "reason": "look"},
        "responseElements": {"sessionId": "erin@example.com-wzleysigzmbd6fmkefjqvt5w4u", "tokenValue": "Value hidden due to security reasons."},
        "eventID": "8086b250", "recipientAccountId": "444455556666",
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_arrangement_of_records() {
    let (one, two) = (start_session().to_string(), start_session().to_string());
    let pretty = serde_json::to_string_pretty(&start_session()).unwrap();
    let batch = json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "1_CloudTrail_eu", "logEvents": [{"id": "1", "timestamp": 1, "message": one}, {"id": "2", "timestamp": 1, "message": two}]});
    let packed = BASE64_STANDARD.encode(gzip(batch.to_string().as_bytes()));
    let control = json!({"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logGroup": "", "logStream": "", "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: Checking health of destination"}]});
    let control = BASE64_STANDARD.encode(gzip(control.to_string().as_bytes()));
    let table: Vec<(&str, String, usize)> = vec![
        ("one", one.clone(), 1),
        ("pretty", pretty.clone(), 1),
        ("byte order mark", format!("\u{feff}{one}"), 1),
        ("several pretty", format!("{pretty}\n{pretty}\n"), 2),
        ("lines", format!("{one}\n{two}\r\n"), 2),
        ("array", format!("[{one},{two}]"), 2),
        ("Records", format!("{{\"Records\":[{one},{two}]}}"), 2),
        ("Records, pretty", format!("{{\n  \"Records\" : [\n{pretty},\n{pretty}\n]\n}}"), 2),
        ("several Records", format!("{{\"Records\":[{one}]}}\n{{\"Records\":[]}}\n{{\"Records\":[{two}]}}"), 2),
        ("EventBridge", json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "source": "aws.ssm", "detail": start_session()}).to_string(), 1),
        ("other events", json!({"version": "0", "detail-type": "EC2 Instance State-change Notification", "detail": {"state": "running"}}).to_string(), 0),
        ("lookup-events", json!({"Events": [{"EventId": "1", "EventName": "StartSession", "CloudTrailEvent": one}]}).to_string(), 1),
        ("aws logs", json!({"events": [{"timestamp": 1, "message": one}], "nextForwardToken": "f/1"}).to_string(), 1),
        ("subscription", json!({"awslogs": {"data": packed}}).to_string(), 2),
        ("control message", json!({"awslogs": {"data": control}}).to_string(), 0),
        ("Kinesis", json!({"Records": [{"kinesis": {"data": packed}, "eventSource": "aws:kinesis", "eventName": "aws:kinesis:record"}]}).to_string(), 2),
        ("Firehose", json!({"invocationId": "i", "records": [{"recordId": "1", "data": packed}]}).to_string(), 2),
        ("Firehose, plain", json!({"records": [{"recordId": "1", "data": BASE64_STANDARD.encode(format!("{one}\n{two}\n"))}]}).to_string(), 2),
        ("digest", json!({"awsAccountId": "1", "digestStartTime": "2024-08-01T12:19:17Z", "logFiles": [{"s3Bucket": "b"}]}).to_string(), 0),
        ("insight", json!({"Records": [{"eventVersion": "1.07", "eventType": "AwsCloudTrailInsight", "insightDetails": {"eventName": "RunInstances"}, "eventCategory": "Insight"}]}).to_string(), 0),
        ("nothing", String::new(), 0),
    ];
    for (name, text, count) in &table {
        for piece in [1, 100, 1_000_000] {
            let (calls, deviations) = read(text.as_bytes(), piece);
            assert_eq!((calls.len(), deviations), (*count, vec![]), "{name}");
            for call in calls {
                assert_eq!(call.record, start_session(), "{name}");
                let (start, end) =
                    (usize::try_from(call.offset.start).unwrap(), usize::try_from(call.offset.end).unwrap());
                assert!(text[start..end].starts_with('{') && text[start..end].ends_with('}'), "{name}");
            }
        }
    }
}

#[test]
fn a_bad_record_fails_alone() {
    let one = start_session().to_string();
    let deep = format!("{{\"eventName\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let long = format!("{{\"eventName\":\"{}\"}}", "x".repeat(RECORD_LIMIT));
    let table: Vec<(&str, String, &[Deviation])> = vec![
        ("no call", format!("{{\"Records\":[{{\"a\":1}},{one}]}}"), &[Undecodable]),
        (
            "notification",
            format!("{{\"Records\":[{{\"eventSource\":\"aws:s3\",\"eventName\":\"ObjectCreated:Put\"}},{one}]}}"),
            &[Undecodable],
        ),
        ("deep", format!("{{\"Records\":[{deep},{one}]}}"), &[Undecodable]),
        ("long", format!("{{\"Records\":[{long},{one}]}}"), &[LimitReached("record")]),
        ("number", format!("{{\"Records\":[1e,{one}]}}"), &[Undecodable]),
        ("text before", format!("Loading…\n{one}"), &[Undecodable]),
        ("open line", format!("{{\"eventName\":\"x\n{one}\n"), &[Undecodable]),
        ("cut", format!("{{\"Records\":[{one},{}", &one[..50]), &[Truncated]),
        ("bad base64", format!("{{\"awslogs\":{{\"data\":\"!\"}}}}{one}"), &[Undecodable]),
        (
            "bad gzip",
            format!("{{\"awslogs\":{{\"data\":\"{}\"}}}}{one}", BASE64_STANDARD.encode([0x1f, 0x8b, 9, 9])),
            &[Deviation::BadCompression],
        ),
        ("invalid UTF-8 aside", format!("{{\"eventName\":\"\u{fffd}\"}}\n{one}"), &[Undecodable]),
    ];
    for (name, text, expected) in &table {
        for piece in [7, 1_000_000] {
            let (calls, deviations) = read(text.as_bytes(), piece);
            assert_eq!((calls.len(), deviations.as_slice()), (1, *expected), "{name}");
        }
    }
    let invalid = [b"{\"eventName\":\"\xff\xfe\"}\n", one.as_bytes()].concat();
    assert_eq!(read(&invalid, 3).1, [Undecodable]);
}

/// A StartSession with one part changed.
fn with(pointer: &str, value: Value) -> ApiCall {
    let mut record = start_session();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    record.pointer_mut(parent).unwrap()[key] = value;
    ApiCall::from_record(record, 0..0).unwrap()
}

#[test]
fn facts_of_a_session_call() {
    let call = ApiCall::from_record(start_session(), 3..9).unwrap();
    assert_eq!(call.session.as_ref().unwrap().as_str(), "erin@example.com-wzleysigzmbd6fmkefjqvt5w4u");
    assert_eq!(call.facts.id, call.session);
    assert_eq!(call.facts.principal.as_deref(), Some("arn:aws:sts::111122223333:assumed-role/Ops/erin@example.com"));
    assert_eq!(call.facts.target.as_deref(), Some("i-0123456789abcdef0"));
    assert_eq!(call.facts.account.as_deref(), Some("444455556666"), "the account that owns the target");
    assert_eq!(call.facts.region.as_deref(), Some("eu-central-1"));
    assert_eq!(call.facts.document.as_deref(), Some("SSM-SessionManagerRunShell"));
    assert_eq!(call.facts.reason.as_deref(), Some("look"));
    assert_eq!(call.facts.started, call.event_time);
    assert_eq!((call.offset, call.identity_type.as_deref(), call.command), (3..9, Some("AssumedRole"), None));

    let denied = with("/responseElements", Value::Null);
    assert_eq!(denied.session, None);
    let denied = with("/requestParameters", Value::Null);
    assert_eq!((denied.facts.target, denied.facts.document), (None, None));
    let failed = with("/errorCode", json!("AccessDenied"));
    assert_eq!((failed.error_code.as_deref(), failed.facts.started), (Some("AccessDenied"), None));

    let command = with(
        "/requestParameters",
        json!({"target": "i-1", "documentName": "AWS-StartInteractiveCommand", "parameters": {"command": ["sudo cat /etc/shadow"]}}),
    );
    assert_eq!(command.command.as_deref(), Some("sudo cat /etc/shadow"));
    assert_eq!(command.facts.document.as_deref(), Some("AWS-StartInteractiveCommand"));
    let forward = with(
        "/requestParameters",
        json!({"target": "i-1", "documentName": "AWS-StartPortForwardingSessionToRemoteHost", "parameters": {"host": ["db"], "portNumber": ["5432"]}}),
    );
    assert_eq!((forward.command, forward.parameters["portNumber"].clone()), (None, vec!["5432".to_owned()]));
}

#[test]
fn times_in_every_form() {
    for (text, expected) in [
        ("2024-08-01T12:19:17Z", "2024-08-01T12:19:17.000Z"),
        ("2025-02-19 20:13:49", "2025-02-19T20:13:49.000Z"),
        ("2025-02-19 20:13:49.250", "2025-02-19T20:13:49.250Z"),
        ("2024-08-01T14:19:17+02:00", "2024-08-01T12:19:17.000Z"),
    ] {
        assert_eq!(with("/eventTime", json!(text)).event_time.map(to_rfc3339).as_deref(), Some(expected), "{text}");
    }
    assert_eq!(with("/eventTime", json!("yesterday")).event_time, None);
}

#[test]
fn second_factor() {
    let attributes = |mfa: &str| json!({"attributes": {"mfaAuthenticated": mfa}});
    let web =
        json!({"webIdFederationData": {"federatedProvider": "cognito"}, "attributes": {"mfaAuthenticated": "false"}});
    let plain = json!({"webIdFederationData": {}, "attributes": {"mfaAuthenticated": "false"}});
    let center = json!({"sessionIssuer": {"arn": "arn:aws:iam::1:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_x"}, "attributes": {"mfaAuthenticated": "false"}});
    for (name, identity, expected) in [
        ("user with", json!({"type": "IAMUser", "sessionContext": attributes("true")}), Some(true)),
        ("user without", json!({"type": "IAMUser", "sessionContext": attributes("false")}), Some(false)),
        ("user's long-lived key", json!({"type": "IAMUser", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}), Some(false)),
        ("root without", json!({"type": "Root", "sessionContext": attributes("false")}), Some(false)),
        ("role", json!({"type": "AssumedRole", "sessionContext": plain}), Some(false)),
        ("role by web identity", json!({"type": "AssumedRole", "sessionContext": web}), None),
        ("role by Identity Center", json!({"type": "AssumedRole", "sessionContext": center}), None),
        ("federated", json!({"type": "FederatedUser", "sessionContext": attributes("false")}), None),
        ("Identity Center", json!({"type": "IdentityCenterUser", "sessionContext": attributes("false")}), None),
        ("service", json!({"type": "AWSService", "invokedBy": "ssm.amazonaws.com"}), None),
    ] {
        assert_eq!(with("/userIdentity", identity).mfa, expected, "{name}");
    }
}

#[test]
fn ecs_exec() {
    let record = json!({
        "eventSource": "ecs.amazonaws.com", "eventName": "ExecuteCommand", "eventTime": "2024-08-01T12:19:17Z",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/alice"},
        "requestParameters": {"cluster": "arn:aws:ecs:eu-west-1:1:cluster/prod", "container": "app", "command": "/bin/sh -c id", "interactive": true, "task": "arn:aws:ecs:eu-west-1:1:task/prod/0f1e2d"},
        "responseElements": {"session": {"sessionId": "ecs-execute-command-0123456789abcdef0", "tokenValue": "HIDDEN"}},
    });
    let call = ApiCall::from_record(record, 0..1).unwrap();
    assert_eq!(call.command.as_deref(), Some("/bin/sh -c id"));
    assert_eq!(call.facts.target.as_deref(), Some("ecs:prod_0f1e2d"));
    assert_eq!(call.session.unwrap().name(), "ecs-execute-command");
}

#[test]
fn real_records() {
    let Some(folder) = data().map(|data| data.join("public/cloudtrail")) else { return };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "json") {
            let (calls, deviations) = read(&std::fs::read(&path).unwrap(), 1000);
            assert_eq!((calls.len(), deviations), (1, vec![]), "{}", path.display());
            assert!(calls[0].event_time.is_some(), "{}", path.display());
            if calls[0].event_name.ends_with("Session") {
                assert!(calls[0].session.is_some() && calls[0].facts.principal.is_some(), "{}", path.display());
            }
            names.push(calls[0].event_name.clone());
        }
    }
    assert_eq!(names.iter().filter(|name| *name == "StartSession").count(), 4);
    let unzipped = |path: &Path| {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let (calls, deviations) = read(&unzipped(&folder.join("bulk-stratus.json.gz")), 65_536);
    assert_eq!((calls.len(), deviations), (310, vec![]));
    let bulk: usize = std::fs::read_dir(folder.join("bulk-invictus"))
        .unwrap()
        .map(|entry| {
            let (calls, deviations) = read(&unzipped(&entry.unwrap().path()), 65_536);
            assert_eq!(deviations, []);
            calls.len()
        })
        .sum();
    assert_eq!(bulk, 2900);
}

#[test]
fn a_file_on_one_line_passes_through() {
    let one = start_session().to_string();
    let mut reader = ApiCallReader::new();
    let (mut count, mut wrong) = (0, 0);
    let mut sink = |found: Found| match found {
        Found::Call(_) => count += 1,
        Found::Deviation(..) => wrong += 1,
    };
    reader.feed(b"{\"Records\":[", &mut sink);
    // A record of 100 MB that is skipped, and many that are read.
    reader.feed(b"{\"eventName\":\"", &mut sink);
    for _ in 0..100 {
        reader.feed(&vec![b'x'; 1 << 20], &mut sink);
    }
    reader.feed(b"\"}", &mut sink);
    for _ in 0..2000 {
        reader.feed(format!(",{one}").as_bytes(), &mut sink);
    }
    reader.feed(b"]}", &mut sink);
    reader.finish(&mut sink);
    assert_eq!((count, wrong), (2000, 1));
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..500), piece in 1_usize..40) {
        prop_assert_eq!(read(&bytes, piece), read(&bytes, 1000));
    }

    #[test]
    fn damage_and_pieces_do_not_matter(at in 0_usize..700, byte in any::<u8>(), piece in 1_usize..200) {
        let mut bytes = format!("{{\"Records\":[{0},{0}]}}", start_session()).into_bytes();
        if let Some(old) = bytes.get_mut(at) {
            *old = byte;
        }
        prop_assert_eq!(read(&bytes, piece), read(&bytes, 100_000));
    }
}
