//! What outlives an invocation: sessions, windows, findings, receipts, the state of log streams.
//!
//! One table; every partition key begins with the account and the region of the deployment. Times are compared: a row
//! that has expired counts as absent, whether or not it was deleted.
//!
//! | partition | sort key | holds |
//! |---|---|---|
//! | `A#R#S#SESSION` | `FACTS#ACCOUNT#REGION` | what StartSession said: [`Facts`] |
//! | | `CLAIM#KIND#PATH` | what a record says of itself: [`Claim`] |
//! | | `RECEIPT#KIND#PATH#VERSION` | what was read, and what came of it: [`Receipt`] |
//! | | `AWAITS#KEY#OPENED` | an alert that was sent without the principal |
//! | `A#R#K#KEY` | `WINDOW` | the latest window of a dedup key: [`Window`] |
//! | | `F#FINDING` | a finding that was seen: [`Seen`] |
//! | | `C#OPENED#COMMAND` | a command of a window that is not its first: [`Other`] |
//! | | `FU#OPENED` | follow-ups of a window: [`FollowUps`] |
//! | `A#R#DUE` | `TIME#WHAT` | what is to be sent then |
//! | `A#R#CAP#SCOPE` | `COUNT`, `DIGEST` | alerts sent under a cap; digests of what it withheld: [`FollowUps`] |
//! | `A#R#DIGEST#SCOPE` | `KEY#OPENED` | an alert that a cap withheld |
//! | `A#R#LONG#` | `SESSION` | a session that ran for long when it was last looked at |
//! | `A#R#REC#HOUR` | `SESSION` | a session of which a first record was read then |
//! | `A#R#R#` | `GOOD`, `SINCE`, `PREFERENCES` | rules, start of the deployment, session preferences |
//! | | `MASK` | key of the digests that stand for secrets |
//! | `A#R#L#GROUP#STREAM` | `STATE` | where the reading of a log stream stands |
//!
//! (PATH and KEY are hashes.) A session id names one session in all accounts; that two accounts know it is reported as no
//! facts at all, for then nobody can say whose record it is.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::dedup::{Seen, Window, digest};

pub mod dynamo;
pub mod facts;
pub mod finding;
mod mask_key;
pub mod memory;
pub mod rows;
pub mod table;

pub use facts::Facts;
pub(crate) use mask_key::random_key;
pub use rows::{Attempt, Claim, Due, FollowUps, Other, Receipt, Scan};
use table::{Expect, Key, Range, Row, Table, TableError};

/// Most rows that one query of a session or window takes.
pub const QUERY_LIMIT: u32 = 1000;

/// The ledger of one deployment.
#[derive(Clone, Debug)]
pub struct Ledger {
    table: Arc<dyn Table>,
    home: String,
    keep: SignedDuration,
}

/// A row's value as it was read, and what must hold for the next write to follow it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded<T> {
    /// The value, if there is one.
    pub value: Option<T>,
    /// Expectation of the write that follows this reading.
    pub expect: Expect,
}

impl Ledger {
    /// The ledger of the deployment in this account and region. Rows are kept for as long as said.
    pub fn new(table: Arc<dyn Table>, account: &str, region: &str, keep: SignedDuration) -> Self {
        Self { table, home: format!("{account}#{region}"), keep }
    }

    /// A place in the table: the partition is named by its kind and what it is about.
    pub fn key(&self, kind: &str, name: &str, sk: impl Into<String>) -> Key {
        Key { pk: self.partition(kind, name), sk: sk.into() }
    }

    fn partition(&self, kind: &str, name: &str) -> String {
        format!("{}#{kind}#{name}", self.home)
    }

    /// Reads a row.
    ///
    /// # Errors
    /// What the table answers; [`TableError::Layout`] if the row cannot be read.
    pub async fn load<T: DeserializeOwned>(&self, key: &Key, now: Timestamp) -> Result<Loaded<T>, TableError> {
        let Some(row) = self.table.read(key).await? else {
            return Ok(Loaded { value: None, expect: Expect::Absent });
        };
        let expect = Expect::Version(row.version);
        let value = if row.expires > now { Some(parse(&row)?) } else { None };
        Ok(Loaded { value, expect })
    }

