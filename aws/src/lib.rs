//! S3 objects and CloudWatch log events, fetched in pieces: for the Lambdas, and for `warden` with its feature `aws`.

pub mod error;
#[cfg(feature = "kms")]
pub mod kms;
pub mod logs;
pub mod s3;

pub use aws_config::SdkConfig;
pub use error::FetchError;

/// What the environment, the shared files and the profile say: region, credentials, endpoints.
pub async fn config() -> SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}
