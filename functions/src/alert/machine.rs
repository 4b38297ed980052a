//! The forms for programs.

use serde_json::{Map, Value, json};
use warden_rules::Level;
use warden_rules::finding::Finding;
use warden_rules::ocsf;
use warden_session::timestamp::to_rfc3339;

use super::inert::{LIST_LIMIT, MESSAGE_LIMIT, NAME_LIMIT, TEXT_LIMIT, line};
use super::{Alert, Kind};

/// Version of the machine form.
const SCHEMA: u64 = 1;

impl Alert {
    /// The machine form: `{"type":"alert","schema":1,"kind","alert_id","update_of","dedup_key","level","title","at",
    /// "session":{"id","principal","target","account","region","run_as","document","reason","started","source_ip",
    /// "user_agent"},"finding":{…}|null,"others":[{…}],"count","notes":[],"rule":{"owner","runbook"},
    /// "evidence":{"path","version"},"look","response","cut"}`. `finding` is the object of `warden scan`, its texts inert; a
    /// span is `null` where making a value inert has moved it. At most 256 KiB with the attributes; `cut` says whether
    /// something was left out, which the evidence still holds.
    pub fn machine_json(&self) -> String {
        self.fitted(&self.machine())
    }

    /// The OCSF form: a Detection Finding (class 2004) with what the machine form says beyond it under `unmapped`.
    pub fn ocsf(&self) -> String {
        let mut event = match &self.finding {
            Some(finding) => ocsf::detection_finding(finding, self.at),
            None => self.ocsf_without_finding(),
        };
        if let Some(event) = event.as_object_mut() {
            if matches!(self.kind, Kind::Update | Kind::FollowUp | Kind::Digest) {
                event.insert("activity_id".to_owned(), json!(2));
                event.insert("activity_name".to_owned(), json!("Update"));
                event.insert("type_uid".to_owned(), json!(200_402));
                event.insert("type_name".to_owned(), json!("Detection Finding: Update"));
            }
            event.insert("count".to_owned(), json!(self.count));
            let mut beyond = self.machine();
            if let Some(beyond) = beyond.as_object_mut() {
                beyond.remove("finding");
            }
            let unmapped = event.entry("unmapped").or_insert_with(|| json!({}));
            if let Some(unmapped) = unmapped.as_object_mut() {
                unmapped.insert("alert".to_owned(), beyond);
            }
        }
        self.fitted(&event)
    }

    /// Message attributes, for filter policies; what is not known is left out, for SNS refuses empty values.
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let rule = self.finding.as_ref().map(|finding| finding.rule.id.as_str());
        let session = &self.session;
        let all = [
            ("level", Some(self.level.as_str())),
            ("rule_id", rule),
            ("session_id", session.id.as_ref().map(warden_session::SessionId::as_str)),
            ("principal", session.principal.as_deref()),
            ("target", session.target.as_deref()),
            ("account", session.account.as_deref()),
            ("region", session.region.as_deref()),
            ("source", Some(self.source_kind())),
            ("kind", Some(self.kind.as_str())),
        ];
        let known = all.into_iter().filter_map(|(name, value)| Some((name, line(value?, NAME_LIMIT))));
        known.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The value in inert text that fits a message. `look` is inert by itself, and stays whole.
    fn fitted(&self, value: &Value) -> String {
        let mut text = String::new();
        for (step, &(characters, entries)) in CUTS.iter().enumerate() {
            let mut cut = step > 0;
            let mut inert = inert(value, characters, entries, DEPTH, &mut cut);
            let alert =
                if inert.get("alert_id").is_some() { Some(&mut inert) } else { inert.pointer_mut("/unmapped/alert") };
            if let Some(alert) = alert.and_then(Value::as_object_mut) {
                alert.insert("look".to_owned(), json!(self.look()));
                alert.insert("cut".to_owned(), json!(cut));
            }
            text = escaped(&inert.to_string());
            if text.len() + ATTRIBUTES <= MESSAGE_LIMIT {
                break;
            }
        }
        text
    }

