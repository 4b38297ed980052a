//! `backfill`: results in S3, result codes, nothing published.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use warden_aws::FetchError;
use warden_functions::handler::backfill::{MemoryResults, handle};
use warden_functions::object::MemoryStore;

use crate::support::{Twin, invocation, recorded_sessions, twin};

const TRANSCRIPT: &[u8] = b"Script started on 2020-05-27 23:00:48+0000\nsh-4.2$ cat /etc/shadow\r\r\ncat: denied\r\r\nsh-4.2$ exit\r\r\nexit\r\r\n\nScript done on 2020-05-27 23:01:53+0000\n";
const KEY: &str = "eva-0123456789abcdef0.log";

fn prepared(settings: &[(&'static str, &'static str)], fill: impl Fn(&MemoryStore)) -> (Twin, MemoryResults) {
    let mut twin = twin("backfill", settings);
    let (store, results) = (MemoryStore::default(), MemoryResults::default());
    fill(&store);
    twin.app.store = Box::new(store);
    twin.app.results = Box::new(results.clone());
    (twin, results)
}

fn tasks(keys: &[&str]) -> Vec<u8> {
    let task = |key: &&str| json!({"taskId": format!("task {key}"), "s3Key": key, "s3VersionId": null, "s3BucketArn": "arn:aws:s3:::audit"});
    json!({"invocationSchemaVersion": "1.0", "invocationId": "i-1", "job": {"id": "job-1"},
        "tasks": keys.iter().map(task).collect::<Vec<_>>()})
    .to_string()
    .into_bytes()
}

#[tokio::test]
async fn each_task_has_its_own_result() {
    let (twin, results) = prepared(&[("WARDEN_SIZE_CAP", "1000"), ("WARDEN_REFUSE", "s3://audit/own")], |store| {
        store.put("audit", KEY, None, TRANSCRIPT);
        store.put("audit", "large.log", None, &[b'a'; 2000]);
        store.put("audit", "note.txt", None, b"hello, world\n");
        store.put("audit", "slow.log", None, TRANSCRIPT);
        store.put("audit", "denied.log", None, TRANSCRIPT);
        store.fail("slow.log", 20, FetchError::Throttled);
        store.fail("denied.log", 0, FetchError::Denied);
    });
    let keys = [KEY, "missing.log", "large.log", "note.txt", "slow.log", "denied.log", "own/x.log"];
    let answer = handle(&twin.app, &invocation("one"), &tasks(&keys)).await.unwrap();
    assert_eq!(answer["invocationSchemaVersion"], "1.0");
    assert_eq!(answer["invocationId"], "i-1");
    let codes: Vec<&str> =
        answer["results"].as_array().unwrap().iter().map(|result| result["resultCode"].as_str().unwrap()).collect();
    let expected = [
        "Succeeded",
        "PermanentFailure",
        "PermanentFailure",
        "PermanentFailure",
        "TemporaryFailure",
        "PermanentFailure",
        "PermanentFailure",
    ];
    assert_eq!(codes, expected, "{answer:#}");
    let stored = results.stored();
    assert_eq!(stored.len(), 1);
    assert!(stored[0].0.starts_with("results/runs/job-1/"), "{}", stored[0].0);
    let lines: Vec<Value> = stored[0].1.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, findings) = lines.split_last().unwrap();
    assert!(findings.iter().any(|finding| finding["command"]["text"] == "cat /etc/shadow"));
    assert_eq!((summary["commands"].as_u64(), &summary["sessions"]), (Some(2), &json!(["eva-0123456789abcdef0"])));
    assert!(twin.alerts().is_empty() && twin.table.rows().is_empty() && twin.sessions.terminated().is_empty());
}

#[tokio::test]
async fn a_batch_of_a_map_is_tried_again_as_a_whole() {
    let event = |keys: &[&str]| {
        let items: Vec<Value> = keys.iter().map(|key| json!({"Key": key, "Size": 1})).collect();
        json!({"BatchInput": {"bucket": "audit", "run": "r-1"}, "Items": items}).to_string().into_bytes()
    };
    let (twin, results) = prepared(&[], |store| {
        store.put("audit", KEY, None, TRANSCRIPT);
        store.put("audit", "slow.log", None, TRANSCRIPT);
        store.fail("slow.log", 20, FetchError::Timeout);
    });
    let answer = handle(&twin.app, &invocation("one"), &event(&[KEY, "missing.log"])).await.unwrap();
    assert_eq!((answer["objects"].as_u64(), answer["failed"].as_u64()), (Some(2), Some(1)));
    let error = handle(&twin.app, &invocation("one"), &event(&[KEY, "slow.log"])).await.unwrap_err();
    assert_eq!(error.error_type(), "Warden.InputTimeout");
    let stored = results.stored();
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0], stored[1]);
}

#[tokio::test]
async fn recorded_transcripts_give_what_a_scan_gives() {
    let Some(sessions) = recorded_sessions() else { return };
    let (twin, results) = prepared(&[], |store| {
        for dir in &sessions {
            let name = dir.file_name().unwrap().to_str().unwrap();
            store.put("audit", &format!("{name}.log"), None, &fs::read(dir.join("transcript.log")).unwrap());
        }
    });
    let keys: Vec<String> =
        sessions.iter().map(|dir| format!("{}.log", dir.file_name().unwrap().to_str().unwrap())).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let answer = handle(&twin.app, &invocation("one"), &tasks(&keys)).await.unwrap();
    let done =
        answer["results"].as_array().unwrap().iter().filter(|result| result["resultCode"] == "Succeeded").count();
    let findings: usize = results.stored().iter().map(|(_, lines)| lines.lines().count() - 1).sum();
    println!("{done} of {} transcripts, {findings} findings", sessions.len());
    assert_eq!(done, sessions.len());
    let twins = Arc::strong_count(&twin.table);
    assert!(findings > 100 && twins > 0 && twin.table.rows().is_empty());
}
