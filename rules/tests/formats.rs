//! Findings in the formats of others.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use warden_rules::finding::{ApiCallRef, Finding, Matched, RuleRef, Source};
use warden_rules::{ocsf, sarif};
use warden_session::Command;
use warden_session::command::{Confidence, Mark, Origin};
use warden_session::shell::{Dialect, parse};

fn finding() -> Finding {
    let text = "sudo rm -rf {/x}";
    Finding {
        finding_id: "f1".to_owned(),
        rule: RuleRef {
            id: "r1".to_owned(),
            title: "Files destroyed".to_owned(),
            level: "high".to_owned(),
            tags: vec!["attack.impact".to_owned(), "attack.t1485".to_owned(), "attack.t1548.003".to_owned()],
            hash: "h1".to_owned(),
        },
        rules_version: "v1".to_owned(),
        session: Some("alice-0e34861185201706f".to_owned()),
        principal: Some("arn:aws:sts::123456789012:assumed-role/ops/alice".to_owned()),
        target: Some("i-0123456789abcdef0".to_owned()),
        account: Some("123456789012".to_owned()),
        region: Some("eu-central-1".to_owned()),
        run_as: None,
        source: Source { kind: "transcript", path: "logs/a b.log".to_owned(), trust: "host" },
        command: Some(Command {
            n: 3,
            text: text.to_owned(),
            at: None,
            prompt: Some("$ ".to_owned()),
            origin: Origin::Screen,
            confidence: Confidence::High,
            offset: 10..26,
            marks: BTreeSet::from([Mark::Edited]),
            hidden_input: Vec::new(),
            user: Some("root".to_owned()),
            cwd: None,
            invocations: parse(text, Dialect::Posix).invocations,
        }),
        api_call: None,
        matched: vec![Matched { field: "CommandLine".to_owned(), value: text.to_owned(), span: Some((5, 11)) }],
        decoded: Vec::new(),
    }
}

fn call() -> Finding {
    Finding {
        command: None,
        api_call: Some(ApiCallRef {
            event_id: Some("e1".to_owned()),
            event_name: "StartSession".to_owned(),
            event_time: Some("2026-11-22T13:08:33Z".parse().unwrap()),
            source_ip: Some("203.0.113.5".to_owned()),
            user_agent: Some("aws-cli/2".to_owned()),
            error_code: Some("AccessDenied".to_owned()),
        }),
        source: Source { kind: "api-call", path: "/trail/x.json".to_owned(), trust: "service" },
        ..finding()
    }
}

#[test]
fn a_command_becomes_an_ocsf_event() {
    let event = ocsf::detection_finding(&finding(), "2026-11-24T00:00:00Z".parse().unwrap());
    let golden = json!({
        "class_uid": 2004, "class_name": "Detection Finding", "category_uid": 2, "category_name": "Findings",
        "activity_id": 1, "activity_name": "Create", "type_uid": 200_401, "type_name": "Detection Finding: Create",
        "time": 1_795_478_400_000_i64, "severity_id": 4, "severity": "High", "status_id": 1, "status": "New", "is_alert": true,
        "message": "Files destroyed: sudo rm -rf {/x}",
        "metadata": {
            "version": "1.4.0", "profiles": ["cloud", "host"],
            "product": {"name": "Session Warden", "vendor_name": "Session Warden", "version": env!("CARGO_PKG_VERSION")},
        },
        "finding_info": {
            "uid": "f1", "title": "Files destroyed", "desc": "Files destroyed: sudo rm -rf {/x}", "types": ["Command"],
            "created_time": 1_795_478_400_000_i64,
            "analytic": {"uid": "r1", "name": "Files destroyed", "type_id": 1, "type": "Rule", "version": "h1"},
            "attacks": [
                {"technique": {"uid": "T1485"}, "tactics": [{"uid": "TA0040", "name": "Impact"}]},
                {
                    "technique": {"uid": "T1548"}, "sub_technique": {"uid": "T1548.003"},
                    "tactics": [{"uid": "TA0040", "name": "Impact"}],
                },
            ],
        },
        "cloud": {
            "provider": "AWS", "account": {"uid": "123456789012", "type_id": 10, "type": "AWS Account"},
            "region": "eu-central-1",
        },
        "actor": {
            "user": {"uid": "arn:aws:sts::123456789012:assumed-role/ops/alice", "name": "alice"},
            "session": {"uid": "alice-0e34861185201706f"},
        },
        "device": {"type_id": 0, "uid": "i-0123456789abcdef0", "region": "eu-central-1"},
        "resources": [{
            "uid": "i-0123456789abcdef0", "type": "AWS::EC2::Instance", "region": "eu-central-1", "cloud_partition": "aws",
        }],
        "evidences": [{
            "data": {
                "matched": [{"field": "CommandLine", "value": "sudo rm -rf {/x}", "span": [5, 11]}], "path": "logs/a b.log",
            },
            "process": {
                "cmd_line": "sudo rm -rf {/x}", "name": "sudo",
                "file": {"name": "sudo", "path": "sudo", "type_id": 1, "type": "Regular File"},
                "uid": "alice-0e34861185201706f/3", "user": {"name": "root"},
                "xattributes": {"offset": [10, 26], "marks": ["edited"]},
            },
        }],
        "observables": [
            {"name": "evidences.process.cmd_line", "type_id": 13, "type": "Command Line", "value": "sudo rm -rf {/x}"},
            {"name": "resources.uid", "type_id": 10, "type": "Resource UID", "value": "i-0123456789abcdef0"},
            {
                "name": "actor.user.uid", "type_id": 99, "type": "Other",
                "value": "arn:aws:sts::123456789012:assumed-role/ops/alice",
            },
        ],
        "unmapped": {
            "rules_version": "v1", "source": {"kind": "transcript", "path": "logs/a b.log", "trust": "host"}, "decoded": [],
            "tags": ["attack.impact", "attack.t1485", "attack.t1548.003"],
        },
        "confidence_id": 3, "confidence": "High",
    });
    assert_eq!(event, golden, "{event:#}");
}