    fn machine(&self) -> Value {
        let session = &self.session;
        json!({
            "type": "alert",
            "schema": SCHEMA,
            "kind": self.kind.as_str(),
            "alert_id": self.alert_id,
            "update_of": self.update_of,
            "dedup_key": self.dedup_key,
            "level": self.level.as_str(),
            "title": self.title,
            "at": to_rfc3339(self.at),
            "session": {
                "id": session.id,
                "principal": session.principal,
                "target": session.target,
                "account": session.account,
                "region": session.region,
                "run_as": session.run_as,
                "document": session.document,
                "reason": session.reason,
                "started": session.started.map(to_rfc3339),
                "source_ip": self.source_ip,
                "user_agent": self.user_agent,
            },
            "finding": self.finding.as_ref().map(Finding::to_json),
            "others": self.others.iter().map(Finding::to_json).collect::<Vec<_>>(),
            "count": self.count,
            "notes": self.notes,
            "rule": {"owner": self.owner, "runbook": self.runbook},
            "evidence": {"path": self.evidence, "version": self.evidence_version},
            "response": self.response,
        })
    }

    fn ocsf_without_finding(&self) -> Value {
        let (severity_id, severity) = severity(self.level);
        let session = &self.session;
        json!({
            "class_uid": 2004, "class_name": "Detection Finding", "category_uid": 2, "category_name": "Findings",
            "activity_id": 1, "activity_name": "Create", "type_uid": 200_401, "type_name": "Detection Finding: Create",
            "time": self.at.as_millisecond(), "severity_id": severity_id, "severity": severity, "status_id": 1, "status": "New",
            "is_alert": self.level >= Level::Medium,
            "message": self.title,
            "metadata": {
                "version": ocsf::SCHEMA_VERSION, "profiles": ["cloud"],
                "product": {"name": "Session Warden", "vendor_name": "Session Warden", "version": env!("CARGO_PKG_VERSION")},
            },
            "finding_info": {
                "uid": self.alert_id, "title": self.title, "desc": self.notes.join(" "), "types": [self.kind.as_str()],
                "created_time": self.at.as_millisecond(),
            },
            "cloud": {
                "provider": "AWS", "region": session.region.as_deref().unwrap_or("unknown"),
                "account": {"uid": session.account.as_deref().unwrap_or("unknown"), "type_id": 10, "type": "AWS Account"},
            },
        })
    }
}

fn severity(level: Level) -> (u8, &'static str) {
    match level {
        Level::Informational => (1, "Informational"),
        Level::Low => (2, "Low"),
        Level::Medium => (3, "Medium"),
        Level::High => (4, "High"),
        Level::Critical => (5, "Critical"),
    }
}

/// What a value is cut to, from mild to hard: characters of a text, entries of a list.
const CUTS: &[(usize, usize)] = &[(TEXT_LIMIT, LIST_LIMIT), (500, 24), (200, 10), (80, 4), (40, 1)];

/// Deepest nesting that is kept.
const DEPTH: usize = 12;

/// Room for the message attributes, whose values have limits of their own.
const ATTRIBUTES: usize = 4 * 1024;

fn inert(value: &Value, characters: usize, entries: usize, depth: usize, cut: &mut bool) -> Value {
    match value {
        Value::String(text) => {
            *cut |= text.chars().count() > characters;
            Value::String(line(text, characters))
        }
        Value::Array(_) | Value::Object(_) if depth == 0 => {
            *cut = true;
            Value::Null
        }
        Value::Array(list) => {
            *cut |= list.len() > entries;
            list.iter().take(entries).map(|one| inert(one, characters, entries, depth - 1, cut)).collect()
        }
        Value::Object(object) => Value::Object(inert_object(object, characters, entries, depth, cut)),
        other => other.clone(),
    }
}

fn inert_object(
    object: &Map<String, Value>,
    characters: usize,
    entries: usize,
    depth: usize,
    cut: &mut bool,
) -> Map<String, Value> {
    let each = |(key, value): (&String, &Value)| (key.clone(), inert(value, characters, entries, depth - 1, cut));
    let mut made: Map<String, Value> = object.iter().map(each).collect();
    // A span that points into a value which has changed points nowhere.
    if made.contains_key("span") && made.get("value") != object.get("value") {
        made.insert("span".to_owned(), Value::Null);
    }
    made
}

/// JSON that is inert where it is shown as it is: no markup, and nothing but ASCII.
fn escaped(json: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c if c.is_ascii() => out.push(c),
            c => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}
