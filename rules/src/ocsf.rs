//! Findings as OCSF Detection Findings (class 2004 of schema 1.4.0, <https://schema.ocsf.io/1.4.0/classes/detection_finding>),
//! with the profiles `cloud` and `host`.

use std::fmt::Write;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Level;
use crate::attack;
use crate::finding::{ApiCallRef, Finding};
use crate::sarif::is_unseen;
use warden_session::Command;
use warden_session::command::Confidence;

/// Version of the OCSF schema that the events follow.
pub const SCHEMA_VERSION: &str = "1.4.0";

/// One finding as an OCSF event. `seen` is its time if neither the command nor the API call has one (transcripts hold no
/// times). The finding is expected to be masked, see [`crate::mask::Masker::finding`].
pub fn detection_finding(finding: &Finding, seen: Timestamp) -> Value {
    let level = finding.level();
    let time = time(finding).unwrap_or(seen).as_millisecond();
    let mut event = json!({
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200_401,
        "type_name": "Detection Finding: Create",
        "time": time,
        "severity_id": severity(level),
        "severity": severity_name(level),
        "status_id": 1,
        "status": "New",
        "is_alert": level >= Level::Medium,
        "message": message(finding),
        "metadata": metadata(),
        "finding_info": finding_info(finding, time),
        "cloud": cloud(finding),
        "actor": actor(finding),
        "device": finding.target.as_ref().map(|target| json!({"type_id": 0, "uid": target, "region": finding.region})),
        "resources": finding.target.as_ref().map(|target| json!([resource(finding, target)])),
        "evidences": [evidence(finding)],
        "observables": observables(finding),
        "unmapped": {"rules_version": finding.rules_version, "source": finding.source, "decoded": finding.decoded, "tags": finding.rule.tags},
    });
    if let (Some(command), Some(event)) = (&finding.command, event.as_object_mut()) {
        let (id, name) = confidence(command.confidence);
        event.insert("confidence_id".to_owned(), json!(id));
        event.insert("confidence".to_owned(), json!(name));
    }
    without_nulls(event)
}

fn time(finding: &Finding) -> Option<Timestamp> {
    let called = finding.api_call.as_ref().and_then(|call| call.event_time);
    called.or_else(|| finding.command.as_ref().and_then(|command| command.at))
}

fn message(finding: &Finding) -> String {
    let what = match (&finding.command, &finding.api_call) {
        (Some(command), _) => command.text.as_str(),
        (None, Some(call)) => call.event_name.as_str(),
        (None, None) => "",
    };
    visible(&format!("{}: {what}", finding.rule.title))
}

fn metadata() -> Value {
    json!({
        "version": SCHEMA_VERSION,
        "profiles": ["cloud", "host"],
        "product": {"name": "Session Warden", "vendor_name": "Session Warden", "version": env!("CARGO_PKG_VERSION")},
    })
}

fn finding_info(finding: &Finding, time: i64) -> Value {
    let rule = &finding.rule;
    json!({
        "uid": finding.finding_id,
        "title": visible(&rule.title),
        "desc": message(finding),
        "types": [if finding.api_call.is_some() { "API Call" } else { "Command" }],
        "created_time": time,
        "analytic": {"uid": rule.id, "name": rule.title, "type_id": 1, "type": "Rule", "version": rule.hash},
        "attacks": attacks(&rule.tags),
    })
}

/// One object for each technique, or for each tactic where the rule names no technique.
fn attacks(tags: &[String]) -> Vec<Value> {
    let tactics: Vec<Value> = tags
        .iter()
        .filter_map(|tag| attack::tactic(tag))
        .map(|(uid, name)| json!({"uid": uid, "name": name}))
        .collect();
    let mut attacks: Vec<Value> = Vec::new();
    for technique in tags.iter().filter_map(|tag| attack::technique(tag)) {
        let (parent, sub) = match technique.split_once('.') {
            Some((parent, _)) => (parent.to_owned(), Some(json!({"uid": technique}))),
            None => (technique.clone(), None),
        };
        attacks.push(json!({"technique": {"uid": parent}, "sub_technique": sub, "tactics": tactics}));
    }
    if attacks.is_empty() {
        attacks.extend(tactics.into_iter().map(|tactic| json!({"tactic": tactic})));
    }
    attacks
}

