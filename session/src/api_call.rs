//! API calls: CloudTrail records.

mod facts;

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use serde_json::Value;

use crate::envelope;
use crate::json_split::{JsonSplit, Piece};
use crate::session::{Session, SessionId};
use crate::timeline::Deviation;

/// Longest single record that is parsed; CloudTrail's own are at most 256 KiB.
pub const RECORD_LIMIT: usize = 1024 * 1024;

/// One CloudTrail record, with the facts that rules and joins need read out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiCall {
    /// `eventID`.
    pub event_id: Option<String>,
    /// `eventName`, such as `StartSession`.
    pub event_name: String,
    /// `eventSource`, such as `ssm.amazonaws.com`.
    pub event_source: String,
    /// `eventTime`.
    pub event_time: Option<Timestamp>,
    /// `sourceIPAddress`: an address, or an AWS service's name.
    pub source_ip: Option<String>,
    /// `userAgent`: free, hostile text.
    pub user_agent: Option<String>,
    /// `errorCode` of a call that failed or was denied.
    pub error_code: Option<String>,
    /// `userIdentity.type`: `IAMUser`, `AssumedRole`, `Root`, `AWSService`, `FederatedUser`, `WebIdentityUser`,
    /// `IdentityCenterUser`, ….
    pub identity_type: Option<String>,
    /// Whether the caller authenticated with a second factor: `mfaAuthenticated` of the session, `false` for calls
    /// signed with a user's long-lived key, `None` where CloudTrail does not know (federated users: it says `"false"`
    /// whatever their identity provider did).
    pub mfa: Option<bool>,
    /// Session that the call started, resumed or ended.
    pub session: Option<SessionId>,
    /// The caller, and what the call says of target, account, region, document and reason.
    pub facts: Session,
    /// Managed nodes that the call names: one for StartSession, any number for SendCommand.
    pub targets: Vec<String>,
    /// `requestParameters.parameters`, if CloudTrail shows them: ports and hosts of forwarding sessions, commands.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// `requestParameters.parameters.command` of interactive-command documents and `requestParameters.command` of ECS
    /// Exec: commands that only CloudTrail holds.
    pub command: Option<String>,
    /// Byte range of the record in the input; of the whole envelope if the record was wrapped in one.
    pub offset: Range<u64>,
    /// The whole record.
    pub record: Value,
}

impl ApiCall {
    /// Reads one parsed record; `None` if it is no API call.
    ///
    /// ```
    /// use warden_session::ApiCall;
    /// let record = serde_json::json!({
    ///     "eventSource": "ssm.amazonaws.com", "eventName": "StartSession", "eventTime": "2024-08-01T12:19:17Z",
    ///     "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice"},
    ///     "requestParameters": {"target": "i-0123456789abcdef0"},
    ///     "responseElements": {"sessionId": "alice-052afb0c93508ea82"},
    /// });
    /// let call = ApiCall::from_record(record, 0..0).unwrap();
    /// assert_eq!(call.session.unwrap().name(), "alice");
    /// assert_eq!(call.facts.document.as_deref(), Some("SSM-SessionManagerRunShell"));
    /// ```
    pub fn from_record(record: Value, offset: Range<u64>) -> Option<Self> {
        facts::call(record, offset)
    }
}

/// What an [`ApiCallReader`] hands out.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// One API call.
    Call(Box<ApiCall>),
    /// Something at this offset is missing or is no API call.
    Deviation(u64, Deviation),
}

/// Reads CloudTrail records in any arrangement: one, pretty-printed or not, JSON Lines, `{"Records":[…]}` of any size,
/// EventBridge events (`detail`), the output of `aws cloudtrail lookup-events`, log events and their subscription
/// envelopes.
///
/// A bad record fails alone. Digest and Insight files hold no API calls and come out as nothing. CloudTrail may deliver
/// a record twice: whoever reads several files drops what has a known [`event_id`](ApiCall::event_id).
#[derive(Debug)]
pub struct ApiCallReader {
    split: JsonSplit,
}

impl Default for ApiCallReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ApiCallReader {
    /// A reader at the start of an input.
    pub fn new() -> Self {
        Self { split: JsonSplit::new(envelope::RECORDS) }
    }

    /// Reads the next bytes.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Found)) {
        self.split.feed(bytes, &mut |offset, piece| read(&offset, &piece, sink));
    }

    /// The input ends here.
    pub fn finish(self, sink: &mut dyn FnMut(Found)) {
        self.split.finish(&mut |offset, piece| read(&offset, &piece, sink));
    }
}

fn read(offset: &Range<u64>, piece: &Piece<'_>, sink: &mut dyn FnMut(Found)) {
    let deviation = match piece {
        Piece::Record { bytes, .. } if envelope::is_wrapped(bytes) => {
            envelope::unwrap(bytes, envelope::RECORDS, &mut |wrapped| match wrapped {
                Ok(wrapped) => record(wrapped.bytes, offset, sink),
                Err(deviation) => sink(Found::Deviation(offset.start, deviation)),
            });
            return;
        }
        Piece::Record { bytes, .. } => return record(bytes, offset, sink),
        Piece::Oversized => Deviation::LimitReached("record"),
        Piece::Broken => Deviation::Undecodable,
        Piece::Cut => Deviation::Truncated,
    };
    sink(Found::Deviation(offset.start, deviation));
}

fn record(bytes: &[u8], offset: &Range<u64>, sink: &mut dyn FnMut(Found)) {
    if bytes.len() > RECORD_LIMIT {
        sink(Found::Deviation(offset.start, Deviation::LimitReached("record")));
        return;
    }
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    if value.as_ref().is_some_and(is_control) {
        return;
    }
    match value.and_then(unfold) {
        Some(value) if is_silent(&value) => {}
        Some(value) => match ApiCall::from_record(value, offset.clone()) {
            Some(call) => sink(Found::Call(Box::new(call))),
            None => sink(Found::Deviation(offset.start, Deviation::Undecodable)),
        },
        None => sink(Found::Deviation(offset.start, Deviation::Undecodable)),
    }
}

/// The CloudTrail record inside an EventBridge event, a log event or an entry of `lookup-events`.
fn unfold(mut value: Value) -> Option<Value> {
    if value.get("eventName").is_some_and(Value::is_string) {
        return Some(value);
    }
    for key in ["CloudTrailEvent", "message"] {
        if let Some(text) = value.get(key).and_then(Value::as_str) {
            return serde_json::from_str(text).ok();
        }
    }
    match value.get_mut("detail").map(Value::take) {
        Some(detail) if detail.get("eventName").is_some() => Some(detail),
        _ => Some(value),
    }
}

/// A check of CloudWatch Logs whether the subscription's destination can be reached.
fn is_control(value: &Value) -> bool {
    value.get("message").and_then(Value::as_str).is_some_and(|message| message.starts_with(envelope::CONTROL))
}

/// What belongs to CloudTrail or EventBridge but is no API call.
fn is_silent(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    let insight = has("insightDetails") || value.get("eventCategory").and_then(Value::as_str) == Some("Insight");
    let digest = has("digestStartTime") || has("digestS3Bucket");
    let other_event = has("detail-type") && !has("eventName");
    insight || digest || other_event
}
