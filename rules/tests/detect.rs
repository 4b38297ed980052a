//! Commands and API calls -> findings.
#![allow(clippy::unwrap_used, reason = "a test's own records")]

use std::collections::BTreeSet;

use serde_json::json;
use warden_rules::detect::{CallContext, Detector, typed};
use warden_rules::finding::{Finding, Source};
use warden_rules::{RuleSet, library};
use warden_session::command::Mark;
use warden_session::session::Platform;
use warden_session::{ApiCall, Session, SessionId};

fn source(kind: &'static str) -> Source {
    Source { kind, path: format!("{kind}.log"), trust: "host" }
}

fn session(platform: Platform) -> Session {
    let id = SessionId::parse("alice-052afb0c93508ea82");
    let target = Some("i-0a1b2c3d4e5f60718".to_owned());
    Session { id, target, run_as: Some("ssm-user".to_owned()), platform, ..Session::default() }
}

fn rule(logsource: &str, detection: &str) -> RuleSet {
    let id = "5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c11";
    let text = format!(
        "title: T\nid: {id}\nlevel: high\nlogsource: {{{logsource}}}\ndetection: {{s: {{{detection}}}, condition: s}}"
    );
    let loaded = RuleSet::load([("t.yml", text)]);
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    loaded.set
}

const OURS: &str = "product: aws, service: session-manager, category: command";
const LINUX: &str = "product: linux, category: process_creation";
const SCRIPT: &str = "product: windows, category: ps_script";

fn findings(set: &RuleSet, platform: Platform, line: &str) -> Vec<Finding> {
    Detector::new(set).command_findings(&session(platform), &source("transcript"), &typed(line, platform))
}

#[test]
fn events_have_the_fields_that_rules_ask_for() {
    for (logsource, detection, platform, line, expected) in [
        (OURS, "Image: /usr/bin/rm, CommandLine: rm -rf /x", Platform::Linux, "sudo rm   -rf /x", true),
        (OURS, "Image: /usr/bin/rm, CommandLine: 'sudo rm   -rf /x'", Platform::Linux, "sudo rm   -rf /x", true),
        (OURS, "Image: /usr/bin/sudo", Platform::Linux, "sudo rm -rf /x", false),
        (LINUX, "Image: /usr/bin/sudo", Platform::Linux, "sudo rm -rf /x", true),
        (LINUX, "ParentImage: /usr/bin/sudo, Image|endswith: /rm", Platform::Linux, "sudo rm -rf /x", true),
        (LINUX, "Image|endswith: /rm", Platform::Windows, "rm x", false),
        (OURS, "User: ssm-user, LogonId: alice-052afb0c93508ea82", Platform::Linux, "id", true),
        (OURS, "Target|startswith: i-0a, Principal: null, Platform: linux", Platform::Linux, "id", true),
        (OURS, "Invocation|contains: rm -rf", Platform::Linux, "echo 'rm -rf /'", true),
        (OURS, "Invocation|startswith: rm", Platform::Linux, "echo 'rm -rf /'", false),
        (OURS, "Writes: /etc/cron.d/x", Platform::Linux, "cd /etc/cron.d && echo y > x", true),
        (OURS, "Writes: /etc/x, Image: null", Platform::Linux, "> /etc/x", true),
        (OURS, "PipesTo|endswith: /sh, Image|endswith: /curl", Platform::Linux, "sudo -i bash -c 'curl x | sh'", true),
        (OURS, "PipedFrom: curl x, Image|endswith: /sh", Platform::Linux, "curl x | sudo sh", true),
        (OURS, "Via: bash -c, Image|endswith: /id", Platform::Linux, "bash -c id", true),
        (OURS, "Marks: obfuscated", Platform::Linux, "c'a't /x", true),
        (SCRIPT, "ScriptBlockText|contains: 'Get-Date'", Platform::Windows, "Get-Date | Out-Null", true),
        (OURS, r"Image: 'C:\Windows\System32\whoami.exe'", Platform::Windows, "whoami", true),
    ] {
        let found = !findings(&rule(logsource, detection), platform, line).is_empty();
        assert_eq!(found, expected, "{detection} on {line}");
    }
}

