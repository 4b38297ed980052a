//! API calls: CloudTrail records.

use jiff::Timestamp;
use serde_json::Value;

use crate::session::{Session, SessionId};

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
    /// Session that the call started, resumed or ended.
    pub session: Option<SessionId>,
    /// The caller, and what the call says of target, account, region, document and reason.
    pub facts: Session,
    /// `requestParameters.parameters.command` of interactive-command documents and `requestParameters.command` of ECS
    /// Exec: commands that only CloudTrail holds.
    pub command: Option<String>,
    /// Byte range of the record in the input.
    pub offset: std::ops::Range<u64>,
    /// The whole record.
    pub record: Value,
}
