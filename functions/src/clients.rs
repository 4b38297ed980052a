//! Clients of the AWS services, each made when it is first needed.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use tokio::sync::OnceCell;
use warden_aws::s3::Objects;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for a piece of an answer.
const READ: Duration = Duration::from_secs(10);
/// Longest time of one attempt.
const ATTEMPT: Duration = Duration::from_secs(12);
/// Longest time of a call with all its attempts: a failure must still be reported within the function's own time.
const CALL: Duration = Duration::from_secs(25);
/// Attempts of a call.
const ATTEMPTS: u32 = 4;

/// Clients that share one configuration. Endpoints, region and credentials are the SDK's own matter
/// (`AWS_ENDPOINT_URL`, `AWS_REGION`, …).
#[derive(Debug, Default)]
pub struct Clients {
    config: OnceCell<SdkConfig>,
    dynamodb: OnceCell<aws_sdk_dynamodb::Client>,
    eventbridge: OnceCell<aws_sdk_eventbridge::Client>,
    sns: OnceCell<aws_sdk_sns::Client>,
    ssm: OnceCell<aws_sdk_ssm::Client>,
    objects: OnceCell<Objects>,
}

impl Clients {
    /// Clients with this configuration: what tests have for stand-ins on loopback.
    pub fn with(config: SdkConfig) -> Self {
        Self { config: OnceCell::new_with(Some(config)), ..Self::default() }
    }

    /// The configuration of every client.
    pub async fn config(&self) -> &SdkConfig {
        self.config
            .get_or_init(|| async {
                let timeouts = TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .read_timeout(READ)
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(CALL)
                    .build();
                let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
                aws_config::defaults(BehaviorVersion::latest())
                    .timeout_config(timeouts)
                    .retry_config(retries)
                    .load()
                    .await
            })
            .await
    }

    /// `DynamoDB`.
    pub async fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.dynamodb.get_or_init(|| async { aws_sdk_dynamodb::Client::new(self.config().await) }).await
    }

    /// `EventBridge`.
    pub async fn eventbridge(&self) -> &aws_sdk_eventbridge::Client {
        self.eventbridge.get_or_init(|| async { aws_sdk_eventbridge::Client::new(self.config().await) }).await
    }

    /// SNS.
    pub async fn sns(&self) -> &aws_sdk_sns::Client {
        self.sns.get_or_init(|| async { aws_sdk_sns::Client::new(self.config().await) }).await
    }

    /// Systems Manager.
    pub async fn ssm(&self) -> &aws_sdk_ssm::Client {
        self.ssm.get_or_init(|| async { aws_sdk_ssm::Client::new(self.config().await) }).await
    }

    /// S3 objects.
    pub async fn objects(&self) -> &Objects {
        self.objects.get_or_init(|| async { Objects::new(self.config().await) }).await
    }
}
