//! What an execution environment keeps from one invocation to the next.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use warden_rules::mask::Masker;
use warden_rules::{PackError, RuleSet};

use crate::audit::{Origin, Policy};
use crate::clients::Clients;
use crate::config::{Config, Function, Place};
use crate::handler::backfill::{Results, S3Results};
use crate::history::{CloudWatch, History};
use crate::ledger::dynamo::Dynamo;
use crate::ledger::table::{Table, TableError};
use crate::ledger::{Ledger, random_key};
use crate::metrics::{Metric, Metrics};
use crate::object::{S3, Store};
use crate::outbox::{Limits, Outbox, OutboxError, Raised};
use crate::rule_store::{Folder, RuleStore, S3Folder};
use crate::shipped;
use crate::sink::Sinks;
use crate::ssm::{Service, Sessions};

/// Everything that handlers work with. Clients are made when they are first needed.
#[derive(Debug)]
pub struct App {
    /// Configuration.
    pub config: Config,
    /// AWS clients.
    pub clients: Arc<Clients>,
    /// What outlives an invocation.
    pub ledger: Ledger,
    /// Where alerts go.
    pub sinks: Sinks,
    /// Where objects are read.
    pub store: Box<dyn Store>,
    /// Where log events are kept.
    pub history: Box<dyn History>,
    /// Sessions that the service knows.
    pub sessions: Box<dyn Sessions>,
    /// Where results of backfills are stored.
    pub results: Box<dyn Results>,
    /// Where rules come from.
    pub rule_store: RuleStore,
    masker: OnceLock<Masker>,
    rules: Mutex<Arc<RuleSet>>,
    metrics: Mutex<Metrics>,
}

/// One invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Request id.
    pub id: String,
    /// When the function is stopped.
    pub deadline: Timestamp,
    /// The clock.
    pub clock: fn() -> Timestamp,
}

/// What must be left of a function's time to begin with another record.
const RESERVE: SignedDuration = SignedDuration::from_secs(3);

impl Invocation {
    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Whether there is no time for another record.
    pub fn is_over(&self) -> bool {
        self.deadline.duration_since(self.now()) < RESERVE
    }

    /// The time until [it is over](Self::is_over).
    pub fn left(&self) -> Duration {
        let left = self.deadline.duration_since(self.now()) - RESERVE;
        Duration::try_from(left).unwrap_or_default()
    }
}

impl App {
    /// On the AWS services that the configuration names, with the embedded rules.
    ///
    /// # Errors
    /// Rules that are not what the build made: a damaged binary.
    pub fn new(config: Config) -> Result<Self, PackError> {
        let clients = Arc::new(Clients::default());
        let table: Arc<dyn Table> = Arc::new(Dynamo::new(clients.clone(), &config.table));
        let sinks = Sinks::of(&config, &clients);
        let store = Box::new(S3(clients.clone()));
        Ok(Self::on(config, clients, table, sinks, store, Arc::new(shipped::rules()?)))
    }

    /// On other services than AWS's: what tests do.
    pub fn on(
        config: Config,
        clients: Arc<Clients>,
        table: Arc<dyn Table>,
        sinks: Sinks,
        store: Box<dyn Store>,
        rules: Arc<RuleSet>,
    ) -> Self {
        let ledger = Ledger::new(table, &config.account, &config.region, config.retention);
        let folder = |place: &Place| Arc::new(S3Folder::new(clients.clone(), place.clone())) as Arc<dyn Folder>;
        // A backfill only reads: it leaves the care for the rules to the functions that watch.
        let keeps = (config.function != Function::Backfill).then(|| ledger.clone());
        Self {
            history: Box::new(CloudWatch(clients.clone())),
            sessions: Box::new(Service::new(clients.clone(), &config.account, &config.region)),
            results: Box::new(S3Results(clients.clone())),
            rule_store: RuleStore::new(config.rules.as_ref().map(folder), keeps),
            ledger,
            masker: config.mask_key.as_ref().map(|key| Masker::new(&key.0)).map(OnceLock::from).unwrap_or_default(),
            rules: Mutex::new(rules),
            metrics: Mutex::default(),
            config,
            clients,
            sinks,
            store,
        }
    }

