//! `cloudtrail`: API calls, from EventBridge, from CloudTrail's files in S3 and from its log group. Rules on API calls; who
//! started which session; commands that only CloudTrail holds.

use serde_json::Value;

use super::records::{self, Takes};
use crate::app::{App, Invocation};
use crate::error::Failure;

/// Handles an event.
///
/// # Errors
/// An event that is delivered as a whole fails as a whole, and comes again.
pub async fn handle(app: &App, invocation: &Invocation, event: &[u8]) -> Result<Value, Failure> {
    records::handle(app, invocation, event, Takes::ObjectsAndCalls).await
}
