//! Lambda events -> what is to be read: S3 objects, batches of log events, CloudTrail records.
//!
//! A carrier (SQS, Kinesis, Firehose) delivers several records at once; each is taken apart for itself, so that a bad one
//! fails alone. What a record carries is recognised from its content, through as many envelopes as AWS's services can wrap
//! around it: an S3 notification inside an SNS message inside an SQS body, for one.
//!
//! Shapes: the Lambda developer guide's pages on each event source; S3 user guide, "Event message structure";
//! CloudWatch Logs user guide, "Real-time processing of log data with subscriptions"; CloudTrail user guide, "Configuring
//! Amazon SNS notifications"; EventBridge reference, "Amazon S3 events".

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

mod log_batch;
mod object;
mod unwrap;

use log_batch::Budget;
pub(crate) use object::decoded;

/// Most bytes that the log batches of one invocation may decompress to, together. Lambda bounds only the compressed form
/// (6 MiB); what exceeds this fails and comes again alone.
pub const INFLATED_LIMIT: u64 = 24 * 1024 * 1024;

/// Most envelopes around one another: SNS inside SQS needs three.
pub const DEPTH_LIMIT: usize = 6;

/// A Lambda event, taken apart.
#[derive(Debug)]
pub struct Deliveries {
    /// What brought it, which says how to answer.
    pub carrier: Carrier,
    /// Its records, in order.
    pub deliveries: Vec<Delivery>,
}

/// What brought an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The event was delivered as a whole (EventBridge, S3, SNS, CloudWatch Logs): it fails as a whole.
    Whole,
    /// SQS: answer with `batchItemFailures` of message ids.
    Sqs,
    /// Kinesis: answer with `batchItemFailures` of sequence numbers.
    Kinesis,
    /// Firehose: answer with every record's result.
    Firehose,
}

/// One record of a Lambda event, taken out of its envelopes.
#[derive(Debug)]
pub struct Delivery {
    /// What names the record to its carrier (SQS message id, Kinesis sequence number, Firehose record id); `None` if the
    /// event is delivered as a whole.
    pub id: Option<String>,
    /// What it holds, or why it holds nothing that we can read.
    pub work: Result<Vec<Work>, SourceError>,
}

/// Something to read.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// An S3 object: a transcript or a CloudTrail file.
    Object(ObjectRef),
    /// Log events of one stream.
    Logs(LogBatch),
    /// A CloudTrail record.
    ApiCall(Box<Value>),
    /// A message that is meant for nobody, such as a test event or a control message; says which.
    Nothing(&'static str),
}

/// An S3 object, as a notification names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRef {
    /// Bucket.
    pub bucket: String,
    /// Key, decoded.
    pub key: String,
    /// Version id of a versioned bucket.
    pub version: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// `ETag`, without quotes.
    pub etag: Option<String>,
    /// `principalId` of the uploader (`AWS:AROA…:i-0123…`), which only S3 notifications carry.
    pub uploader: Option<String>,
    /// When it was stored.
    pub at: Option<Timestamp>,
}

/// A batch of one log stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogBatch {
    /// Account that owns the log group.
    #[serde(rename = "owner", default)]
    pub account: String,
    /// Log group.
    pub log_group: String,
    /// Log stream.
    pub log_stream: String,
    /// Events, in the order of the envelope.
    #[serde(rename = "logEvents", default)]
    pub events: Vec<LogEvent>,
}

/// One log event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LogEvent {
    /// Id, by which a redelivery is known.
    #[serde(default)]
    pub id: String,
    /// Time.
    #[serde(rename = "timestamp", default, deserialize_with = "log_batch::milliseconds")]
    pub at: Option<Timestamp>,
    /// Message.
    pub message: String,
}