#[test]
fn an_api_call_becomes_an_ocsf_event() {
    let event = ocsf::detection_finding(&call(), "2026-11-24T00:00:00Z".parse().unwrap());
    assert_eq!(event["time"], 1_795_352_913_000_i64);
    assert_eq!(
        event["evidences"][0]["api"],
        json!({"operation": "StartSession", "request": {"uid": "e1"}, "response": {"error": "AccessDenied"}})
    );
    assert_eq!(event["evidences"][0]["src_endpoint"], json!({"ip": "203.0.113.5"}));
    assert_eq!(event["finding_info"]["types"], json!(["API Call"]));
    assert!(event.get("confidence_id").is_none());
}

#[test]
fn findings_become_a_sarif_log() {
    let log = sarif::log(&[finding(), call()]);
    let properties = |trust: &str| {
        json!({
            "session": "alice-0e34861185201706f", "principal": "arn:aws:sts::123456789012:assumed-role/ops/alice",
            "target": "i-0123456789abcdef0", "account": "123456789012", "region": "eu-central-1", "trust": trust,
            "level": "high", "decoded": [],
        })
    };
    let who = "(arn:aws:sts::123456789012:assumed-role/ops/alice)";
    let golden = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Session Warden", "version": env!("CARGO_PKG_VERSION"),
                "rules": [{
                    "id": "r1", "shortDescription": {"text": "Files destroyed"}, "defaultConfiguration": {"level": "error"},
                    "properties": {
                        "tags": ["attack.impact", "attack.t1485", "attack.t1548.003"], "security-severity": "8.0", "hash": "h1",
                    },
                }],
            }},
            "columnKind": "unicodeCodePoints",
            "results": [
                {
                    "ruleId": "r1", "ruleIndex": 0, "kind": "fail", "level": "error",
                    "message": {"text": format!("Files destroyed: sudo rm -rf {{{{/x}}}} {who}")},
                    "locations": [{"physicalLocation": {
                        "artifactLocation": {"uri": "logs/a%20b.log"}, "region": {"byteOffset": 10, "byteLength": 16},
                    }}],
                    "partialFingerprints": {"findingId/v1": "f1"},
                    "properties": properties("host"),
                },
                {
                    "ruleId": "r1", "ruleIndex": 0, "kind": "fail", "level": "error",
                    "message": {"text": format!("Files destroyed: StartSession {who}")},
                    "locations": [{"physicalLocation": {"artifactLocation": {"uri": "file:///trail/x.json"}}}],
                    "partialFingerprints": {"findingId/v1": "f1"},
                    "properties": properties("service"),
                },
            ],
        }],
    });
    assert_eq!(log, golden, "{log:#}");
}

#[test]
fn messages_hold_no_markup() {
    let mut finding = finding();
    finding.command.as_mut().unwrap().text = "echo '[x](http://e)' \u{1b}[8m\u{202e}\nls".to_owned();
    let log: Value = sarif::log(&[finding]);
    let text = log["runs"][0]["results"][0]["message"]["text"].as_str().unwrap();
    assert!(text.starts_with("Files destroyed: echo '\\[x\\](http://e)' <U+001B>\\[8m<U+202E> ls ("), "{text}");
}

#[test]
fn no_finding_is_an_empty_log() {
    assert_eq!(sarif::log(&[])["runs"][0]["results"], json!([]));
}
