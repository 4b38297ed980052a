//! S3 objects and CloudWatch log events, fetched in pieces: for the Lambdas, and for `warden` with its feature `aws`.