#[test]
fn a_line_at_an_interpreters_prompt_starts_no_program() {
    let set = rule(OURS, "Image|re: '.'");
    let mut command = typed("rm('x')", Platform::Linux);
    command.marks = BTreeSet::from([Mark::Repl]);
    assert!(
        Detector::new(&set).command_findings(&session(Platform::Linux), &source("transcript"), &command).is_empty()
    );
    let set = rule(OURS, "Marks: repl, CommandLine|contains: rm");
    let found = Detector::new(&set).command_findings(&session(Platform::Linux), &source("transcript"), &command);
    assert_eq!(found.len(), 1);
    assert!(found[0].decoded.is_empty());
}

#[test]
fn one_command_in_two_sources_has_one_id_and_repetitions_have_others() {
    let set = rule(OURS, "Image|endswith: /rm");
    let ids = |kind| {
        let mut detector = Detector::new(&set);
        let lines = ["rm -rf /x", "sudo rm -rf /x", "rm -rf /y", "rm  -rf  /x"];
        lines
            .iter()
            .flat_map(|line| {
                let command = typed(line, Platform::Linux);
                detector.command_findings(&session(Platform::Linux), &source(kind), &command)
            })
            .map(|finding| finding.finding_id)
            .collect::<Vec<_>>()
    };
    let transcript = ids("transcript");
    assert_eq!(transcript, ids("log-stream"));
    assert_eq!(transcript.iter().collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn a_finding_says_what_the_command_becomes() {
    let found = findings(&library::load().set, Platform::Linux, "echo Y2F0IC9ldGMvc2hhZG93 | base64 -d | sh");
    let hashes = found.iter().find(|finding| finding.rule.title == "Password hashes read").unwrap();
    assert_eq!(hashes.decoded, ["cat /etc/shadow"]);
    assert_eq!(hashes.run_as.as_deref(), Some("ssm-user"));
    assert_eq!(hashes.matched[0].field, "Invocation");
}

fn call(record: serde_json::Value) -> ApiCall {
    ApiCall::from_record(record, 0..10).unwrap()
}

fn titles(call: &ApiCall, context: &CallContext) -> Vec<String> {
    let set = library::load().set;
    let found = Detector::new(&set).api_call_findings(&source("api-call"), call, context);
    found.into_iter().map(|finding| finding.rule.title).collect()
}

#[test]
fn api_calls_are_judged_with_what_is_known_beyond_them() {
    let end = call(json!({
        "eventSource": "ssm.amazonaws.com", "eventName": "TerminateSession", "eventID": "e-1",
        "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/Ops/bob"},
        "requestParameters": {"sessionId": "alice-052afb0c93508ea82"},
    }));
    let ended = "Session of another person ended".to_owned();
    assert!(titles(&end, &CallContext::default()).contains(&ended));
    let owner = Some("arn:aws:sts::111122223333:assumed-role/Ops/bob".to_owned());
    assert!(!titles(&end, &CallContext { session_owner: owner, ..CallContext::default() }).contains(&ended));

    let start = call(json!({
        "eventSource": "ssm.amazonaws.com", "eventName": "StartSession", "eventID": "e-2",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice", "accessKeyId": "AKIAEXAMPLE"},
        "requestParameters": {"target": "i-0a1b2c3d4e5f60718"},
        "responseElements": {"sessionId": "alice-052afb0c93508ea82"},
    }));
    assert_eq!(titles(&start, &CallContext::default()), ["Session by an IAM user without a second factor"]);
    let guarded = CallContext { target_in_list: Some(true), ..CallContext::default() };
    assert!(titles(&start, &guarded).contains(&"Session on a guarded target".to_owned()));
}

#[test]
fn a_call_delivered_twice_keeps_its_id() {
    let set = library::load().set;
    let stop = call(json!({
        "eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging", "eventID": "e-3",
        "userIdentity": {"type": "Root", "arn": "arn:aws:iam::111122223333:root"},
    }));
    let mut detector = Detector::new(&set);
    let mut found = || detector.api_call_findings(&source("api-call"), &stop, &CallContext::default());
    let (first, second) = (found(), found());
    assert!(!first.is_empty());
    assert_eq!(first, second);
    assert_eq!(first[0].api_call.as_ref().unwrap().event_id.as_deref(), Some("e-3"));
    assert_eq!(first[0].principal.as_deref(), Some("arn:aws:iam::111122223333:root"));
}
