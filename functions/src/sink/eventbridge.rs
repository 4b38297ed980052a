//! An event bus: `source` `session-warden`, `detail-type` `Session Warden Alert`, `detail` the machine form.

use std::sync::Arc;

use aws_sdk_eventbridge::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::{Sending, Sink, SinkError};
use crate::alert::Alert;
use crate::clients::Clients;
use crate::config::MachineForm;

/// An event bus.
#[derive(Debug)]
pub struct Bus {
    clients: Arc<Clients>,
    name: String,
    form: MachineForm,
}

/// `source` of the events.
pub const SOURCE: &str = "session-warden";
/// `detail-type` of the events.
pub const DETAIL_TYPE: &str = "Session Warden Alert";

impl Bus {
    /// The bus of this name or ARN.
    pub fn new(clients: Arc<Clients>, name: &str, form: MachineForm) -> Self {
        Self { clients, name: name.to_owned(), form }
    }

    async fn put(&self, alert: &Alert) -> Result<(), SinkError> {
        let detail = match self.form {
            MachineForm::Warden => alert.machine_json(),
            MachineForm::Ocsf => alert.ocsf(),
        };
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(DETAIL_TYPE)
            .detail(detail)
            .build();
        let answer = match self.clients.eventbridge().await.put_events().entries(entry).send().await {
            Ok(answer) => answer,
            Err(SdkError::TimeoutError(_)) => return Err(error("Timeout")),
            Err(failure) => return Err(error(failure.code().unwrap_or("Connection"))),
        };
        // The call succeeds even where its entries do not.
        let refused = answer.entries.unwrap_or_default().into_iter().find_map(|entry| entry.error_code);
        match refused {
            Some(code) => Err(error(&code)),
            None if answer.failed_entry_count > 0 => Err(error("FailedEntry")),
            None => Ok(()),
        }
    }
}

impl Sink for Bus {
    fn name(&self) -> &'static str {
        "event-bus"
    }

    fn send<'a>(&'a self, alert: &'a Alert) -> Sending<'a> {
        Box::pin(self.put(alert))
    }
}

fn error(code: &str) -> SinkError {
    SinkError { sink: "event-bus", code: code.to_owned() }
}
