//! Session data keys, decrypted by KMS.

use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;

use crate::error::FetchError;

/// Decrypts data keys.
#[derive(Clone, Debug)]
pub struct DataKeys {
    client: Client,
}

impl DataKeys {
    /// With the client that this configuration makes.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// The plaintext of a session's data key. The encryption context is what the client made the key with:
    /// `aws:ssm:SessionId` and `aws:ssm:TargetId`, and `aws:ssm:RandomChallenge` if client and agent agreed on it.
    ///
    /// # Errors
    /// What the service answers, after the SDK's own retries.
    pub async fn decrypt(&self, key: Vec<u8>, context: &[(&str, &str)]) -> Result<Vec<u8>, FetchError> {
        let mut request = self.client.decrypt().ciphertext_blob(Blob::new(key));
        for (name, value) in context {
            request = request.encryption_context(*name, *value);
        }
        let answer = request.send().await.map_err(|error| FetchError::of(&error))?;
        Ok(answer.plaintext.map(Blob::into_inner).unwrap_or_default())
    }
}
