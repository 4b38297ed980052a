//! The clients of CloudWatch Logs and Systems Manager, against stand-ins on loopback.

use std::sync::Arc;

use serde_json::{Value, json};
use warden_aws::FetchError;
use warden_aws::logs::{LogEvents, Span};
use warden_functions::clients::Clients;
use warden_functions::ssm::{Service, Sessions as _, Which};

use crate::loopback::service;

fn page(texts: &[&str], next: &str) -> (u16, Value) {
    let events: Vec<Value> =
        texts.iter().map(|text| json!({"timestamp": 5, "message": text, "ingestionTime": 6})).collect();
    (200, json!({"events": events, "nextForwardToken": next, "nextBackwardToken": "b"}))
}

#[tokio::test]
async fn log_events_are_read_page_by_page_until_nothing_follows() {
    let (config, calls) = service(|_, request| match request["nextToken"].as_str() {
        None => page(&["a", "b"], "f/1"),
        // A page may be empty although more follows.
        Some("f/1") => page(&[], "f/2"),
        Some("f/2") => page(&["c"], "f/3"),
        Some(_) => page(&[], "f/3"),
    })
    .await;
    let span = Span { from: Some(1), until: Some(9), pages: 10, bytes: 1000 };
    let read = LogEvents::new(&config).read("/ssm", "eva", span).await.unwrap();
    let texts: Vec<&str> = read.events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!((texts.as_slice(), read.cut), (["a", "b", "c"].as_slice(), false));
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 4);
    let expected =
        json!({"logGroupName": "/ssm", "logStreamName": "eva", "startTime": 1, "endTime": 9, "startFromHead": true});
    assert_eq!(calls[0], ("GetLogEvents".to_owned(), expected));
}

#[tokio::test]
async fn what_is_read_of_a_gap_is_bounded() {
    let (config, calls) = service(|_, request| {
        let n: u32 = request["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        page(&["0123456789"], &(n + 1).to_string())
    })
    .await;
    let events = LogEvents::new(&config);
    let span = Span { from: None, until: None, pages: 5, bytes: 1000 };
    let read = events.read("g", "s", span).await.unwrap();
    assert_eq!((read.events.len(), read.cut, calls.lock().unwrap().len()), (5, true, 5));
    let read = events.read("g", "s", Span { bytes: 25, ..span }).await.unwrap();
    assert_eq!((read.events.len(), read.cut), (2, true));
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_missing() {
    let (config, _) = service(|_, _| (400, json!({"__type": "ResourceNotFoundException", "message": "no"}))).await;
    let span = Span { from: None, until: None, pages: 5, bytes: 1000 };
    assert_eq!(LogEvents::new(&config).read("g", "s", span).await, Err(FetchError::Missing));
}

#[tokio::test]
async fn sessions_are_described_page_by_page() {
    let (config, calls) = service(|_, request| {
        let session = |id: &str, status: &str| {
            json!({"SessionId": id, "Target": "i-1", "Status": status, "StartDate": 1_800_000_000.5, "EndDate": 1_800_000_600,
                "Owner": "arn:aws:iam::1:user/eva", "DocumentName": "AWS-StartSSHSession", "Reason": ""})
        };
        match request["NextToken"].as_str() {
            None => (200, json!({"Sessions": [session("eva-1", "Terminated")], "NextToken": "n"})),
            Some(_) => (200, json!({"Sessions": [session("eva-2", "Failed")]})),
        }
    })
    .await;
    let service = Service::new(Arc::new(Clients::with(config)), "123456789012", "us-east-1");
    let began = "2026-11-22T14:00:00Z".parse().unwrap();
    let described = service.describe(&Which::EndedSince(began)).await.unwrap();
    assert_eq!(described.sessions.iter().map(|known| known.failed).collect::<Vec<_>>(), [false, true]);
    let facts = &described.sessions[0].facts;
    assert_eq!(facts.started.unwrap().as_millisecond(), 1_800_000_000_500);
    assert_eq!((facts.principal.as_deref(), facts.reason.as_deref()), (Some("arn:aws:iam::1:user/eva"), None));
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        calls[0].1,
        json!({"State": "History", "MaxResults": 200,
        "Filters": [{"key": "InvokedAfter", "value": "2026-11-22T14:00:00Z"}]})
    );
}

#[tokio::test]
async fn what_systems_manager_does_not_know_is_no_failure() {
    let (config, calls) = service(|operation, request| match (operation, request["SessionId"].as_str()) {
        ("GetDocument", _) => (400, json!({"__type": "InvalidDocument", "message": "no"})),
        ("TerminateSession", Some("eva-1")) => (200, json!({"SessionId": "eva-1"})),
        ("TerminateSession", Some("eva-2")) => (400, json!({"__type": "DoesNotExistException", "message": "no"})),
        _ => (400, json!({"__type": "AccessDeniedException", "message": "no"})),
    })
    .await;
    let service = Service::new(Arc::new(Clients::with(config)), "123456789012", "us-east-1");
    assert_eq!(service.document("SSM-SessionManagerRunShell").await, Ok(None));
    assert_eq!(service.terminate("eva-1").await, Ok(true));
    assert_eq!(service.terminate("eva-2").await, Ok(false));
    let refused = service.describe(&Which::Id("eva-3".to_owned())).await.unwrap_err();
    assert_eq!(refused.code, "AccessDeniedException");
    assert_eq!(calls.lock().unwrap().len(), 4);
}
