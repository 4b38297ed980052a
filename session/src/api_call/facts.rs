//! What a record says, key by key.
//!
//! Keys: CloudTrail user guide, "CloudTrail record contents" and "userIdentity element"; request and response keys are
//! those of the API reference of SSM, ECS and SSM GUI Connect with a small first letter.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::ApiCall;
use crate::session::{Session, SessionId};

/// Document of a StartSession that names none.
const DEFAULT_DOCUMENT: &str = "SSM-SessionManagerRunShell";

/// Reads a record; `None` if it is no API call.
pub(super) fn call(record: Value, offset: Range<u64>) -> Option<ApiCall> {
    let text = |key: &str| record.get(key).and_then(Value::as_str).map(str::to_owned);
    let event_name = text("eventName")?;
    let event_source = text("eventSource").unwrap_or_default();
    // Notifications of S3 and Kinesis have an `eventName` too.
    if event_source.starts_with("aws:") || (event_source.is_empty() && record.get("userIdentity").is_none()) {
        return None;
    }
    let request = record.get("requestParameters").unwrap_or(&Value::Null);
    let ecs = event_name == "ExecuteCommand" && event_source == "ecs.amazonaws.com";
    let starts = event_name == "StartSession";
    let parameters = parameters(request.get("parameters"));
    let command = match parameters.get("command") {
        _ if ecs => request.get("command").and_then(Value::as_str).map(str::to_owned),
        Some(words) if starts => Some(words.join(" ")),
        _ => None,
    };
    let targets = if ecs { ecs_target(&record).into_iter().collect() } else { targets(request) };
    let event_time = record.get("eventTime").and_then(Value::as_str).and_then(time);
    let error_code = text("errorCode");
    let facts = Session {
        target: targets.first().filter(|_| targets.len() == 1).cloned(),
        document: document(request, starts),
        started: event_time.filter(|_| (starts || ecs) && error_code.is_none()),
        ..identity(&record)
    };
    Some(ApiCall {
        event_id: text("eventID"),
        source_ip: text("sourceIPAddress"),
        user_agent: text("userAgent"),
        identity_type: string(&record, "/userIdentity/type"),
        mfa: mfa(record.get("userIdentity")),
        session: facts.id.clone(),
        error_code,
        event_name,
        event_source,
        event_time,
        facts,
        targets,
        parameters,
        command,
        offset,
        record,
    })
}

/// Session, caller, account, region and reason.
fn identity(record: &Value) -> Session {
    let account = string(record, "/recipientAccountId").or_else(|| string(record, "/userIdentity/accountId"));
    Session {
        id: session(record),
        principal: string(record, "/userIdentity/arn"),
        account,
        region: string(record, "/awsRegion"),
        reason: string(record, "/requestParameters/reason"),
        ..Session::default()
    }
}

/// A text that is not empty.
fn string(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// RFC 3339, or as some exports write it: with a blank and without an offset, in UTC.
fn time(text: &str) -> Option<Timestamp> {
    let local = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(local)
}

fn session(record: &Value) -> Option<SessionId> {
    ["/responseElements/sessionId", "/requestParameters/sessionId", "/responseElements/session/sessionId"]
        .iter()
        .find_map(|pointer| record.pointer(pointer).and_then(Value::as_str).and_then(SessionId::parse))
}

/// `StartSession` of Session Manager, `StartConnection` of Fleet Manager, `SendCommand`.
fn targets(request: &Value) -> Vec<String> {
    let one = ["target", "InstanceId", "instanceId"].iter().find_map(|key| request.get(key).and_then(Value::as_str));
    match one {
        Some(target) => vec![target.to_owned()],
        None => strings(request.get("instanceIds").unwrap_or(&Value::Null)),
    }
}

/// `ecs:CLUSTER_TASK` from names or ARNs: the target of the session, but for the container's runtime id at its end.
fn ecs_target(record: &Value) -> Option<String> {
    let cluster =
        string(record, "/requestParameters/cluster").or_else(|| string(record, "/responseElements/clusterArn"));
    let task = string(record, "/requestParameters/task").or_else(|| string(record, "/responseElements/taskArn"))?;
    let name = |arn: &str| arn.rsplit('/').next().unwrap_or(arn).to_owned();
    let cluster = cluster.map_or_else(|| "default".to_owned(), |cluster| name(&cluster));
    Some(format!("ecs:{cluster}_{}", name(&task)))
}

/// `documentName` of sessions and commands, `name` of calls about documents.
fn document(request: &Value, starts: bool) -> Option<String> {
    let named = ["documentName", "name"].iter().find_map(|key| request.get(key).and_then(Value::as_str));
    match named {
        Some(name) => Some(name.to_owned()),
        // A denied call may hide its parameters: then nothing is known of its document.
        None => (starts && request.is_object()).then(|| DEFAULT_DOCUMENT.to_owned()),
    }
}

fn parameters(value: Option<&Value>) -> BTreeMap<String, Vec<String>> {
    let Some(Value::Object(map)) = value else { return BTreeMap::new() };
    map.iter().map(|(key, value)| (key.clone(), strings(value))).collect()
}

/// A text or a list of texts.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn mfa(identity: Option<&Value>) -> Option<bool> {
    let identity = identity?;
    let kind = identity.get("type").and_then(Value::as_str).unwrap_or_default();
    let Some(context) = identity.get("sessionContext") else {
        let key = identity.get("accessKeyId").and_then(Value::as_str).unwrap_or_default();
        return (matches!(kind, "IAMUser" | "Root") && key.starts_with("AKIA")).then_some(false);
    };
    let factor = match context.pointer("/attributes/mfaAuthenticated")? {
        Value::Bool(factor) => *factor,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        _ => return None,
    };
    let issuer = context.pointer("/sessionIssuer/arn").and_then(Value::as_str).unwrap_or_default();
    let web = context.pointer("/webIdFederationData/federatedProvider").is_some();
    let elsewhere =
        matches!(kind, "FederatedUser" | "WebIdentityUser" | "SAMLUser" | "IdentityCenterUser" | "Directory");
    let federated = elsewhere || web || issuer.contains(":role/aws-reserved/sso.amazonaws.com/");
    (!federated).then_some(factor)
}
