//! What the tests share: an application on twins in memory, a clock that stands still, records of sessions.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use warden_functions::alert::{Alert, Kind};
use warden_functions::app::{App, Invocation};
use warden_functions::clients::Clients;
use warden_functions::config::{Config, Content};
use warden_functions::error::Failure;
use warden_functions::handler::{cloudtrail, logs, transcripts};
use warden_functions::ledger::memory::Memory;
use warden_functions::object::MemoryStore;
use warden_functions::sink::Sinks;
use warden_functions::sink::recorded::Recorded;
use warden_functions::ssm::MemorySessions;
use warden_functions::{history::MemoryHistory, shipped};
use warden_rules::RuleSet;

pub(crate) const SESSION: &str = "alice-0123456789abcdefghijklmnop";
pub(crate) const NODE: &str = "i-0123456789abcdef0";
pub(crate) const PRINCIPAL: &str = "arn:aws:iam::111122223333:user/alice";
pub(crate) const BUCKET: &str = "transcripts";

static RULES: OnceLock<Arc<RuleSet>> = OnceLock::new();

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_767_225_600) };
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

/// A clock on which a second passes with every five looks.
pub(crate) fn busy_clock() -> Timestamp {
    LOOKS.set(LOOKS.get() + 1);
    if LOOKS.get().is_multiple_of(5) {
        pass(1);
    }
    clock()
}

/// The time: it passes only when it is told to.
pub(crate) fn clock() -> Timestamp {
    Timestamp::from_second(NOW.get()).unwrap()
}

pub(crate) fn pass(seconds: i64) {
    NOW.set(NOW.get() + seconds);
}

pub(crate) fn invocation(id: &str) -> Invocation {
    Invocation { id: id.to_owned(), deadline: clock() + SignedDuration::from_secs(50), clock }
}

/// An application, and the twins that it works on.
pub(crate) struct Twin {
    pub(crate) app: App,
    pub(crate) sink: Recorded,
    pub(crate) table: Arc<Memory>,
}

pub(crate) fn twin(store: MemoryStore, settings: &[(&'static str, &'static str)]) -> Twin {
    let base = [
        ("_HANDLER", "transcripts"),
        ("AWS_REGION", "eu-central-1"),
        ("WARDEN_ACCOUNT", "111122223333"),
        ("WARDEN_TABLE", "ledger"),
        ("WARDEN_EVENT_BUS", "default"),
        ("WARDEN_LEVEL", "informational"),
        ("WARDEN_MASK_KEY", "key"),
        ("WARDEN_OUTPUT", "s3://transcripts/own"),
    ];
    let all: Vec<_> = settings.iter().chain(&base).copied().collect();
    let config =
        Config::read(|name| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())).unwrap();
    let (sink, table) = (Recorded::default(), Arc::new(Memory::default()));
    let sinks = Sinks::new(vec![Box::new(sink.clone())], Content::Full);
    let rules = RULES.get_or_init(|| Arc::new(shipped::rules().unwrap())).clone();
    let mut app = App::on(config, Arc::new(Clients::default()), table.clone(), sinks, Box::new(store), rules);
    app.history = Box::new(MemoryHistory::default());
    app.sessions = Box::new(MemorySessions::default());
    Twin { app, sink, table }
}

impl Twin {
    pub(crate) async fn transcripts(&self, id: &str, event: &Value) -> Result<Value, Failure> {
        transcripts::handle(&self.app, &invocation(id), event.to_string().as_bytes()).await
    }

    pub(crate) async fn cloudtrail(&self, id: &str, event: &Value) -> Result<Value, Failure> {
        cloudtrail::handle(&self.app, &invocation(id), event.to_string().as_bytes()).await
    }

    pub(crate) async fn logs(&self, id: &str, event: &Value) -> Result<Value, Failure> {
        logs::handle(&self.app, &invocation(id), event.to_string().as_bytes()).await
    }

    pub(crate) async fn send_due(&self) -> u32 {
        let invocation = invocation("due");
        self.app.outbox(&invocation).send_due(clock(), &|| false).await.unwrap()
    }

    pub(crate) fn of(&self, kind: Kind) -> Vec<Alert> {
        self.sink.alerts().into_iter().filter(|alert| alert.kind == kind).collect()
    }

    /// Initial alerts by dedup key, each with its ids.
    pub(crate) fn initials(&self) -> BTreeMap<String, Vec<String>> {
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for alert in self.of(Kind::Initial) {
            keys.entry(alert.dedup_key.unwrap()).or_default().push(alert.alert_id);
        }
        keys
    }

    /// Texts of the commands that alerts show.
    pub(crate) fn shown(&self) -> BTreeSet<String> {
        let alerts = self.sink.alerts();
        let findings = alerts.iter().flat_map(|alert| alert.finding.iter().chain(&alert.others));
        findings.filter_map(|finding| Some(finding.command.as_ref()?.text.clone())).collect()
    }

