//! Every form of an alert is inert, whatever a session held.
#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::Timestamp;
use serde_json::Value;
use warden_functions::alert::inert::{HUMAN_LIMIT, MESSAGE_LIMIT};
use warden_functions::alert::{Alert, Kind};
use warden_rules::detect::Detector;
use warden_rules::finding::{Finding, Source};
use warden_rules::{Level, RuleSet};
use warden_session::command::{Command, Origin};
use warden_session::session::Platform;
use warden_session::{Kind as SourceKind, Session, SessionId};

const RULE: &str = "
title: Everything
id: 5e1b0f4e-4d5f-4a0e-9b0e-0f3f1f3b8c12
level: high
tags: [attack.t1059.004]
logsource: {product: aws, service: session-manager, category: command}
detection:
    any:
        CommandLine|re: '.'
    condition: any
";

/// What an attacker would like somebody's terminal, mail program, chat or shell to act on.
const HOSTILE: &[&str] = &[
    "\u{1b}]0;owned\u{7}\u{1b}[2J",
    "\u{202e}txt.exe\u{2066}",
    "http://evil.example/login",
    "HTTPS://evil.example",
    "www.evil.com",
    "go to evil.com/x now",
    "mailto:boss@example.com javascript:alert(1)",
    "<!channel> <@U0123> <http://evil.example|click>",
    "@here @everyone @channel",
    "[click](http://evil.example)",
    "`*bold*` _it_ ~s~ &lt;!here&gt;",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "$(reboot); `id` && rm -rf / | sh > /dev/null 'quoted' \"double\"",
    "line\nSubject: forged\r\nBcc: all@example.com",
    "\u{0}\u{85}\u{2028}\u{200b}\u{feff}\u{e0041}",
];

fn finding(text: &str) -> Finding {
    let set = RuleSet::load([("everything.yml", RULE)]).set;
    let command = Command::of_text(text, Platform::Linux, Origin::Screen);
    let source = Source::new(SourceKind::Transcript, "s3://bucket/key.log");
    Detector::new(&set).command_findings(&session(text), &source, &command).remove(0)
}

fn session(text: &str) -> Session {
    Session {
        id: SessionId::parse("carol@example.com-0123456789abcdef0"),
        principal: Some(format!("arn:aws:sts::111122223333:assumed-role/Admin/{text}")),
        target: Some("i-0123456789abcdef0".into()),
        account: Some("111122223333".into()),
        region: Some("eu-central-1".into()),
        run_as: Some("ssm-user".into()),
        document: Some("SSM-SessionManagerRunShell".into()),
        reason: Some(text.to_owned()),
        started: Some(Timestamp::UNIX_EPOCH),
        ..Session::default()
    }
}

fn alert(text: &str) -> Alert {
    Alert {
        session: session(text),
        source_ip: Some("203.0.113.5".into()),
        user_agent: Some(text.to_owned()),
        finding: Some(finding(&format!("echo {text}"))),
        others: vec![finding(&format!("cat {text}"))],
        notes: vec![format!("the record names {text}")],
        evidence: Some(format!("s3://bucket/{text}.log")),
        response: Some("nothing: responses are off".into()),
        ..Alert::new(Kind::Initial, Level::High, "Everything", "a1", Timestamp::UNIX_EPOCH)
    }
}

fn forms(alert: &Alert) -> Vec<(&'static str, String)> {
    let attributes: Vec<_> = alert.attributes().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    vec![
        ("machine", alert.machine_json()),
        ("attributes", attributes.join("\n")),
        ("ocsf", alert.ocsf()),
        ("subject", alert.subject()),
        ("human", alert.human_text()),
        ("chat", alert.chat_json()),
    ]
}

/// All texts of a form as its reader sees them: a JSON form's strings are decoded.
fn shown(form: &str) -> Vec<String> {
    fn strings(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) => into.push(text.clone()),
            Value::Array(list) => list.iter().for_each(|one| strings(one, into)),
            Value::Object(object) => object.values().for_each(|one| strings(one, into)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    match serde_json::from_str(form) {
        Ok(value) => strings(&value, &mut all),
        Err(_) => all.push(form.to_owned()),
    }
    all
}

#[test]
fn nothing_hostile_survives_in_any_form() {
    for text in HOSTILE {
        for (name, form) in forms(&alert(text)) {
            let lines_allowed = matches!(name, "human" | "attributes" | "chat");
            for shown in shown(&form) {
                let control = shown.chars().find(|c| c.is_control() && !(lines_allowed && *c == '\n'));
                assert_eq!(control, None, "{name} of {text:?}: {shown}");
                for bad in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}', '\u{e0041}'] {
                    assert!(!shown.contains(bad), "{name} of {text:?}: {shown}");
                }
                let lower = shown.to_lowercase();
                for bad in
                    ["http://", "https://", "www.evil", "evil.com", "evil.example", "mailto:", "javascript:", "](http"]
                {
                    assert!(!lower.contains(bad), "{name} of {text:?} holds {bad}: {shown}");
                }
                for bad in [" @here", " @everyone", " @channel"] {
                    assert!(!shown.contains(bad), "{name} of {text:?} holds {bad}: {shown}");
                }
            }
        }
    }
}

