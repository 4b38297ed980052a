//! `transcripts`: what terminals printed, from the objects that agents store when sessions end.

use serde_json::Value;

use super::records;
use crate::app::{App, Invocation};
use crate::error::Failure;
use crate::reading::{Belongs, Reading};
use crate::source::Work;

/// Handles an event: notifications of objects, from S3 itself or through SQS, SNS or EventBridge.
///
/// # Errors
/// An event that is delivered as a whole fails as a whole, and comes again.
pub async fn handle(app: &App, invocation: &Invocation, event: &[u8]) -> Result<Value, Failure> {
    records::handle(app, invocation, event, async |reading: &Reading<'_>, work| match work {
        Work::Object(object) => Box::pin(reading.object(&object, Belongs::Records)).await,
        _ => Err(Failure::Misdirected),
    })
    .await
}