    /// Writes a row; `false` if somebody else was faster.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn store<T: Serialize>(
        &self,
        key: Key,
        value: &T,
        expect: Expect,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        let row = self.row(key, value, now)?;
        self.table.write(row, expect).await
    }

    /// A row, to be written.
    ///
    /// # Errors
    /// [`TableError::Layout`] if the value has no JSON.
    pub fn row<T: Serialize>(&self, key: Key, value: &T, now: Timestamp) -> Result<Row, TableError> {
        let body = serde_json::to_string(value).map_err(|_| TableError::Layout)?;
        // What is known of the deployment itself stays.
        let keep = if key.pk == self.partition("R", "") { SignedDuration::MAX } else { self.keep };
        let expires = now.saturating_add(keep).unwrap_or(Timestamp::MAX);
        Ok(Row { key, version: 0, body, expires })
    }

    /// Writes all of these rows or none; `false` if somebody else was faster with one of them.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn store_together(&self, rows: Vec<(Row, Expect)>) -> Result<bool, TableError> {
        self.table.write_together(rows).await
    }

    /// Writes a row unless a live one is there; whether it was written.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn store_new<T: Serialize>(&self, key: Key, value: &T, now: Timestamp) -> Result<bool, TableError> {
        if self.store(key.clone(), value, Expect::Absent, now).await? {
            return Ok(true);
        }
        // What is in the way may have expired.
        match self.table.read(&key).await? {
            Some(row) if row.expires <= now => self.store(key, value, Expect::Version(row.version), now).await,
            Some(_) => Ok(false),
            None => self.store(key, value, Expect::Absent, now).await,
        }
    }

    /// Changes a row as often as it takes for nobody to come in between. `change` gets what is there and returns what
    /// is to be there, or `None` to leave it; whether something was written.
    ///
    /// # Errors
    /// What the table answers; [`TableError::Contended`] after [`ATTEMPTS`].
    pub async fn change<T: Serialize + DeserializeOwned>(
        &self,
        key: &Key,
        now: Timestamp,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<bool, TableError> {
        for _ in 0..ATTEMPTS {
            let loaded = self.load(key, now).await?;
            let Some(value) = change(loaded.value) else { return Ok(false) };
            if self.store(key.clone(), &value, loaded.expect, now).await? {
                return Ok(true);
            }
        }
        Err(TableError::Contended)
    }

    /// Removes a row.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn remove(&self, key: &Key, expect: Expect) -> Result<bool, TableError> {
        self.table.remove(key, expect).await
    }

    /// Rows of a partition whose sort keys begin with `prefix`, with their keys.
    ///
    /// # Errors
    /// What the table answers; [`TableError::Layout`] if a row cannot be read.
    pub async fn list<T: DeserializeOwned>(
        &self,
        kind: &str,
        name: &str,
        prefix: &str,
        now: Timestamp,
    ) -> Result<Vec<(Key, T)>, TableError> {
        let range = Range {
            pk: self.partition(kind, name),
            prefix: prefix.to_owned(),
            after: None,
            until: None,
            limit: QUERY_LIMIT,
        };
        self.rows(range, now).await
    }

    /// Rows of a range that have not expired.
    ///
    /// # Errors
    /// What the table answers; [`TableError::Layout`] if a row cannot be read.
    pub async fn rows<T: DeserializeOwned>(&self, range: Range, now: Timestamp) -> Result<Vec<(Key, T)>, TableError> {
        let rows = self.table.query(range).await?;
        let live = rows.into_iter().filter(|row| row.expires > now);
        live.map(|row| Ok((row.key.clone(), parse(&row)?))).collect()
    }

    /// What StartSession said of a session, if exactly one account and region knows it, or the one that is named.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn facts(
        &self,
        session: &str,
        account: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<Facts>, TableError> {
        let mut fitting = self.all_facts(session, now).await?.into_iter();
        let fits = |facts: &Facts| account.is_none() || facts.account.is_none() || facts.account.as_deref() == account;
        let first = fitting.find(|facts| fits(facts));
        Ok(if fitting.any(|facts| fits(&facts)) { None } else { first })
    }

    /// What is known of a session's start, in every account and region.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn all_facts(&self, session: &str, now: Timestamp) -> Result<Vec<Facts>, TableError> {
        let rows = self.list("S", session, "FACTS#", now).await?;
        Ok(rows.into_iter().map(|(_, facts)| facts).collect())
    }

    /// Remembers what is known of a session's start; what is there already is completed, never replaced, but that
    /// CloudTrail's word wins over DescribeSessions'. Whether anything is new.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn put_facts(&self, facts: &Facts, now: Timestamp) -> Result<bool, TableError> {
        let Some(session) = &facts.session else { return Ok(false) };
        let place = |value: &Option<String>| value.clone().unwrap_or_default();
        let sk = format!("FACTS#{}#{}", place(&facts.account), place(&facts.region));
        self.change(&self.key("S", session, sk), now, |known: Option<Facts>| {
            let mut whole = facts.clone();
            match &known {
                Some(known) if facts.event_id.is_none() || known.event_id.is_some() => {
                    whole = known.clone();
                    whole.fill(facts);
                }
                Some(known) => whole.fill(known),
                None => {}
            }
            (known.as_ref() != Some(&whole)).then_some(whole)
        })
        .await
    }

    /// Remembers what a record says of its session.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn put_claim(&self, session: &str, claim: &Claim, now: Timestamp) -> Result<(), TableError> {
        let sk = format!("CLAIM#{}#{}", claim.kind, digest([claim.path.as_str()]));
        self.store(self.key("S", session, sk), claim, Expect::Any, now).await?;
        Ok(())
    }

    /// What records say of this session.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn claims(&self, session: &str, now: Timestamp) -> Result<Vec<Claim>, TableError> {
        let rows = self.list("S", session, "CLAIM#", now).await?;
        Ok(rows.into_iter().map(|(_, claim)| claim).collect())
    }

    /// Leaves a receipt.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn put_receipt(&self, session: &str, receipt: &Receipt, now: Timestamp) -> Result<(), TableError> {
        let version = receipt.version.as_deref().or(receipt.etag.as_deref()).unwrap_or("-");
        let sk = format!("RECEIPT#{}#{}#{version}", receipt.kind, digest([receipt.path.as_str()]));
        self.store(self.key("S", session, sk), receipt, Expect::Any, now).await?;
        Ok(())
    }

    /// What was read of this session.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn receipts(&self, session: &str, now: Timestamp) -> Result<Vec<Receipt>, TableError> {
        let rows = self.list("S", session, "RECEIPT#", now).await?;
        Ok(rows.into_iter().map(|(_, receipt)| receipt).collect())
    }

    /// The latest window of a dedup key.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn window(&self, key: &str, now: Timestamp) -> Result<Loaded<Window>, TableError> {
        self.load(&self.key("K", key, "WINDOW"), now).await
    }

    /// Writes a window; `false` if somebody else was faster.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn put_window(
        &self,
        key: &str,
        window: &Window,
        expect: Expect,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        self.store(self.key("K", key, "WINDOW"), window, expect, now).await
    }

    /// Whether a finding was seen under a key.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn seen(&self, key: &str, finding: &str, now: Timestamp) -> Result<Loaded<Seen>, TableError> {
        self.load(&self.key("K", key, format!("F#{finding}")), now).await
    }

    /// Findings that were seen under a key, by their ids, at most [`QUERY_LIMIT`] behind the finding `after`; fewer mean
    /// that there are no more.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn all_seen(
        &self,
        key: &str,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<(String, Loaded<Seen>)>, TableError> {
        let (pk, prefix) = (self.partition("K", key), "F#".to_owned());
        let after = after.map(|finding| format!("F#{finding}"));
        let rows = self.table.query(Range { pk, prefix, after, until: None, limit: QUERY_LIMIT }).await?;
        let found = rows.into_iter().map(|row| {
            let value = if row.expires > now { Some(parse(&row)?) } else { None };
            let finding = row.key.sk.strip_prefix("F#").unwrap_or_default().to_owned();
            Ok((finding, Loaded { value, expect: Expect::Version(row.version) }))
        });
        found.collect()
    }

    /// Remembers that a finding was seen: as `expect` says, or else what is there is completed by the sources of `seen`.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn mark_seen(
        &self,
        key: &str,
        finding: &str,
        seen: &Seen,
        expect: Expect,
        now: Timestamp,
    ) -> Result<(), TableError> {
        let place = self.key("K", key, format!("F#{finding}"));
        if self.store(place.clone(), seen, expect, now).await? {
            return Ok(());
        }
        self.change(&place, now, |known: Option<Seen>| {
            let Some(mut known) = known else { return Some(seen.clone()) };
            let count = known.sources.len();
            let missing: Vec<_> =
                seen.sources.iter().filter(|source| !known.sources.contains(source)).cloned().collect();
            known.sources.extend(missing);
            (known.sources.len() > count).then_some(known)
        })
        .await?;
        Ok(())
    }

    /// Notes that something is to be sent at a time. Equal notes of one minute are one.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn put_due(&self, at: Timestamp, due: &Due, now: Timestamp) -> Result<(), TableError> {
        let minute = at.as_second().div_euclid(60).saturating_add(1).saturating_mul(60);
        let name = match due {
            Due::FollowUp { key, opened } => format!("F#{key}#{}", opened.as_millisecond()),
            Due::Digest { scope } => format!("D#{}", digest([scope.as_str()])),
        };
        self.store(self.key("DUE", "", format!("{minute:012}#{name}")), due, Expect::Any, now).await?;
        Ok(())
    }

    /// What is due, oldest first, at most `limit` behind the sort key `after`. Whoever has sent it removes it.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn due(&self, limit: u32, after: Option<String>, now: Timestamp) -> Result<Vec<(Key, Due)>, TableError> {
        let range = Range {
            pk: self.partition("DUE", ""),
            prefix: String::new(),
            after,
            until: Some(format!("{:012}$", now.as_second())),
            limit,
        };
        self.rows(range, now).await
    }

    /// Notes that a record of a session was read, for whoever asks later whether there was such a session.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn note_record(&self, session: &str, now: Timestamp) -> Result<(), TableError> {
        self.store(self.key("REC", &hour(now), session), &session, Expect::Any, now).await?;
        Ok(())
    }

    /// Sessions of which a first record was read in the hour of this time, at most [`QUERY_LIMIT`] behind `after`.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn recorded(
        &self,
        at: Timestamp,
        after: Option<String>,
        now: Timestamp,
    ) -> Result<Vec<String>, TableError> {
        let pk = self.partition("REC", &hour(at));
        let rows = self.rows(Range { pk, prefix: String::new(), after, until: None, limit: QUERY_LIMIT }, now).await?;
        Ok(rows.into_iter().map(|(_, session)| session).collect())
    }

    /// Where the reading of a log stream stands, in the words of whoever reads it.
    ///
    /// # Errors
    /// What the table answers.
    pub async fn stream(&self, group: &str, stream: &str, now: Timestamp) -> Result<Loaded<String>, TableError> {
        self.load(&self.stream_key(group, stream), now).await
    }

    /// Writes where the reading of a log stream stands; `false` if somebody else was faster.
    ///
    /// # Errors
    /// What the table answers; [`TableError::TooLong`] beyond [`table::BODY_LIMIT`].
    pub async fn put_stream(
        &self,
        group: &str,
        stream: &str,
        state: &str,
        expect: Expect,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        self.store(self.stream_key(group, stream), &state, expect, now).await
    }

    fn stream_key(&self, group: &str, stream: &str) -> Key {
        self.key("L", &digest([group, stream]), "STATE")
    }
}

/// How often a row that others change is read again.
pub const ATTEMPTS: u32 = 8;

fn hour(at: Timestamp) -> String {
    at.as_second().div_euclid(3600).to_string()
}

fn parse<T: DeserializeOwned>(row: &Row) -> Result<T, TableError> {
    serde_json::from_str(&row.body).map_err(|_| TableError::Layout)
}
