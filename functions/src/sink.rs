//! Where alerts go.

use std::fmt;
use std::pin::Pin;

use crate::alert::Alert;

pub mod eventbridge;
pub mod fit;
pub mod recorded;
pub mod sns;

/// An answer that is still to come.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// One place that takes alerts.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Its name, by which the ledger knows who has taken an alert.
    fn name(&self) -> &'static str;
    /// Sends an alert; `Ok` once the service has confirmed it.
    fn send<'a>(&'a self, alert: &'a Alert) -> Sending<'a>;
}

/// Every place that takes alerts.
#[derive(Debug, Default)]
pub struct Sinks(pub Vec<Box<dyn Sink>>);

impl Sinks {
    /// Sends an alert to every sink that is not in `done`, and adds to `done` those that have taken it. Every sink is
    /// tried: one that fails keeps nothing from the others.
    ///
    /// # Errors
    /// The first failure.
    pub async fn send(&self, alert: &Alert, done: &mut Vec<String>) -> Result<(), SinkError> {
        let mut failure = None;
        for sink in &self.0 {
            if done.iter().any(|name| name == sink.name()) {
                continue;
            }
            match sink.send(alert).await {
                Ok(()) => done.push(sink.name().to_owned()),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Why a sink did not take an alert. Holds no text of the alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sink}: {code}")]
pub struct SinkError {
    /// Name of the sink.
    pub sink: &'static str,
    /// The service's error code, or a word for what happened on the way to it.
    pub code: String,
}
