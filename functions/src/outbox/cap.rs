//! Caps: what runs away degrades to a digest.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use warden_rules::Level;

use super::{Outbox, OutboxError};
use crate::dedup::Window;
use crate::draft::{Draft, DraftKind};
use crate::ledger::Due;
use crate::ledger::table::Expect;

/// Alerts sent under one cap, by level. A cap is reached for a level when as many of it *or a higher one* were sent: no
/// noise of lower levels keeps an alert back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sent(BTreeMap<String, u64>);

/// An alert that a cap withheld.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) draft: Draft,
    pub(super) at: Timestamp,
}

impl Outbox<'_> {
    /// Counts an alert under its caps; the cap that is reached, if one is.
    pub(super) async fn exceeded(&self, draft: &Draft, now: Timestamp) -> Result<Option<String>, OutboxError> {
        let hour = now.as_second().div_euclid(3600);
        let rule = format!("rule {} in hour {hour}", draft.rule().unwrap_or(kind(draft.kind)));
        if !self.count(&rule, draft.level(), self.limits.rule_cap, now).await? {
            return Ok(Some(rule));
        }
        let Some(session) = &draft.facts.session else { return Ok(None) };
        let session = format!("session {session}");
        let fits = self.count(&session, draft.level(), self.limits.session_cap, now).await?;
        Ok((!fits).then_some(session))
    }

    /// Counts one more, unless the cap is reached; whether it fits.
    async fn count(&self, scope: &str, level: Level, cap: u64, now: Timestamp) -> Result<bool, OutboxError> {
        let count = |sent: Option<Sent>| {
            let mut sent = sent.unwrap_or_default();
            let levels = sent.0.iter().filter(|(name, _)| Level::parse(name).is_some_and(|known| known >= level));
            if levels.map(|(_, count)| count).sum::<u64>() >= cap {
                return None;
            }
            *sent.0.entry(level.as_str().to_owned()).or_default() += 1;
            Some(sent)
        };
        Ok(self.ledger.change(&self.ledger.key("CAP", scope, "COUNT"), now, count).await?)
    }

    /// Keeps an alert for the digest.
    pub(super) async fn withhold(
        &self,
        key: &str,
        window: &Window,
        scope: &str,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        let at = now.saturating_add(self.limits.follow_up).unwrap_or(now);
        self.ledger.put_due(at, &Due::Digest { scope: scope.to_owned() }, now).await?;
        let place = self.ledger.key("DIGEST", scope, format!("{key}#{}", window.opened.as_millisecond()));
        self.ledger.store(place, &Held { draft: window.first.clone(), at: now }, Expect::Any, now).await?;
        Ok(())
    }
}

fn kind(kind: DraftKind) -> &'static str {
    match kind {
        DraftKind::Finding => "finding",
        DraftKind::IdentityConflict => "identity-conflict",
        DraftKind::Audit => "audit",
        DraftKind::Operator => "operator",
    }
}
