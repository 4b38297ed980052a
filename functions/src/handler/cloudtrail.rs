//! `cloudtrail`: API calls, from EventBridge, from CloudTrail's files in S3 and from its log group. Rules on API calls; who
//! started which session; commands that only CloudTrail holds.

use serde_json::Value;

use super::records;
use crate::app::{App, Invocation};
use crate::error::Failure;
use crate::reading::{Belongs, Reading};
use crate::source::Work;

/// Handles an event.
///
/// # Errors
/// An event that is delivered as a whole fails as a whole, and comes again.
pub async fn handle(app: &App, invocation: &Invocation, event: &[u8]) -> Result<Value, Failure> {
    records::handle(app, invocation, event, async |reading: &Reading<'_>, work| match work {
        Work::Object(object) => Box::pin(reading.object(&object, Belongs::ApiCalls)).await,
        Work::ApiCall(record) => reading.api_call(&record).await,
        Work::Logs(batch) => {
            let records = batch.api_calls();
            // Nobody but CloudTrail writes there.
            let all = records.len() == batch.events.len();
            reading.api_call_log(&batch, &records).await?;
            if all { Ok(()) } else { Err(Failure::Misdirected) }
        }
        Work::Nothing(_) => Ok(()),
    })
    .await
}
