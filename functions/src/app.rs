//! What an execution environment keeps from one invocation to the next.

use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use warden_rules::mask::Masker;
use warden_rules::{RuleSet, library};

use crate::audit::{Origin, Policy};
use crate::clients::Clients;
use crate::config::{Config, Function, Place};
use crate::handler::backfill::{Results, S3Results};
use crate::history::{CloudWatch, History};
use crate::ledger::Ledger;
use crate::ledger::dynamo::Dynamo;
use crate::ledger::table::Table;
use crate::metrics::{Metric, Metrics};
use crate::object::{S3, Store};
use crate::outbox::{Limits, Outbox, OutboxError};
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
    /// Masks secrets.
    pub masker: Masker,
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
}

impl App {
    /// On the AWS services that the configuration names, with the embedded rules.
    pub fn new(config: Config) -> Self {
        let clients = Arc::new(Clients::default());
        let table: Arc<dyn Table> = Arc::new(Dynamo::new(clients.clone(), &config.table));
        let sinks = Sinks::of(&config, &clients);
        let store = Box::new(S3(clients.clone()));
        let rules = shipped::rules().unwrap_or_else(|_| library::load().set);
        Self::on(config, clients, table, sinks, store, Arc::new(rules))
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
            masker: Masker::new(&config.mask_key.0),
            rules: Mutex::new(rules),
            metrics: Mutex::default(),
            config,
            clients,
            sinks,
            store,
        }
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
            masker: &self.masker,
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
        let own = |path: &str| {
            let (place, rest) = path.split_once("://")?;
            match place {
                "s3" => rest.split_once('/').map(|(bucket, key)| refused.is_object(bucket, key)),
                "cloudwatch" => Some(refused.log_groups.iter().any(|group| {
                    let rest = rest.strip_prefix(group.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })),
                _ => None,
            }
        };
        own(&origin.path).unwrap_or_default()
    }

    /// Adds to a metric of the invocation.
    pub fn count(&self, metric: Metric, count: u64) {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).add(metric, count);
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
