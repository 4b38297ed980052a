//! Why something could not be fetched.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// What went wrong while fetching, in terms that decide what to do next. Holds no names and no content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No such bucket, object, version, log group or stream.
    #[error("it does not exist")]
    Missing,
    /// The caller may not read it (or may not see that it does not exist).
    #[error("access is denied")]
    Denied,
    /// The object was replaced while it was read.
    #[error("it changed while it was read")]
    Changed,
    /// The body ended early, again and again.
    #[error("the body ended at byte {at} of {length}")]
    Truncated {
        /// Bytes that were read.
        at: u64,
        /// Bytes that were promised.
        length: u64,
    },
    /// The service asks to slow down.
    #[error("the service throttles")]
    Throttled,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The object cannot be read as it is stored: archived, or encrypted with a key that is not ours.
    #[error("it cannot be read as it is stored ({code})")]
    Unreadable {
        /// The service's error code.
        code: String,
    },
    /// Anything else that the service or the way to it answered.
    #[error("the service failed ({code})")]
    Service {
        /// The service's error code, or a word for what happened on the way to it.
        code: String,
    },
}

impl FetchError {
    /// Whether trying again cannot help.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Missing | Self::Denied | Self::Unreadable { .. })
    }

    /// What an SDK call's error means.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        match error {
            SdkError::TimeoutError(_) => Self::Timeout,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::Timeout,
            SdkError::DispatchFailure(_) => Self::Service { code: "Connection".to_owned() },
            SdkError::ServiceError(service) => Self::of_code(service.err().code(), service.raw().status().as_u16()),
            SdkError::ResponseError(response) => Self::of_code(None, response.raw().status().as_u16()),
            _ => Self::Service { code: "Request".to_owned() },
        }
    }

    /// Codes: S3 API reference, "Error responses"; the status decides where there is none.
    fn of_code(code: Option<&str>, status: u16) -> Self {
        match (code.unwrap_or_default(), status) {
            ("NoSuchKey" | "NoSuchBucket" | "NoSuchVersion" | "ResourceNotFoundException", _) | ("", 404) => {
                Self::Missing
            }
            ("AccessDenied" | "AccessDeniedException" | "AllAccessDisabled" | "KMS.DisabledException", _)
            | ("", 401 | 403) => Self::Denied,
            ("PreconditionFailed" | "InvalidRange", _) | (_, 412 | 416) => Self::Changed,
            ("SlowDown" | "ThrottlingException" | "Throttling" | "TooManyRequestsException", _) | (_, 429 | 503) => {
                Self::Throttled
            }
            (code @ ("InvalidObjectState" | "MethodNotAllowed" | "KMS.NotFoundException"), _) => {
                Self::Unreadable { code: code.to_owned() }
            }
            ("", status) => Self::Service { code: status.to_string() },
            (code, _) => Self::Service { code: code.to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_decide_what_helps() {
        let rows: &[(Option<&str>, u16, FetchError, bool)] = &[
            (Some("NoSuchKey"), 404, FetchError::Missing, true),
            (None, 404, FetchError::Missing, true),
            (Some("AccessDenied"), 403, FetchError::Denied, true),
            (Some("SlowDown"), 503, FetchError::Throttled, false),
            (None, 503, FetchError::Throttled, false),
            (Some("PreconditionFailed"), 412, FetchError::Changed, false),
            (Some("InternalError"), 500, FetchError::Service { code: "InternalError".to_owned() }, false),
            (Some("InvalidObjectState"), 403, FetchError::Unreadable { code: "InvalidObjectState".to_owned() }, true),
        ];
        for (code, status, expected, permanent) in rows {
            let error = FetchError::of_code(*code, *status);
            assert_eq!((&error, error.is_permanent()), (expected, *permanent), "{code:?} {status}");
        }
    }
}
