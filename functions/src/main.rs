//! The one binary of the five Lambdas.

use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use serde_json::value::RawValue;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use warden_functions::app::{App, Invocation};
use warden_functions::config::{Config, Function};
use warden_functions::error::Failure;
use warden_functions::handler;
use warden_functions::metrics::Metric;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    log_json();
    // What a panic says may hold session text: only its place is logged.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(error_type = "Warden.Panicked", place, "a fault of the program");
    }));
    let config = Config::read(|name| std::env::var(name).ok()).map_err(|errors| {
        for error in &errors {
            tracing::error!(error_type = "Warden.Config", %error, "the configuration is wrong");
        }
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("configuration: {}", errors.join("; "))
    })?;
    let app = Arc::new(App::new(config)?);
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let app = app.clone();
        async move { invoke(&app, &event).await }
    });
    Box::pin(lambda_runtime::run(handler)).await.map_err(anyhow::Error::from_boxed)
}

async fn invoke(app: &App, event: &LambdaEvent<Box<RawValue>>) -> Result<Value, Diagnostic> {
    let begun = Timestamp::now();
    let deadline = i64::try_from(event.context.deadline).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    let invocation =
        Invocation { id: event.context.request_id.clone(), deadline: deadline.unwrap_or(begun), clock: Timestamp::now };
    let answer = dispatch(app, &invocation, event.payload.get().as_bytes()).await;
    let now = Timestamp::now();
    app.count(Metric::Duration, u64::try_from(now.duration_since(begun).as_millis()).unwrap_or_default());
    app.take_metrics().write(app.config.function.as_str(), now);
    answer.map_err(|failure| {
        tracing::error!(error_type = failure.error_type(), error = %failure, "the event was not done");
        failure.into()
    })
}

async fn dispatch(app: &App, invocation: &Invocation, event: &[u8]) -> Result<Value, Failure> {
    match app.config.function {
        Function::Cloudtrail => handler::cloudtrail::handle(app, invocation, event).await,
        Function::Transcripts => handler::transcripts::handle(app, invocation, event).await,
        Function::Logs => handler::logs::handle(app, invocation, event).await,
        Function::Reconcile => handler::reconcile::handle(app, invocation, event).await,
        Function::Backfill => handler::backfill::handle(app, invocation, event).await,
    }
}

/// Our own lines from the level that the function's settings name; of everything else warnings only, for what the SDK
/// says in detail holds what it sends.
fn log_json() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.parse().ok());
    let own = level.unwrap_or(LevelFilter::INFO);
    let levels = [("warden_functions", own), ("bootstrap", own)];
    let targets = Targets::new().with_default(LevelFilter::WARN).with_targets(levels);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
    let lines = lines.with_current_span(false).with_target(false).with_ansi(false);
    tracing_subscriber::registry().with(targets).with(lines).init();
}
