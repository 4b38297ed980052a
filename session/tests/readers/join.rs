//! Joining on the session id.

use serde_json::{Value, json};
use warden_session::join::{SESSIONS_LIMIT, Sessions};
use warden_session::{ApiCall, Session, SessionId};

const ID: &str = "alice-052afb0c93508ea82";
const ALICE: &str = "arn:aws:iam::111122223333:user/alice";

fn call(name: &str, user: &str, request: &Value, response: &Value) -> ApiCall {
    let source = if name == "ExecuteCommand" { "ecs.amazonaws.com" } else { "ssm.amazonaws.com" };
    let record = json!({
        "eventSource": source, "eventName": name, "eventTime": "2024-08-01T12:19:17Z", "awsRegion": "eu-west-1", "recipientAccountId": "111122223333",
        "userIdentity": {"type": "IAMUser", "arn": format!("arn:aws:iam::111122223333:user/{user}")}, "requestParameters": request, "responseElements": response,
    });
    ApiCall::from_record(record, 0..0).unwrap()
}

fn start() -> ApiCall {
    call("StartSession", "alice", &json!({"target": "i-1", "reason": "look"}), &json!({"sessionId": ID}))
}

fn claim(target: Option<&str>, principal: Option<&str>) -> Session {
    Session {
        id: SessionId::parse(ID),
        target: target.map(str::to_owned),
        principal: principal.map(str::to_owned),
        run_as: Some("ssm-user".to_owned()),
        ..Session::default()
    }
}

#[test]
fn cloudtrail_completes_a_transcript() {
    let mut sessions = Sessions::default();
    sessions.absorb(&call("TerminateSession", "eve", &json!({"sessionId": ID}), &json!({"sessionId": ID})));
    assert_eq!(sessions.complete(&claim(None, None)).session.principal, None, "who ends a session does not own it");
    assert_eq!(sessions.complete(&claim(None, None)).session.account.as_deref(), Some("111122223333"));
    sessions.absorb(&start());
    let whole = sessions.complete(&claim(None, None)).session;
    assert_eq!(
        (whole.principal.as_deref(), whole.target.as_deref(), whole.reason.as_deref()),
        (Some(ALICE), Some("i-1"), Some("look"))
    );
    assert_eq!((whole.region.as_deref(), whole.run_as.as_deref()), (Some("eu-west-1"), Some("ssm-user")));
    assert_eq!(whole.document.as_deref(), Some("SSM-SessionManagerRunShell"));
    assert!(whole.started.is_some());
    let nameless = Session::default();
    assert_eq!(sessions.complete(&nameless).session, nameless);
}

#[test]
fn a_denied_call_starts_nothing() {
    let mut denied = start();
    denied.error_code = Some("AccessDenied".to_owned());
    let mut sessions = Sessions::default();
    sessions.absorb(&denied);
    assert!(sessions.is_empty());
}

#[test]
fn claims_that_disagree_lose() {
    for (name, session, conflict) in [
        ("nothing claimed", claim(None, None), false),
        ("the same", claim(Some("i-1"), Some(ALICE)), false),
        ("another target", claim(Some("i-2"), None), true),
        ("another principal", claim(Some("i-1"), Some("arn:aws:iam::111122223333:user/eve")), true),
    ] {
        let mut sessions = Sessions::default();
        sessions.absorb(&start());
        assert_eq!(sessions.complete(&session).conflict, conflict, "{name}");
        assert_eq!(sessions.claim(&session), conflict, "{name}");
        let whole = sessions.complete(&session).session;
        assert_eq!((whole.principal.as_deref(), whole.target.as_deref()), (Some(ALICE), Some("i-1")), "{name}");
    }
    let mut sessions = Sessions::default();
    assert!(!sessions.claim(&claim(Some("i-1"), None)), "a first claim");
    assert!(sessions.claim(&claim(Some("i-2"), None)), "two records of the host");
    assert!(!sessions.complete(&claim(Some("i-2"), None)).conflict, "no call is known");
}

#[test]
fn a_stream_helps_a_transcript() {
    let mut sessions = Sessions::default();
    sessions.claim(&claim(None, Some(ALICE)));
    assert_eq!(
        sessions.complete(&Session { run_as: None, ..claim(Some("i-1"), None) }).session.principal.as_deref(),
        Some(ALICE)
    );
}

#[test]
fn ecs_targets() {
    let id = "ecs-execute-command-0123456789abcdef0";
    let mut sessions = Sessions::default();
    let request = json!({"cluster": "prod", "task": "0f1e2d", "container": "app", "command": "sh"});
    sessions.absorb(&call("ExecuteCommand", "alice", &request, &json!({"session": {"sessionId": id}})));
    for (target, conflict) in
        [("ecs:prod_0f1e2d_0f1e2d-123", false), ("ecs:prod_0f1e2d", false), ("ecs:prod_other_1", true), ("i-1", true)]
    {
        let session = Session { id: SessionId::parse(id), ..claim(Some(target), None) };
        assert_eq!(sessions.complete(&session).conflict, conflict, "{target}");
    }
    let session = Session { id: SessionId::parse(id), ..claim(Some("ecs:prod_0f1e2d_0f1e2d-123"), None) };
    assert_eq!(sessions.complete(&session).session.target.as_deref(), Some("ecs:prod_0f1e2d_0f1e2d-123"));
}

#[test]
fn memory_is_bounded() {
    let mut sessions = Sessions::default();
    for n in 0..SESSIONS_LIMIT + 10 {
        sessions.claim(&Session { id: SessionId::parse(&format!("x-{n:017x}")), ..Session::default() });
    }
    assert_eq!(sessions.len(), SESSIONS_LIMIT);
}
