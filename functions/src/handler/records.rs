//! What `cloudtrail` and `transcripts` have in common: each record for itself, and an answer as its carrier takes it.

use serde_json::Value;

use super::logs::answer;
use crate::app::{App, Invocation};
use crate::error::Failure;
use crate::metrics::Metric;
use crate::reading::Reading;
use crate::source::{self, Work};

/// Whether API calls are taken beside objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Objects,
    ObjectsAndCalls,
}

/// Handles an event: a record that fails does so alone where its carrier can say which one it was.
pub(super) async fn handle(app: &App, invocation: &Invocation, event: &[u8], takes: Takes) -> Result<Value, Failure> {
    let delivered = source::deliveries(event)?;
    let outbox = app.outbox(invocation);
    app.refresh_rules(&outbox, invocation.now()).await?;
    let rules = app.rules();
    let reading = Reading { app, invocation, outbox: &outbox, rules: &rules };
    let mut results = Vec::new();
    for delivery in delivered.deliveries {
        app.count(Metric::Records, 1);
        let result = match delivery.work {
            Ok(works) => record(&reading, works, takes).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = &result {
            app.count(Metric::RecordsFailed, 1);
            tracing::error!(error_type = error.error_type(), error = %error, record = delivery.id, "a record was not done");
        }
        results.push((delivery.id.unwrap_or_default(), result));
    }
    outbox.flush(invocation.now()).await?;
    answer(delivered.carrier, results, event)
}

async fn record(reading: &Reading<'_>, works: Vec<Work>, takes: Takes) -> Result<(), Failure> {
    // One bad object of a notification keeps nothing from the others; the record comes again for it.
    let mut failure = None;
    for work in works {
        if reading.invocation.is_over() {
            return Err(Failure::OutOfTime);
        }
        if let Err(error) = one(reading, work, takes).await {
            failure = failure.or(Some(error));
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn one(reading: &Reading<'_>, work: Work, takes: Takes) -> Result<(), Failure> {
    match (work, takes) {
        (Work::Nothing(what), _) => {
            tracing::debug!(what, "nothing to read");
            Ok(())
        }
        (Work::Object(object), _) => Box::pin(reading.object(&object)).await,
        (Work::ApiCall(record), Takes::ObjectsAndCalls) => reading.api_call(&record).await,
        (Work::Logs(batch), Takes::ObjectsAndCalls) => match batch.api_calls() {
            Some(records) => reading.api_call_log(&batch, &records).await,
            None => Err(Failure::Misdirected),
        },
        (Work::ApiCall(_) | Work::Logs(_), Takes::Objects) => Err(Failure::Misdirected),
    }
}