fn cloud(finding: &Finding) -> Value {
    let account = finding.account.as_ref().map(|uid| json!({"uid": uid, "type_id": 10, "type": "AWS Account"}));
    json!({"provider": "AWS", "account": account, "region": finding.region})
}

/// `null` if nobody is known: OCSF's actor names at least one of its attributes.
fn actor(finding: &Finding) -> Value {
    if finding.principal.is_none() && finding.session.is_none() {
        return Value::Null;
    }
    let user = finding.principal.as_ref().map(|arn| {
        let name = arn.rsplit(['/', ':']).next().unwrap_or(arn);
        json!({"uid": arn, "name": name})
    });
    let session = finding.session.as_ref().map(|uid| json!({"uid": uid}));
    json!({"user": user, "session": session})
}

fn resource(finding: &Finding, target: &str) -> Value {
    let kind = match target {
        target if target.starts_with("i-") => "AWS::EC2::Instance",
        target if target.starts_with("ecs:") => "AWS::ECS::Task",
        _ => "AWS::SSM::ManagedInstance",
    };
    let partition = finding.principal.as_deref().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws");
    json!({"uid": target, "type": kind, "region": finding.region, "cloud_partition": partition})
}

fn evidence(finding: &Finding) -> Value {
    let mut evidence = json!({"data": {"matched": finding.matched, "path": finding.source.path}});
    let (Some(object), command, call) = (evidence.as_object_mut(), &finding.command, &finding.api_call) else {
        return evidence;
    };
    if let Some(command) = command {
        object.insert("process".to_owned(), process(finding, command));
    }
    if let Some(call) = call {
        object.insert("api".to_owned(), api(call));
        object.insert("src_endpoint".to_owned(), json!(call.source_ip.as_deref().map(endpoint)));
        let agent = call.user_agent.as_ref().map(|agent| json!({"user_agent": agent}));
        object.insert("http_request".to_owned(), json!(agent));
    }
    evidence
}

fn process(finding: &Finding, command: &Command) -> Value {
    let program = command.invocations.first().and_then(|invocation| invocation.argv.first());
    let name = program.map(|path| path.rsplit(['/', '\\']).next().unwrap_or(path));
    let user = command.user.as_ref().or(finding.run_as.as_ref());
    json!({
        "cmd_line": command.text,
        "name": name,
        "file": name.map(|name| json!({"name": name, "path": program, "type_id": 1, "type": "Regular File"})),
        "uid": format!("{}/{}", finding.session.as_deref().unwrap_or_default(), command.n),
        "user": user.map(|name| json!({"name": name})),
        "working_directory": command.cwd,
        "xattributes": {"offset": [command.offset.start, command.offset.end], "marks": command.marks},
    })
}

fn api(call: &ApiCallRef) -> Value {
    let failed = call.error_code.as_ref().map(|code| json!({"error": code}));
    json!({
        "operation": call.event_name,
        "request": call.event_id.as_ref().map(|uid| json!({"uid": uid})),
        "response": failed,
    })
}

/// `sourceIPAddress` is an address or, of calls that a service makes, a name (`ssm.amazonaws.com`, `AWS Internal`):
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.
fn endpoint(source: &str) -> Value {
    json!({Caller::of(source).attribute(): source})
}

/// What `sourceIPAddress` holds. OCSF's `ip` takes addresses only.
#[derive(Clone, Copy)]
enum Caller {
    Address,
    Hostname,
    Name,
}

impl Caller {
    fn of(source: &str) -> Self {
        let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match source.parse::<IpAddr>() {
            Ok(_) => Self::Address,
            // A last label in digits is a malformed address.
            Err(_) if source.contains('.') && source.split('.').all(label) && !source.ends_with(char::is_numeric) => {
                Self::Hostname
            }
            Err(_) => Self::Name,
        }
    }

    /// Attribute of the network endpoint object.
    fn attribute(self) -> &'static str {
        match self {
            Self::Address => "ip",
            Self::Hostname => "hostname",
            Self::Name => "name",
        }
    }

    /// Path, type id and type of the observable.
    fn observable(self) -> (&'static str, u8, &'static str) {
        match self {
            Self::Address => ("evidences.src_endpoint.ip", 2, "IP Address"),
            Self::Hostname => ("evidences.src_endpoint.hostname", 1, "Hostname"),
            Self::Name => ("evidences.src_endpoint.name", 99, "Other"),
        }
    }
}

