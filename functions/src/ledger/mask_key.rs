//! The key of the digests that stand for masked secrets, one for the deployment.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;

use super::table::{Expect, TableError};
use super::{Ledger, Loaded};

impl Ledger {
    /// The key of the digests that stand for masked secrets, if one was made.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn mask_key(&self, now: Timestamp) -> Result<Option<Vec<u8>>, TableError> {
        let known: Loaded<String> = self.load(&self.key("R", "", "MASK"), now).await?;
        known.value.map(|key| BASE64_STANDARD.decode(key).map_err(|_| TableError::Layout)).transpose()
    }

    /// The same; whoever asks first makes it, at random and for good.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn made_mask_key(&self, now: Timestamp) -> Result<Vec<u8>, TableError> {
        if let Some(key) = self.mask_key(now).await? {
            return Ok(key);
        }
        let made = BASE64_STANDARD.encode(random_key());
        self.store(self.key("R", "", "MASK"), &made, Expect::Absent, now).await?;
        self.mask_key(now).await?.ok_or(TableError::Contended)
    }
}

/// A key that nobody can guess. Linux has randomness for everybody as soon as it runs.
pub(crate) fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    getrandom::fill(&mut key).unwrap_or_default();
    key
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;

    use super::*;
    use crate::ledger::memory::Memory;
    use crate::ledger::table::Table;

    #[tokio::test]
    async fn the_mask_key_is_made_once_and_stays() {
        let table: Arc<dyn Table> = Arc::new(Memory::default());
        let ledger = || Ledger::new(table.clone(), "111122223333", "eu-west-1", SignedDuration::from_hours(1));
        let key = ledger().made_mask_key(Timestamp::UNIX_EPOCH).await.unwrap();
        assert!(key.len() == 32 && key.iter().any(|byte| *byte != 0));
        assert_eq!(ledger().made_mask_key("2040-01-01T00:00:00Z".parse().unwrap()).await.unwrap(), key);
    }
}
