//! Systems Manager: the sessions that it knows, documents, and the end of a session.

use std::pin::Pin;
use std::sync::Arc;

use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::{SessionFilter, SessionFilterKey, SessionState, SessionStatus};
use jiff::Timestamp;

use crate::clients::Clients;
use crate::ledger::Facts;
use crate::ledger::facts::bounded;

mod memory;

pub use memory::MemorySessions;

/// Most pages of sessions for one question; a page has at most 200.
pub const PAGES_LIMIT: usize = 100;

/// Longest document that is read, in bytes: Systems Manager stores at most 64 KB.
pub const DOCUMENT_LIMIT: usize = 256 * 1024;

/// An answer that is still to come.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, SsmError>> + Send + 'a>>;

/// The service, or a twin in memory.
pub trait Sessions: std::fmt::Debug + Send + Sync {
    /// Sessions that fit.
    fn describe<'a>(&'a self, which: &'a Which) -> Pending<'a, Described>;
    /// The content of a document; `None` if there is none of that name.
    fn document<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>>;
    /// Ends a session; `false` if the service knows no such session. One that is over already is accepted.
    fn terminate<'a>(&'a self, session: &'a str) -> Pending<'a, bool>;
}

/// Which sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that run.
    Active,
    /// Those that are over and began after this.
    EndedSince(Timestamp),
    /// The one with this id, whether it runs or is over.
    Id(String),
}

/// Sessions, as DescribeSessions gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Sessions.
    pub sessions: Vec<Known>,
    /// Whether there were more than [`PAGES_LIMIT`] pages.
    pub cut: bool,
}

/// A session that the service knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Who, where, when; `event_id` is never known here.
    pub facts: Facts,
    /// Whether it never came about (status `Failed`).
    pub failed: bool,
}

/// Why the service did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Systems Manager: {code}")]
pub struct SsmError {
    /// The service's error code, or a word for what happened on the way to it.
    pub code: String,
}

/// The service.
#[derive(Debug)]
pub struct Service {
    clients: Arc<Clients>,
    account: String,
    region: String,
}

impl Service {
    /// The service in this account and region.
    pub fn new(clients: Arc<Clients>, account: &str, region: &str) -> Self {
        Self { clients, account: account.to_owned(), region: region.to_owned() }
    }

    async fn page_through(&self, which: &Which) -> Result<Described, SsmError> {
        let (states, filter) = match which {
            Which::Active => (vec![SessionState::Active], None),
            Which::EndedSince(at) => {
                let filter = (SessionFilterKey::InvokedAfter, at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
                (vec![SessionState::History], Some(filter))
            }
            Which::Id(id) => {
                let states = vec![SessionState::Active, SessionState::History];
                (states, Some((SessionFilterKey::SessionId, id.clone())))
            }
        };
        let filter = filter.and_then(|(key, value)| SessionFilter::builder().key(key).value(value).build().ok());
        let mut described = Described::default();
        for state in states {
            self.pages(state, filter.as_ref(), &mut described).await?;
        }
        Ok(described)
    }

    async fn pages(
        &self,
        state: SessionState,
        filter: Option<&SessionFilter>,
        described: &mut Described,
    ) -> Result<(), SsmError> {
        let mut token = None;
        for _ in 0..PAGES_LIMIT {
            let request = self.clients.ssm().await.describe_sessions().state(state.clone()).max_results(200);
            let request = request.set_filters(filter.map(|filter| vec![filter.clone()])).set_next_token(token);
            let answer = request.send().await.map_err(|error| failure(&error))?;
            described.sessions.extend(answer.sessions().iter().map(|session| self.known(session)));
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
        described.cut = true;
        Ok(())
    }

    fn known(&self, session: &aws_sdk_ssm::types::Session) -> Known {
        let at = |time: Option<&aws_sdk_ssm::primitives::DateTime>| {
            time.and_then(|time| time.to_millis().ok()).and_then(|millis| Timestamp::from_millisecond(millis).ok())
        };
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(bounded);
        Known {
            failed: session.status() == Some(&SessionStatus::Failed),
            facts: Facts {
                session: text(session.session_id()),
                principal: text(session.owner()),
                target: text(session.target()),
                account: Some(self.account.clone()),
                region: Some(self.region.clone()),
                document: text(session.document_name()),
                reason: text(session.reason()),
                started: at(session.start_date()),
                ended: at(session.end_date()),
                ..Facts::default()
            },
        }
    }
}

impl Sessions for Service {
    fn describe<'a>(&'a self, which: &'a Which) -> Pending<'a, Described> {
        Box::pin(self.page_through(which))
    }

    fn document<'a>(&'a self, name: &'a str) -> Pending<'a, Option<String>> {
        Box::pin(async move {
            match self.clients.ssm().await.get_document().name(name).send().await {
                Ok(answer) => Ok(Some(answer.content.filter(|text| text.len() <= DOCUMENT_LIMIT).unwrap_or_default())),
                Err(error) if code(&error) == "InvalidDocument" => Ok(None),
                Err(error) => Err(failure(&error)),
            }
        })
    }

    fn terminate<'a>(&'a self, session: &'a str) -> Pending<'a, bool> {
        Box::pin(async move {
            match self.clients.ssm().await.terminate_session().session_id(session).send().await {
                Ok(_) => Ok(true),
                Err(error) if code(&error) == "DoesNotExistException" => Ok(false),
                Err(error) => Err(failure(&error)),
            }
        })
    }
}

fn failure<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> SsmError {
    SsmError { code: code(error).to_owned() }
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> &str {
    match error {
        SdkError::ServiceError(service) => service.err().code().unwrap_or("Service"),
        SdkError::TimeoutError(_) => "Timeout",
        SdkError::DispatchFailure(_) => "Connection",
        _ => "Response",
    }
}
