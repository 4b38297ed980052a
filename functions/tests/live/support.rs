//! What the tests share: an application on twins in memory.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use warden_functions::alert::Alert;
use warden_functions::app::{App, Invocation};
use warden_functions::clients::Clients;
use warden_functions::config::{Config, Content};
use warden_functions::history::MemoryHistory;
use warden_functions::ledger::Facts;
use warden_functions::ledger::memory::Memory;
use warden_functions::object::MemoryStore;
use warden_functions::shipped;
use warden_functions::sink::Sinks;
use warden_functions::sink::recorded::Recorded;
use warden_functions::ssm::MemorySessions;
use warden_rules::RuleSet;

/// The application, and the twins that it works on.
pub(crate) struct Twin {
    pub(crate) app: App,
    pub(crate) sink: Recorded,
    pub(crate) table: Arc<Memory>,
    pub(crate) history: MemoryHistory,
    pub(crate) sessions: MemorySessions,
}

pub(crate) const ACCOUNT: &str = "123456789012";

/// The hour in which the recorded sessions took place.
pub(crate) fn now() -> Timestamp {
    "2026-11-22T14:00:00Z".parse().unwrap()
}

pub(crate) fn invocation(id: &str) -> Invocation {
    Invocation { id: id.to_owned(), deadline: now() + SignedDuration::from_secs(50), clock: now }
}

pub(crate) fn twin(handler: &'static str, settings: &[(&'static str, &'static str)]) -> Twin {
    twin_with(handler, settings, shipped::rules().unwrap())
}

pub(crate) fn twin_with(handler: &'static str, settings: &[(&'static str, &'static str)], rules: RuleSet) -> Twin {
    let base = [
        ("_HANDLER", handler),
        ("AWS_REGION", "us-east-1"),
        ("WARDEN_ACCOUNT", ACCOUNT),
        ("WARDEN_TABLE", "ledger"),
        ("WARDEN_OUTPUT", "s3://results/runs"),
        ("WARDEN_EVENT_BUS", "default"),
        ("WARDEN_LEVEL", "informational"),
        ("WARDEN_MASK_KEY", "key"),
        ("WARDEN_SESSION_CAP", "100000"),
        ("WARDEN_RULE_CAP", "100000"),
    ];
    let all: Vec<_> = settings.iter().chain(&base).copied().collect();
    let config =
        Config::read(|name| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())).unwrap();
    let (sink, table) = (Recorded::default(), Arc::new(Memory::default()));
    let sinks = Sinks::new(vec![Box::new(sink.clone())], Content::Full);
    let store = Box::new(MemoryStore::default());
    let mut app = App::on(config, Arc::new(Clients::default()), table.clone(), sinks, store, Arc::new(rules));
    let (history, sessions) = (MemoryHistory::default(), MemorySessions::default());
    app.history = Box::new(history.clone());
    app.sessions = Box::new(sessions.clone());
    Twin { app, sink, table, history, sessions }
}

impl Twin {
    /// Finding ids that the ledger has seen.
    pub(crate) fn seen(&self) -> Vec<String> {
        let rows = self.table.rows();
        let mut ids: Vec<String> =
            rows.iter().filter_map(|row| row.key.sk.strip_prefix("F#")).map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    pub(crate) fn alerts(&self) -> Vec<Alert> {
        self.sink.alerts()
    }

    /// StartSession is heard of.
    pub(crate) async fn start(&self, session: &str, target: &str, principal: &str) {
        let facts = Facts {
            session: Some(session.to_owned()),
            target: Some(target.to_owned()),
            principal: Some(principal.to_owned()),
            account: Some(ACCOUNT.to_owned()),
            region: Some("us-east-1".to_owned()),
            event_id: Some("event".to_owned()),
            started: Some(now() - SignedDuration::from_hours(2)),
            ..Facts::default()
        };
        self.app.ledger.put_facts(&facts, now()).await.unwrap();
    }
}

/// A subscription's event.
pub(crate) fn subscription(group: &str, stream: &str, events: &[Value]) -> Vec<u8> {
    json!({ "awslogs": { "data": packed(group, stream, events) } }).to_string().into_bytes()
}

/// A batch of log events: base64 of gzip of JSON.
pub(crate) fn packed(group: &str, stream: &str, events: &[Value]) -> String {
    use base64::Engine as _;
    use std::io::Read as _;
    let batch = json!({"messageType": "DATA_MESSAGE", "owner": ACCOUNT, "logGroup": group, "logStream": stream,
        "subscriptionFilters": ["warden"], "logEvents": events});
    let text = batch.to_string();
    let mut bytes = Vec::new();
    flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast()).read_to_end(&mut bytes).unwrap();
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

/// One log event of a streaming agent.
pub(crate) fn message(at: i64, session: &str, lines: &[&str]) -> Value {
    let base = now().as_millisecond() - 3_600_000;
    let time = Timestamp::from_millisecond(base + at * 1_000).unwrap();
    let message = json!({"eventVersion": "1.0", "eventTime": format!("{time:.0}"), "awsRegion": "us-east-1",
        "target": {"id": "i-0123456789abcdef0"}, "userIdentity": {"arn": "arn:aws:iam::123456789012:user/eva"},
        "runAsUser": "ssm-user", "sessionId": session, "sessionData": lines});
    json!({"id": format!("{:056}", at), "timestamp": base + at * 1_000, "message": message.to_string()})
}

/// Folders of the recorded sessions; `None`, and a line that says so, without `WARDEN_DATA`.
pub(crate) fn recorded_sessions() -> Option<Vec<PathBuf>> {
    let Some(data) = std::env::var_os("WARDEN_DATA") else {
        println!("skipped: WARDEN_DATA names no folder with made/transcripts");
        return None;
    };
    let entries = std::fs::read_dir(PathBuf::from(data).join("made/transcripts")).unwrap();
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    dirs.sort();
    Some(dirs)
}
