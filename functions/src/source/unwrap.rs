//! The envelopes, from the outside in.

use std::borrow::Cow;

use aws_lambda_events::event::firehose::KinesisFirehoseEventRecord;
use aws_lambda_events::event::kinesis::KinesisEventRecord;
use aws_lambda_events::event::sqs::SqsMessage;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::log_batch::{self, Budget};
use super::object::{self, Created, TrailFiles};
use super::{DEPTH_LIMIT, Delivery, SourceError, Work};

/// The keys by which an envelope is recognised.
#[derive(Deserialize)]
pub(super) struct Shape<'a> {
    #[serde(borrow, rename = "Records")]
    upper: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "records")]
    lower: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "deliveryStreamArn")]
    delivery_stream: Option<&'a RawValue>,
    #[serde(borrow)]
    awslogs: Option<AwsLogs<'a>>,
    #[serde(borrow, rename = "messageType")]
    message_type: Option<&'a RawValue>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    source: Option<String>,
    time: Option<Timestamp>,
    #[serde(rename = "Type")]
    sns_type: Option<String>,
    #[serde(rename = "Message")]
    sns_message: Option<String>,
    #[serde(rename = "Event")]
    s3_event: Option<String>,
    #[serde(borrow, rename = "s3ObjectKey")]
    trail_files: Option<&'a RawValue>,
    #[serde(rename = "eventName")]
    event_name: Option<Value>,
}

#[derive(Deserialize)]
struct AwsLogs<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// SNS's record; the crate's own type insists on signatures that nothing here looks at.
#[derive(Deserialize)]
struct Sns {
    #[serde(rename = "Sns")]
    sns: SnsMessage,
}

#[derive(Deserialize)]
struct SnsMessage {
    #[serde(rename = "Message")]
    message: String,
}

impl Shape<'_> {
    pub(super) fn is_firehose(&self) -> bool {
        self.delivery_stream.is_some() && self.lower.is_some()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &RawValue> {
        self.upper.iter().flatten().copied()
    }

    pub(super) fn lower_records(&self) -> impl Iterator<Item = &RawValue> {
        self.lower.iter().flatten().copied()
    }
}

/// Which service made a record.
pub(super) fn event_source(record: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(alias = "EventSource", rename = "eventSource")]
        source: String,
    }
    serde_json::from_str::<Named>(record.get()).ok().map(|named| named.source)
}

pub(super) fn sqs(record: &RawValue, budget: &mut Budget) -> Delivery {
    let Ok(message) = serde_json::from_str::<SqsMessage>(record.get()) else {
        return Delivery { id: id_of(record), work: Err(SourceError::Malformed("an SQS message")) };
    };
    let body = message.body.ok_or(SourceError::Malformed("an SQS message"));
    Delivery { id: message.message_id, work: body.and_then(|body| text(&body, budget, 1)) }
}

pub(super) fn kinesis(record: &RawValue, budget: &mut Budget) -> Delivery {
    match serde_json::from_str::<KinesisEventRecord>(record.get()) {
        Ok(record) => {
            let work = log_batch::unpack(&record.kinesis.data.0, budget);
            Delivery { id: Some(record.kinesis.sequence_number), work }
        }
        Err(_) => Delivery { id: id_of(record), work: Err(SourceError::Malformed("a Kinesis record")) },
    }
}

pub(super) fn firehose(record: &RawValue, budget: &mut Budget) -> Delivery {
    match serde_json::from_str::<KinesisFirehoseEventRecord>(record.get()) {
        Ok(record) => Delivery { id: record.record_id, work: log_batch::unpack(&record.data.0, budget) },
        Err(_) => Delivery { id: id_of(record), work: Err(SourceError::Malformed("a Firehose record")) },
    }
}

/// The name of a record that is otherwise damaged, so that it can be refused alone.
fn id_of(record: &RawValue) -> Option<String> {
    let value: Value = serde_json::from_str(record.get()).ok()?;
    let names = ["/messageId", "/kinesis/sequenceNumber", "/recordId"];
    names.iter().find_map(|name| value.pointer(name)?.as_str().map(ToOwned::to_owned))
}

