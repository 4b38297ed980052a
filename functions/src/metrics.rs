//! Metrics, as CloudWatch reads them out of the log (embedded metric format).
//!
//! Namespace `SessionWarden`. Every metric has the dimension `Function`; `Findings` is given again with the dimensions
//! `Function` and `Rule`, for alarms on one rule.
//!
//! | metric | unit | what it counts |
//! |---|---|---|
//! | `Records` | Count | records that were delivered |
//! | `RecordsFailed` | Count | of those, not done: they come again, or go to the dead-letter queue |
//! | `RecordsRefused` | Count | of those, own outputs: never read |
//! | `Sessions` | Count | sessions whose records were read |
//! | `Commands` | Count | commands read |
//! | `ApiCalls` | Count | API calls read |
//! | `Findings` | Count | matches of rules, of whatever level |
//! | `AlertsSent` | Count | alerts that every sink has taken |
//! | `AlertsMerged` | Count | findings that were seen before, or whose command was |
//! | `AlertsListed` | Count | findings that a follow-up lists |
//! | `AlertsWithheld` | Count | alerts that a cap put into a digest |
//! | `IdentityConflicts` | Count | records whose identity disagrees with what is known |
//! | `Incomplete` | Count | records of which something is missing |
//! | `BytesRead` | Bytes | bytes of records, as they are stored |
//! | `Duration` | Milliseconds | time of the invocation |
//!
//! Format: CloudWatch user guide, "Specification: Embedded metric format".

use std::collections::BTreeMap;
use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Namespace of the metrics.
pub const NAMESPACE: &str = "SessionWarden";

/// Most rules that have a metric of their own in one invocation.
const RULES_LIMIT: usize = 100;

macro_rules! metrics {
    ($($name:ident $unit:literal),* $(,)?) => {
        /// One metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the module's table says it")]
        pub enum Metric { $($name),* }

        impl Metric {
            /// Every metric.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// Its unit.
            pub fn unit(self) -> &'static str {
                match self { $(Self::$name => $unit),* }
            }
        }
    };
}

metrics! {
    Records "Count",
    RecordsFailed "Count",
    RecordsRefused "Count",
    Sessions "Count",
    Commands "Count",
    ApiCalls "Count",
    Findings "Count",
    AlertsSent "Count",
    AlertsMerged "Count",
    AlertsListed "Count",
    AlertsWithheld "Count",
    IdentityConflicts "Count",
    Incomplete "Count",
    BytesRead "Bytes",
    Duration "Milliseconds",
}

/// Metrics of one invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    counts: BTreeMap<Metric, u64>,
    rules: BTreeMap<String, u64>,
}

impl Metrics {
    /// Adds to a metric.
    pub fn add(&mut self, metric: Metric, count: u64) {
        let sum = self.counts.entry(metric).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Adds findings of a rule.
    pub fn add_findings(&mut self, rule: &str, count: u64) {
        self.add(Metric::Findings, count);
        if self.rules.contains_key(rule) || self.rules.len() < RULES_LIMIT {
            *self.rules.entry(rule.to_owned()).or_default() += count;
        }
    }

    /// How much it is so far.
    pub fn count(&self, metric: Metric) -> u64 {
        self.counts.get(&metric).copied().unwrap_or_default()
    }

    /// The lines of the log: one, and one for each rule.
    pub fn lines(&self, function: &str, at: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.counts.is_empty() {
            let metrics: Vec<_> = self.counts.iter().map(|(metric, count)| (*metric, *count)).collect();
            lines.push(line(&[("Function", function)], &metrics, at));
        }
        for (rule, count) in &self.rules {
            lines.push(line(&[("Function", function), ("Rule", rule)], &[(Metric::Findings, *count)], at));
        }
        lines
    }

    /// Writes the lines to the log.
    pub fn write(&self, function: &str, at: Timestamp) {
        let mut out = std::io::stdout().lock();
        for line in self.lines(function, at) {
            // A log that takes no lines takes no complaint either.
            let _ = writeln!(out, "{line}");
        }
    }
}

fn line(dimensions: &[(&str, &str)], metrics: &[(Metric, u64)], at: Timestamp) -> String {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let defined: Vec<Value> =
        metrics.iter().map(|(metric, _)| json!({"Name": metric.name(), "Unit": metric.unit()})).collect();
    let mut line = Map::new();
    let directive = json!([{"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": defined}]);
    line.insert("_aws".to_owned(), json!({"Timestamp": at.as_millisecond(), "CloudWatchMetrics": directive}));
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(metrics.iter().map(|(metric, count)| (metric.name().to_owned(), json!(count))));
    Value::Object(line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_embedded_format() {
        let mut metrics = Metrics::default();
        metrics.add(Metric::BytesRead, 10);
        metrics.add_findings("rule-1", 2);
        let at = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        assert_eq!(
            metrics.lines("logs", at),
            [
                r#"{"_aws":{"Timestamp":1700000000123,"CloudWatchMetrics":[{"Namespace":"SessionWarden","Dimensions":[["Function"]],"Metrics":[{"Name":"Findings","Unit":"Count"},{"Name":"BytesRead","Unit":"Bytes"}]}]},"Function":"logs","Findings":2,"BytesRead":10}"#,
                r#"{"_aws":{"Timestamp":1700000000123,"CloudWatchMetrics":[{"Namespace":"SessionWarden","Dimensions":[["Function","Rule"]],"Metrics":[{"Name":"Findings","Unit":"Count"}]}]},"Function":"logs","Rule":"rule-1","Findings":2}"#,
            ]
        );
    }

    #[test]
    fn the_table_names_every_metric() {
        let table = include_str!("metrics.rs");
        for metric in Metric::ALL {
            assert!(table.contains(&format!("//! | `{}` | {} |", metric.name(), metric.unit())), "{}", metric.name());
        }
    }
}
