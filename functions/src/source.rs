//! Lambda events -> what is to be read: S3 objects, batches of log events, CloudTrail records.
//!
//! A carrier (SQS, Kinesis, Firehose) delivers several records at once; each is taken apart for itself, so that a bad one
//! fails alone.

use jiff::Timestamp;
use serde_json::Value;

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
    /// A message that is meant for nobody: a test event, a control message.
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
    /// Account of the bucket's event, where the envelope names it.
    pub account: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// When it was stored.
    pub at: Option<Timestamp>,
}

/// A batch of one log stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch {
    /// Account that owns the log group.
    pub account: String,
    /// Log group.
    pub log_group: String,
    /// Log stream.
    pub log_stream: String,
    /// Events, in the order of the envelope.
    pub events: Vec<LogEvent>,
}

/// One log event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Id, by which a redelivery is known.
    pub id: String,
    /// Time.
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
}
