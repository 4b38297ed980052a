//! S3 objects and CloudWatch log events, fetched in pieces: for the Lambdas, and for `warden` with its feature `aws`.

pub mod error;
pub mod logs;
pub mod s3;

pub use error::FetchError;