/// What an analyst looks for across events, with the types of OCSF's observable object.
fn observables(finding: &Finding) -> Vec<Value> {
    let command = finding.command.as_ref().map(|command| command.text.as_str());
    let call = finding.api_call.as_ref();
    let source = call.and_then(|call| call.source_ip.as_deref());
    let (path, source_id, source_type) = source.map_or(Caller::Address, Caller::of).observable();
    let rows = [
        ("evidences.process.cmd_line", 13, "Command Line", command),
        ("resources.uid", 10, "Resource UID", finding.target.as_deref()),
        ("actor.user.uid", 99, "Other", finding.principal.as_deref()),
        (path, source_id, source_type, source),
        ("evidences.http_request.user_agent", 16, "HTTP User-Agent", call.and_then(|call| call.user_agent.as_deref())),
    ];
    let known = rows.into_iter().filter_map(|(name, id, kind, value)| Some((name, id, kind, value?)));
    known.map(|(name, id, kind, value)| json!({"name": name, "type_id": id, "type": kind, "value": value})).collect()
}

fn severity(level: Level) -> u8 {
    match level {
        Level::Informational => 1,
        Level::Low => 2,
        Level::Medium => 3,
        Level::High => 4,
        Level::Critical => 5,
    }
}

fn severity_name(level: Level) -> &'static str {
    match level {
        Level::Informational => "Informational",
        Level::Low => "Low",
        Level::Medium => "Medium",
        Level::High => "High",
        Level::Critical => "Critical",
    }
}

fn confidence(confidence: Confidence) -> (u8, &'static str) {
    match confidence {
        Confidence::Low => (1, "Low"),
        Confidence::Medium => (2, "Medium"),
        Confidence::High => (3, "High"),
    }
}

/// OCSF leaves out what is not known.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let known = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(known.map(|(key, value)| (key, without_nulls(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Text for people: what a terminal or a viewer would act on instead of showing it becomes `<U+XXXX>`. The evidence keeps
/// the text as it is.
fn visible(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if is_unseen(c) {
            // Writing to a string does not fail.
            let _ = write!(out, "<U+{:04X}>", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{RuleRef, Source};

    fn call(source_ip: &str) -> Finding {
        let id = || "1".to_owned();
        Finding {
            finding_id: id(),
            rule: RuleRef {
                id: id(),
                title: "Title\u{202e}".to_owned(),
                level: "low".to_owned(),
                tags: vec![],
                hash: id(),
            },
            rules_version: id(),
            session: None,
            principal: None,
            target: None,
            account: None,
            region: None,
            run_as: None,
            source: Source { kind: "api-call", path: id(), trust: "service" },
            command: None,
            api_call: Some(ApiCallRef {
                event_id: None,
                event_name: "Start\u{1b}[8m\nSession".to_owned(),
                event_time: None,
                source_ip: Some(source_ip.to_owned()),
                user_agent: None,
                error_code: None,
            }),
            matched: Vec::new(),
            decoded: Vec::new(),
        }
    }

    #[test]
    fn only_an_address_is_an_ip() {
        let rows = [
            ("IPv4", "203.0.113.5", "ip", 2),
            ("IPv6", "2001:db8::1", "ip", 2),
            ("service", "ssm.amazonaws.com", "hostname", 1),
            ("words", "AWS Internal", "name", 99),
            ("leading zeros", "201.252.42.03", "name", 99),
        ];
        for (name, source, attribute, id) in rows {
            let event = detection_finding(&call(source), Timestamp::UNIX_EPOCH);
            assert_eq!(event["evidences"][0]["src_endpoint"], json!({attribute: source}), "{name}");
            assert_eq!(event["observables"][0]["type_id"], id, "{name}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let event = detection_finding(&call("203.0.113.5"), Timestamp::UNIX_EPOCH);
        assert!(event.get("actor").is_none());
        assert!(event["evidences"][0]["api"].get("request").is_none());
    }

    #[test]
    fn people_read_no_control_characters() {
        let event = detection_finding(&call("203.0.113.5"), Timestamp::UNIX_EPOCH);
        assert_eq!(event["message"], "Title<U+202E>: Start<U+001B>[8m<U+000A>Session");
        assert_eq!(event["finding_info"]["desc"], event["message"]);
        assert_eq!(event["finding_info"]["title"], "Title<U+202E>");
        assert_eq!(event["evidences"][0]["api"]["operation"], "Start\u{1b}[8m\nSession");
    }
}