#[test]
fn raw_json_and_chat_hold_no_markup() {
    for text in HOSTILE {
        let alert = alert(text);
        for form in [alert.machine_json(), alert.ocsf()] {
            assert!(form.is_ascii() && !form.contains(['<', '>', '&']), "{form}");
        }
        for shown in shown(&alert.chat_json()) {
            assert!(!shown.contains(['<', '>', '&']), "{shown}");
            for row in shown.lines().filter(|row| row.starts_with('*')) {
                assert_eq!(row.matches('`').count(), 2, "{row}");
            }
        }
    }
}

#[test]
fn a_forged_header_stays_in_its_row() {
    let alert = alert("x\nSubject: forged\r\nBcc: all@example.com");
    assert!(!alert.subject().contains(['\r', '\n']));
    let text = alert.human_text();
    assert!(text.lines().all(|row| !row.starts_with("Subject") && !row.starts_with("Bcc")), "{text}");
}

#[test]
fn subjects_are_short_ascii() {
    for text in HOSTILE.iter().copied().chain(["日本語日本語", &"x".repeat(500)]) {
        let subject = alert(text).subject();
        assert!(subject.is_ascii() && subject.len() <= 100 && subject.starts_with("[HIGH] Everything"), "{subject}");
    }
}

#[test]
fn messages_fit_and_say_what_was_cut() {
    let mut alert = alert("x");
    alert.others = (0..500).map(|n| finding(&format!("echo {n} {}", "y".repeat(8000)))).collect();
    alert.notes = vec!["z".repeat(100_000); 500];
    for form in [alert.machine_json(), alert.ocsf()] {
        assert!(form.len() <= MESSAGE_LIMIT, "{}", form.len());
        let value: Value = serde_json::from_str(&form).unwrap();
        let cut = value.get("cut").or_else(|| value.pointer("/unmapped/alert/cut"));
        assert_eq!(cut, Some(&Value::Bool(true)));
    }
    let human = alert.human_text();
    assert!(human.len() <= HUMAN_LIMIT + 100 && human.contains("cut here"));
    assert!(alert.chat_json().len() <= 64 * 1024);
}

#[test]
fn pointers_alone_hold_nothing_that_was_typed() {
    let mut alert = alert("alice");
    (alert.session.reason, alert.user_agent) = (Some("topsecretword".into()), Some("topsecretword".into()));
    for finding in alert.finding.iter_mut().chain(&mut alert.others) {
        finding.command.as_mut().unwrap().text = "echo topsecretword".into();
        finding.decoded = vec!["echo topsecretword".into()];
        finding.matched[0].value = "topsecretword".into();
    }
    assert!(forms(&alert).iter().any(|(_, form)| form.contains("topsecretword")));
    for (name, form) in forms(&alert.without_content()) {
        assert!(!form.contains("topsecretword"), "{name}: {form}");
    }
}

#[test]
fn an_attribute_is_never_empty_and_five_can_be_filtered_on() {
    let bare = Alert::new(Kind::Operator, Level::High, "Rules refused", "a", Timestamp::UNIX_EPOCH);
    let names: Vec<_> = bare.attributes().into_iter().map(|(name, value)| (name, value.is_empty())).collect();
    assert_eq!(names, [("level", false), ("source", false), ("kind", false)]);
}

#[test]
fn a_reader_sees_who_where_what_and_how_to_look() {
    let mut alert = alert("alice");
    alert.evidence = Some("s3://bucket/logs/alice-0123456789abcdef0.log".into());
    let text = alert.human_text();
    for part in [
        "HIGH: Everything",
        "echo alice",
        "assumed-role/Admin/alice",
        "i-0123456789abcdef0",
        "203.0.113.5",
        "warden play --at @0 s3://bucket/logs/alice-0123456789abcdef0.log",
        "Under the same rule as well:",
        "cat alice",
        "written by the host",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}
