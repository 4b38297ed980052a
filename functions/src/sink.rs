//! Where alerts go.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::alert::Alert;
use crate::clients::Clients;
use crate::config::{Config, Content, Outlets};
use eventbridge::Bus;
use sns::{Form, Topic};

pub mod eventbridge;
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
#[derive(Debug)]
pub struct Sinks {
    sinks: Vec<Box<dyn Sink>>,
    content: Content,
}

impl Sinks {
    /// These places, which get alerts with this content.
    pub fn new(sinks: Vec<Box<dyn Sink>>, content: Content) -> Self {
        Self { sinks, content }
    }

    /// The places that a configuration names.
    pub fn of(config: &Config, clients: &Arc<Clients>) -> Self {
        let Outlets { machine, human, chat, bus } = &config.outlets;
        let topics = [(machine, Form::Machine(config.machine_form)), (human, Form::Human), (chat, Form::Chat)];
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        for (arn, form) in topics {
            sinks.extend(arn.iter().map(|arn| Box::new(Topic::new(clients.clone(), arn, form)) as Box<dyn Sink>));
        }
        sinks.extend(
            bus.iter().map(|name| Box::new(Bus::new(clients.clone(), name, config.machine_form)) as Box<dyn Sink>),
        );
        Self::new(sinks, config.content)
    }

    /// Sends an alert to every sink that is not in `done`, and adds to `done` those that have taken it. Every sink is
    /// tried: one that fails keeps nothing from the others.
    ///
    /// # Errors
    /// The first failure.
    pub async fn send(&self, alert: &Alert, done: &mut Vec<String>) -> Result<(), SinkError> {
        let pointers;
        let alert = match self.content {
            Content::Full => alert,
            Content::None => {
                pointers = alert.clone().without_content();
                &pointers
            }
        };
        let mut failure = None;
        for sink in &self.sinks {
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