    /// Findings that were seen, with the kinds of their sources.
    pub(crate) fn seen(&self) -> BTreeMap<String, usize> {
        let rows = self.table.rows();
        let rows = rows.iter().filter_map(|row| {
            let id = row.key.sk.strip_prefix("F#")?;
            let body: Value = serde_json::from_str(&row.body).ok()?;
            let sources = body["sources"].as_array()?;
            // What no rule found is kept beside the findings.
            (sources.first()? != "notice").then(|| (id.to_owned(), sources.len()))
        });
        rows.collect()
    }
}

/// A transcript as the agent stores it.
pub(crate) fn transcript(session: &str, node: &str, commands: &[&str]) -> Vec<u8> {
    let path = format!("/var/lib/amazon/ssm/{node}/session/orchestration/{session}/Standard_Stream/ipcTempFile.log");
    let at = clock().strftime("%Y-%m-%d %H:%M:%S+00:00").to_string();
    let mut text = format!("Script started on {at} [COMMAND=\"cat {path}\" <not executed on terminal>]\n");
    for command in commands {
        let _ = write!(text, "sh-4.2$ {command}\r\r\n");
    }
    let _ = write!(text, "sh-4.2$ exit\r\r\nexit\r\r\n\nScript done on {at} [COMMAND_EXIT_CODE=\"0\"]\n");
    text.into_bytes()
}

pub(crate) fn key(session: &str) -> String {
    format!("sessions/{session}.log")
}

/// A notification of S3, about the record of a session.
pub(crate) fn stored(session: &str, version: Option<&str>, uploader: &str) -> Value {
    let object = json!({"key": key(session), "versionId": version, "sequencer": "1"});
    json!({"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1", "eventName": "ObjectCreated:Put",
        "requestParameters": {"sourceIPAddress": "192.0.2.7"}, "responseElements": {"x-amz-request-id": "1"},
        "eventTime": clock().to_string(), "userIdentity": {"principalId": format!("AWS:AROAEXAMPLE:{uploader}")},
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": BUCKET, "arn": "arn:aws:s3:::transcripts"}, "object": object},
    }]})
}

/// Bodies as SQS messages.
pub(crate) fn sqs(bodies: &[String]) -> Value {
    let message =
        |(n, body): (usize, &String)| json!({"messageId": format!("m-{n}"), "eventSource": "aws:sqs", "body": body});
    json!({"Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>()})
}

/// StartSession, as EventBridge delivers it.
pub(crate) fn started(session: &str, principal: &str, node: &str) -> Value {
    json!({
        "version": "0", "id": "1", "detail-type": "AWS API Call via CloudTrail", "source": "aws.ssm",
        "account": "111122223333", "time": clock().to_string(), "region": "eu-central-1", "resources": [],
        "detail": {
            "eventVersion": "1.08", "eventSource": "ssm.amazonaws.com", "eventName": "StartSession",
            "eventTime": clock().to_string(), "awsRegion": "eu-central-1", "sourceIPAddress": "192.0.2.1",
            "userAgent": "aws-cli/2", "userIdentity": {"type": "IAMUser", "arn": principal, "accountId": "111122223333"},
            "requestParameters": {"target": node, "reason": "maintenance"},
            "responseElements": {"sessionId": session, "streamUrl": "wss://example"},
            "eventID": format!("event-{session}"), "eventType": "AwsApiCall", "recipientAccountId": "111122223333",
        },
    })
}

/// A batch of the session's log stream, as a subscription delivers it.
pub(crate) fn streamed(session: &str, principal: &str, node: &str, commands: &[&str]) -> Value {
    subscribed(session, &json!([message(session, principal, node, commands)]))
}

/// A log event of it.
pub(crate) fn message(session: &str, principal: &str, node: &str, commands: &[&str]) -> Value {
    let lines: Vec<String> = commands.iter().chain(&["exit"]).map(|command| format!("sh-4.2$ {command}")).collect();
    let message = json!({
        "eventVersion": "1.0", "eventTime": clock().to_string(), "awsRegion": "eu-central-1", "target": {"id": node},
        "userIdentity": {"arn": principal}, "runAsUser": "ssm-user", "sessionId": session, "sessionData": lines,
    });
    json!({"id": "1", "timestamp": clock().as_millisecond(), "message": message.to_string()})
}

/// Log events that were recorded, as JSON Lines, as a subscription delivers them.
pub(crate) fn recorded(session: &str, lines: &str) -> Value {
    let events = lines.lines().enumerate().map(|(n, line)| {
        let event: Value = serde_json::from_str(line).unwrap();
        json!({"id": format!("{n:056}"), "timestamp": event["timestamp"], "message": event["message"]})
    });
    subscribed(session, &events.collect())
}

pub(crate) fn subscribed(session: &str, events: &Value) -> Value {
    let batch = json!({
        "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/sessions", "logStream": session,
        "subscriptionFilters": ["warden"], "logEvents": events,
    });
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(batch.to_string().as_bytes()).unwrap();
    let data = base64::engine::general_purpose::STANDARD.encode(gzip.finish().unwrap());
    json!({"awslogs": {"data": data}})
}

/// A store with the transcript of the session, under this version.
pub(crate) fn store(commands: &[&str], version: Option<&str>) -> MemoryStore {
    let store = MemoryStore::default();
    store.put(BUCKET, &key(SESSION), version, &transcript(SESSION, NODE, commands));
    store
}
