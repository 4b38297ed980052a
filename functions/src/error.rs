//! Why a record was not done, in words that stay the same: alarms and dead-letter queues go by them.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use lambda_runtime::Diagnostic;
use warden_aws::FetchError;

use crate::ledger::table::TableError;
use crate::outbox::OutboxError;
use crate::source::SourceError;
use crate::ssm::SsmError;

/// Why a record was not done. Holds no text of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The record is no event that this function reads.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// An object or log events could not be fetched.
    #[error("the input cannot be fetched: {0}")]
    Fetch(#[from] FetchError),
    /// The ledger did not answer.
    #[error("{0}")]
    Ledger(#[from] TableError),
    /// Alerts were not settled.
    #[error("{0}")]
    Outbox(#[from] OutboxError),
    /// Systems Manager did not answer.
    #[error("{0}")]
    SystemsManager(#[from] SsmError),
    /// The function's time was nearly up: the record comes again.
    #[error("no time was left")]
    OutOfTime,
    /// The record met a fault of the program.
    #[error("a fault of the program: the record is needed to find it")]
    Panicked,
    /// The event is for another function.
    #[error("an event that this function does not take")]
    Misdirected,
}

/// What a future comes to; a fault of ours or of a library fails what met it, not what is around it.
///
/// # Errors
/// [`Failure::Panicked`], and those of the future.
pub async fn caught<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // Every lock that such a fault can leave poisoned is taken all the same.
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(Failure::Panicked))
}

impl Failure {
    /// The error type that Lambda, metrics and logs show: it never changes.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Source(error) => error.error_type(),
            Self::Fetch(error) => match error {
                FetchError::Missing => "Warden.InputMissing",
                FetchError::Denied => "Warden.InputDenied",
                FetchError::Changed => "Warden.InputChanged",
                FetchError::Truncated { .. } => "Warden.InputTruncated",
                FetchError::Throttled => "Warden.InputThrottled",
                FetchError::Timeout => "Warden.InputTimeout",
                FetchError::Unreadable { .. } => "Warden.InputUnreadable",
                _ => "Warden.InputFailed",
            },
            Self::Ledger(error) | Self::Outbox(OutboxError::Table(error)) => match error {
                TableError::Throttled => "Warden.LedgerThrottled",
                TableError::Denied => "Warden.LedgerDenied",
                TableError::Layout | TableError::TooLong { .. } => "Warden.LedgerLayout",
                _ => "Warden.LedgerFailed",
            },
            Self::Outbox(OutboxError::Sink(_)) => "Warden.SinkFailed",
            Self::SystemsManager(_) => "Warden.SystemsManagerFailed",
            Self::OutOfTime => "Warden.OutOfTime",
            Self::Panicked => "Warden.Panicked",
            Self::Misdirected => "Warden.Misdirected",
        }
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.error_type().to_owned(), error_message: failure.to_string() }
    }
}
