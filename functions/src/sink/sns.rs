//! SNS topics: for programs, for people, for chat applications.

use std::sync::Arc;

use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::types::MessageAttributeValue;

use super::{Sending, Sink, SinkError};
use crate::alert::Alert;
use crate::clients::Clients;
use crate::config::MachineForm;

/// A topic that takes one form of alerts.
#[derive(Debug)]
pub struct Topic {
    clients: Arc<Clients>,
    arn: String,
    form: Form,
}

/// What a topic's subscribers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON with message attributes, as a String message: SNS documents attributes as sent with that structure only.
    Machine(MachineForm),
    /// Text with a subject.
    Human,
    /// Custom notifications of Amazon Q Developer in chat applications.
    Chat,
}

impl Topic {
    /// The topic with this ARN.
    pub fn new(clients: Arc<Clients>, arn: &str, form: Form) -> Self {
        Self { clients, arn: arn.to_owned(), form }
    }

    async fn publish(&self, alert: &Alert) -> Result<(), SinkError> {
        let request = self.clients.sns().await.publish().topic_arn(&self.arn);
        let request = match self.form {
            Form::Machine(form) => {
                let message = match form {
                    MachineForm::Warden => alert.machine_json(),
                    MachineForm::Ocsf => alert.ocsf(),
                };
                let mut request = request.message(message);
                for (name, value) in alert.attributes() {
                    let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
                    request = request.message_attributes(name, value.map_err(|_| self.error("Attribute"))?);
                }
                request
            }
            Form::Human => request.subject(alert.subject()).message(alert.human_text()),
            Form::Chat => request.message(alert.chat_json()),
        };
        match request.send().await {
            Ok(_) => Ok(()),
            Err(SdkError::TimeoutError(_)) => Err(self.error("Timeout")),
            Err(error) => Err(self.error(error.code().unwrap_or("Connection"))),
        }
    }

    fn error(&self, code: &str) -> SinkError {
        SinkError { sink: self.name(), code: code.to_owned() }
    }
}

impl Sink for Topic {
    fn name(&self) -> &'static str {
        match self.form {
            Form::Machine(_) => "machine-topic",
            Form::Human => "human-topic",
            Form::Chat => "chat-topic",
        }
    }

    fn send<'a>(&'a self, alert: &'a Alert) -> Sending<'a> {
        Box::pin(self.publish(alert))
    }
}