    /// Learns the key of the digests that stand for secrets from the ledger, if none is configured.
    ///
    /// # Errors
    /// What the ledger answers.
    pub async fn learn_mask_key(&self, now: Timestamp) -> Result<(), TableError> {
        if self.masker.get().is_some() {
            return Ok(());
        }
        // A backfill may only read the ledger, if it has one at all.
        let key = match (self.config.function, self.config.table.is_empty()) {
            (Function::Backfill, true) => None,
            (Function::Backfill, false) => self.ledger.mask_key(now).await?,
            _ => Some(self.ledger.made_mask_key(now).await?),
        };
        if let Some(key) = key {
            self.masker.get_or_init(|| Masker::new(&key));
        }
        Ok(())
    }

    /// Masks secrets; with a key of its own if none was [learned](Self::learn_mask_key).
    pub fn masker(&self) -> &Masker {
        self.masker.get_or_init(|| Masker::new(&random_key()))
    }

    /// The rules in use.
    pub fn rules(&self) -> Arc<RuleSet> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the rules, all at once; audits that have begun go on with the old ones.
    pub fn set_rules(&self, rules: Arc<RuleSet>) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Takes the rules of the folder, if it has others now, and tells the operators what has to be told.
    ///
    /// # Errors
    /// What ledger and sinks answer; the rules are in use all the same.
    pub async fn refresh_rules(&self, outbox: &Outbox<'_>, now: Timestamp) -> Result<(), OutboxError> {
        if self.config.rules.is_none() {
            return Ok(());
        }
        let (rules, notices) = self.rule_store.rules(now).await;
        self.set_rules(rules);
        for notice in notices {
            outbox.raise(&notice, now).await?;
        }
        self.rule_store.confirm(now).await;
        Ok(())
    }

    /// What audits go by. `rules` must outlive them: take them once for an invocation.
    pub fn policy<'a>(&'a self, rules: &'a RuleSet) -> Policy<'a> {
        Policy {
            rules,
            masker: self.masker(),
            level: self.config.level,
            window: self.config.window,
            targets: self.config.targets.as_ref(),
        }
    }

    /// An outbox for an invocation.
    pub fn outbox(&self, invocation: &Invocation) -> Outbox<'_> {
        let limits = Limits {
            follow_up: self.config.follow_up,
            rule_cap: self.config.rule_cap,
            session_cap: self.config.session_cap,
        };
        Outbox::new(&self.ledger, &self.sinks, limits, &invocation.id, invocation.deadline)
    }

    /// Whether a record is one of our own outputs: reading it would never end.
    pub fn is_refused(&self, origin: &Origin) -> bool {
        let refused = &self.config.refused;
        match origin.path.split_once("://") {
            Some(("s3", rest)) => rest.split_once('/').is_some_and(|(bucket, key)| refused.is_object(bucket, key)),
            Some(("cloudwatch", rest)) => refused.is_log_stream(rest),
            _ => false,
        }
    }

    /// Adds to a metric of the invocation.
    pub fn count(&self, metric: Metric, count: u64) {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).add(metric, count);
    }

    /// Counts what became of an observation.
    pub fn count_raised(&self, raised: Raised) {
        let metric = match raised {
            Raised::Sent => Metric::AlertsSent,
            Raised::Merged => Metric::AlertsMerged,
            Raised::Listed => Metric::AlertsListed,
            Raised::Withheld => Metric::AlertsWithheld,
        };
        self.count(metric, 1);
    }

    /// Adds findings of a rule.
    pub fn count_findings(&self, rule: &str, count: u64) {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).add_findings(rule, count);
    }

    /// Takes the metrics of the invocation.
    pub fn take_metrics(&self) -> Metrics {
        std::mem::take(&mut *self.metrics.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
