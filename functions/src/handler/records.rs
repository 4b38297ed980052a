//! What the functions that read records have in common: each record for itself, and an answer as its carrier takes it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, Invocation};
use crate::error::{Failure, caught};
use crate::metrics::Metric;
use crate::reading::Reading;
use crate::source::{self, Carrier, SourceError, Work};

/// Handles an event, with `read` for what is in its records: a record that fails does so alone where its carrier can say which
/// one it was.
pub(super) async fn handle(
    app: &App,
    invocation: &Invocation,
    event: &[u8],
    read: impl AsyncFn(&Reading<'_>, Work) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let delivered = source::deliveries(event)?;
    let outbox = app.outbox(invocation);
    app.learn_mask_key(invocation.now()).await?;
    app.refresh_rules(&outbox, invocation.now()).await?;
    let rules = app.rules();
    let reading = Reading { app, invocation, outbox: &outbox, rules: &rules };
    let mut results = Vec::new();
    for delivery in delivered.deliveries {
        app.count(Metric::Records, 1);
        let result = match delivery.work {
            Ok(works) => record(&reading, works, &read).await,
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

async fn record(
    reading: &Reading<'_>,
    works: Vec<Work>,
    read: &impl AsyncFn(&Reading<'_>, Work) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // One bad part of a record keeps nothing from the others; the record comes again for it.
    let mut failure = None;
    for work in works {
        if reading.invocation.is_over() {
            return Err(Failure::OutOfTime);
        }
        if let Work::Nothing(what) = work {
            tracing::debug!(what, "nothing to read");
        } else if let Err(error) = caught(read(reading, work)).await {
            failure = failure.or(Some(error));
        }
    }
    failure.map_or(Ok(()), Err)
}

fn answer(carrier: Carrier, results: Vec<(String, Result<(), Failure>)>, event: &[u8]) -> Result<Value, Failure> {
    match carrier {
        Carrier::Whole => results.into_iter().try_for_each(|(_, result)| result).map(|()| Value::Null),
        Carrier::Sqs | Carrier::Kinesis => {
            let failed = results.iter().filter(|(_, result)| result.is_err());
            let failed: Vec<Value> = failed.map(|(id, _)| json!({ "itemIdentifier": id })).collect();
            Ok(json!({ "batchItemFailures": failed }))
        }
        Carrier::Firehose => firehose(results, event),
    }
}

#[derive(Deserialize)]
struct Transformation<'e> {
    #[serde(borrow)]
    records: Vec<Transformed<'e>>,
}

#[derive(Deserialize)]
struct Transformed<'e> {
    data: &'e str,
}

/// The records as they came. Firehose puts what failed aside, for good: so only what can never be read fails alone.
fn firehose(results: Vec<(String, Result<(), Failure>)>, event: &[u8]) -> Result<Value, Failure> {
    let came: Transformation<'_> =
        serde_json::from_slice(event).map_err(|_| SourceError::Malformed("a Firehose event"))?;
    let mut records = Vec::new();
    for ((id, result), came) in results.into_iter().zip(came.records) {
        let result = match result {
            Ok(()) => "Ok",
            Err(Failure::Source(_) | Failure::Misdirected) => "ProcessingFailed",
            Err(error) => return Err(error),
        };
        records.push(json!({ "recordId": id, "result": result, "data": came.data }));
    }
    Ok(json!({ "records": records }))
}