/// An event that cannot be read. Never holds text from the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The record is in no envelope that is known here.
    #[error("an event of no known kind")]
    UnknownEnvelope,
    /// It is not what its envelope says.
    #[error("{0} cannot be read: it is no JSON of that shape")]
    Malformed(&'static str),
    /// An EventBridge event that no service of AWS sent.
    #[error("an EventBridge event that AWS did not send")]
    Foreign,
    /// Base64 or gzip that does not decode.
    #[error("{0} cannot be read: its base64 or gzip is damaged")]
    Undecodable(&'static str),
    /// A named limit was reached.
    #[error("the limit on {limit} ({at}) is reached")]
    LimitReached {
        /// Which.
        limit: &'static str,
        /// Its value.
        at: u64,
    },
}

impl SourceError {
    /// A stable name, for logs, metrics and dead letters.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::UnknownEnvelope => "Source.UnknownEnvelope",
            Self::Malformed(_) => "Source.Malformed",
            Self::Foreign => "Source.Foreign",
            Self::Undecodable(_) => "Source.Undecodable",
            Self::LimitReached { .. } => "Source.LimitReached",
        }
    }
}

/// Takes a Lambda event apart.
///
/// # Errors
/// Only what is no JSON object of a known kind at all; everything else fails record by record.
///
/// ```
/// use warden_functions::source::{Carrier, SourceError, Work, deliveries};
/// let event = br#"{"Records":[
///     {"eventSource":"aws:sqs","messageId":"m-1","body":"{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}"},
///     {"eventSource":"aws:sqs","messageId":"m-2","body":"poison"}]}"#;
/// let found = deliveries(event)?;
/// assert_eq!(found.carrier, Carrier::Sqs);
/// assert_eq!(found.deliveries[0].work, Ok(vec![Work::Nothing("S3 test event")]));
/// assert_eq!(found.deliveries[1].id.as_deref(), Some("m-2"));
/// assert!(found.deliveries[1].work.is_err());
/// # Ok::<(), SourceError>(())
/// ```
pub fn deliveries(event: &[u8]) -> Result<Deliveries, SourceError> {
    let text = str::from_utf8(event).map_err(|_| SourceError::Malformed("the event"))?;
    let shape: unwrap::Shape<'_> = serde_json::from_str(text).map_err(|_| SourceError::Malformed("the event"))?;
    let mut budget = Budget::default();
    let whole = |work| Deliveries { carrier: Carrier::Whole, deliveries: vec![Delivery { id: None, work }] };
    if shape.is_firehose() {
        let deliveries = shape.lower_records().map(|record| unwrap::firehose(record, &mut budget)).collect();
        return Ok(Deliveries { carrier: Carrier::Firehose, deliveries });
    }
    match shape.records().next().map(unwrap::event_source) {
        Some(Some(source)) if source == "aws:sqs" => {
            let deliveries = shape.records().map(|record| unwrap::sqs(record, &mut budget)).collect();
            Ok(Deliveries { carrier: Carrier::Sqs, deliveries })
        }
        Some(Some(source)) if source == "aws:kinesis" => {
            let deliveries = shape.records().map(|record| unwrap::kinesis(record, &mut budget)).collect();
            Ok(Deliveries { carrier: Carrier::Kinesis, deliveries })
        }
        _ => match unwrap::text(text, &mut budget, 0) {
            Err(SourceError::UnknownEnvelope) => Err(SourceError::UnknownEnvelope),
            work => Ok(whole(work)),
        },
    }
}

impl LogBatch {
    /// The CloudTrail records among the messages; of a log group that CloudTrail delivers to, each message is one.
    pub fn api_calls(&self) -> Vec<Value> {
        let record = |event: &LogEvent| {
            let raw: Box<RawValue> = serde_json::from_str(&event.message).ok()?;
            let record: Value = serde_json::from_str(raw.get()).ok()?;
            (record.get("eventSource").is_some() && record.get("eventName").is_some()).then_some(record)
        };
        self.events.iter().filter_map(record).collect()
    }
}