/// What one text holds, however deep.
pub(super) fn text(text: &str, budget: &mut Budget, depth: usize) -> Result<Vec<Work>, SourceError> {
    if depth > DEPTH_LIMIT {
        return Err(SourceError::LimitReached { limit: "envelopes around one another", at: DEPTH_LIMIT as u64 });
    }
    let shape: Shape<'_> = serde_json::from_str(text).map_err(|_| SourceError::Malformed("a message"))?;
    if let Some(records) = &shape.upper {
        let works: Result<Vec<Vec<Work>>, _> = records.iter().map(|one| record(one, budget, depth + 1)).collect();
        return Ok(works?.into_iter().flatten().collect());
    }
    if let Some(logs) = &shape.awslogs {
        return log_batch::unpack_base64(&logs.data, budget);
    }
    if shape.message_type.is_some() {
        return log_batch::parse(text.as_bytes());
    }
    if let Some(event) = &shape.s3_event {
        return match event.as_str() {
            "s3:TestEvent" => Ok(vec![Work::Nothing("S3 test event")]),
            _ => Err(SourceError::UnknownEnvelope),
        };
    }
    if shape.trail_files.is_some() {
        let files: TrailFiles =
            serde_json::from_str(text).map_err(|_| SourceError::Malformed("a notification of CloudTrail"))?;
        return Ok(files.works());
    }
    if shape.detail_type.is_some() {
        return event_bridge(&shape).map(|work| vec![work]);
    }
    match (shape.sns_type.as_deref(), &shape.sns_message) {
        (Some("Notification"), Some(message)) => return self::text(message, budget, depth + 1),
        (Some("SubscriptionConfirmation" | "UnsubscribeConfirmation"), _) => {
            return Ok(vec![Work::Nothing("SNS subscription message")]);
        }
        _ => {}
    }
    if shape.event_name.is_some() {
        let record = serde_json::from_str(text).map_err(|_| SourceError::Malformed("a CloudTrail record"))?;
        return Ok(vec![Work::ApiCall(record)]);
    }
    Err(SourceError::UnknownEnvelope)
}

/// A record of a list: S3's, SNS's, or CloudTrail's.
fn record(record: &RawValue, budget: &mut Budget, depth: usize) -> Result<Vec<Work>, SourceError> {
    match event_source(record).as_deref() {
        Some("aws:s3") => object::notification(record).map(|work| vec![work]),
        Some("aws:sns") => {
            let record: Sns =
                serde_json::from_str(record.get()).map_err(|_| SourceError::Malformed("an SNS record"))?;
            text(&record.sns.message, budget, depth + 1)
        }
        Some("aws:sqs") => sqs(record, budget).work,
        Some("aws:kinesis") => kinesis(record, budget).work,
        Some(source) if source.ends_with(".amazonaws.com") => text(record.get(), budget, depth + 1),
        _ => Err(SourceError::UnknownEnvelope),
    }
}

fn event_bridge(shape: &Shape<'_>) -> Result<Work, SourceError> {
    let detail = shape.detail.ok_or(SourceError::Malformed("an EventBridge event"))?.get();
    let malformed = |_| SourceError::Malformed("an EventBridge event");
    // Only AWS's own services may send events whose source begins so: whoever else puts events makes them up.
    if !shape.source.as_deref().is_some_and(|source| source.starts_with("aws.")) {
        return Err(SourceError::Foreign);
    }
    match shape.detail_type.as_deref().unwrap_or_default() {
        "Object Created" => {
            let created: Created = serde_json::from_str(detail).map_err(malformed)?;
            Ok(created.work(shape.time))
        }
        kind if kind.ends_with("via CloudTrail") => Ok(Work::ApiCall(serde_json::from_str(detail).map_err(malformed)?)),
        _ => Err(SourceError::UnknownEnvelope),
    }
}
