//! The configuration of a function, read from its environment once; every error is listed.
//!
//! | variable | meaning | if not set |
//! |---|---|---|
//! | `_HANDLER` | which function this is: `cloudtrail`, `transcripts`, `logs`, `reconcile`, `backfill` | error |
//! | `AWS_REGION` | region (set by Lambda) | error |
//! | `WARDEN_ACCOUNT` | account of the deployment, twelve digits | error |
//! | `WARDEN_TABLE` | table of the ledger | error, but for `backfill` |
//! | `WARDEN_MACHINE_TOPIC` | ARN of the topic for programs | none |
//! | `WARDEN_HUMAN_TOPIC` | ARN of the topic for people | none |
//! | `WARDEN_CHAT_TOPIC` | ARN of the topic for Amazon Q in chat applications | none |
//! | `WARDEN_EVENT_BUS` | name or ARN of the event bus | none |
//! | `WARDEN_MACHINE_FORM` | `warden` or `ocsf` (OCSF Detection Finding, class 2004) | `warden` |
//! | `WARDEN_CONTENT` | `full`, or `none`: alerts hold no session text, only pointers to the evidence | `full` |
//! | `WARDEN_MASK_KEY` | key of the digests that stand for masked secrets; the same for all functions | made at random and kept in the ledger |
//! | `WARDEN_LEVEL` | least level that is alerted about | `low` |
//! | `WARDEN_WINDOW` | window of rules that name none: `90s`, `15m`, `1h`, `7d` | `1h` |
//! | `WARDEN_FOLLOW_UP` | how long different commands under one key are gathered before the follow-up | `5m` |
//! | `WARDEN_RULE_CAP` | alerts of one rule in an hour; the rest is in a digest | `100` |
//! | `WARDEN_SESSION_CAP` | alerts about one session; the rest is in a digest | `50` |
//! | `WARDEN_SIZE_CAP` | bytes of an object that are read, stored and decompressed: `1000`, `64KiB`, `512MiB`, `2GiB` | `512MiB` |
//! | `WARDEN_RESPONSE` | `off`, `dry-run` or `on`: whether `response: terminate` ends sessions | `off` |
//! | `WARDEN_RULES` | `s3://BUCKET/PREFIX` of the rules that are loaded at run time | the embedded library |
//! | `WARDEN_TARGETS` | guarded targets, separated by commas: `Warden.TargetInList` | not known |
//! | `WARDEN_REFUSE` | own log groups and `s3://BUCKET/PREFIX` outputs, separated by commas: never read | none |
//! | `WARDEN_OUTPUT` | `s3://BUCKET/PREFIX` for the results of backfills; never read as an input | error for `backfill` |
//! | `WARDEN_RETENTION` | how long the ledger keeps a row | `90d` |
//!
//! At least one topic or the bus is needed, but for `backfill`. Endpoints and credentials are the SDK's own matter
//! (`AWS_ENDPOINT_URL`, …).

use std::collections::BTreeSet;

use jiff::SignedDuration;
use warden_rules::Level;
use warden_session::inflate;

/// What a function is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which function this is.
    pub function: Function,
    /// Account of the deployment.
    pub account: String,
    /// Region.
    pub region: String,
    /// Table of the ledger.
    pub table: String,
    /// Where alerts go.
    pub outlets: Outlets,
    /// Form of machine alerts.
    pub machine_form: MachineForm,
    /// Whether alerts hold session text.
    pub content: Content,
    /// Key of the digests that stand for masked secrets. Never shown.
    pub mask_key: Option<MaskKey>,
    /// Least level that is alerted about.
    pub level: Level,
    /// Window of rules that name none.
    pub window: SignedDuration,
    /// How long different commands are gathered.
    pub follow_up: SignedDuration,
    /// Alerts of one rule in an hour.
    pub rule_cap: u64,
    /// Alerts about one session.
    pub session_cap: u64,
    /// Bytes of an object that are read.
    pub size_cap: u64,
    /// Whether sessions are ended.
    pub response: Response,
    /// Rules that are loaded at run time.
    pub rules: Option<Place>,
    /// Guarded targets.
    pub targets: Option<BTreeSet<String>>,
    /// What is never read.
    pub refused: Refused,
    /// Where results of backfills go.
    pub output: Option<Place>,
    /// How long the ledger keeps a row.
    pub retention: SignedDuration,
}

/// The five functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// API calls.
    Cloudtrail,
    /// S3 transcripts.
    Transcripts,
    /// CloudWatch log streams.
    Logs,
    /// Follow-ups, and what is missing.
    Reconcile,
    /// New rules over old transcripts.
    Backfill,
}

/// Where alerts go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlets {
    /// Topic for programs.
    pub machine: Option<String>,
    /// Topic for people.
    pub human: Option<String>,
    /// Topic for chat applications.
    pub chat: Option<String>,
    /// Event bus.
    pub bus: Option<String>,
}

/// Forms of machine alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineForm {
    /// Our own.
    Warden,
    /// OCSF Detection Finding.
    Ocsf,
}

/// What alerts hold of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Its commands, secrets masked.
    Full,
    /// Nothing but pointers to the evidence.
    None,
}

/// Whether `response: terminate` ends sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Never.
    Off,
    /// Alerts say what would have been done.
    DryRun,
    /// Yes.
    On,
}

/// A place in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bucket.
    pub bucket: String,
    /// Prefix of keys, without a slash at either end; may be empty.
    pub prefix: String,
}

/// Inputs that are our own outputs: reading them would never end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Log groups.
    pub log_groups: Vec<String>,
    /// Places in S3.
    pub places: Vec<Place>,
}

/// A key that no `Debug` shows.
#[derive(Clone)]
pub struct MaskKey(pub Vec<u8>);

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A variable that must be set is not.
    #[error("{name} is not set")]
    Missing {
        /// Variable.
        name: &'static str,
    },
    /// A variable's value is none of those that it may have.
    #[error("{name} is {value:?}; it takes {expected}")]
    Bad {
        /// Variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// No topic and no bus.
    #[error(
        "alerts would go nowhere: set WARDEN_MACHINE_TOPIC, WARDEN_HUMAN_TOPIC, WARDEN_CHAT_TOPIC or WARDEN_EVENT_BUS"
    )]
    NoOutlet,
}

impl Config {
    /// Reads the configuration from a look-up of variables.
    ///
    /// ```
    /// use warden_functions::config::{Config, Function};
    /// let variable = |name: &str| match name {
    ///     "_HANDLER" => Some("transcripts".to_owned()),
    ///     "AWS_REGION" => Some("eu-central-1".to_owned()),
    ///     "WARDEN_ACCOUNT" => Some("111122223333".to_owned()),
    ///     "WARDEN_TABLE" => Some("ledger".to_owned()),
    ///     "WARDEN_HUMAN_TOPIC" => Some("arn:aws:sns:eu-central-1:111122223333:alerts".to_owned()),
    ///     _ => None,
    /// };
    /// let config = Config::read(variable).unwrap();
    /// assert_eq!(config.function, Function::Transcripts);
    /// assert_eq!(config.size_cap, 512 * 1024 * 1024);
    /// assert_eq!(Config::read(|_| None).unwrap_err().len(), 5);
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader { variable: &variable, errors: Vec::new() };
        let config = reader.config();
        match config {
            Some(config) if reader.errors.is_empty() => Ok(config),
            _ => Err(reader.errors),
        }
    }
}

struct Reader<'v> {
    variable: &'v dyn Fn(&str) -> Option<String>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn config(&mut self) -> Option<Config> {
        let function = self.needed("_HANDLER", "cloudtrail, transcripts, logs, reconcile or backfill", function);
        let region = self.needed("AWS_REGION", "a region", |text| Some(text.to_owned()));
        let account = self.needed("WARDEN_ACCOUNT", "twelve digits", account);
        let backfill = function == Some(Function::Backfill);
        let table = self.text("WARDEN_TABLE");
        if table.is_none() && !backfill {
            self.errors.push(ConfigError::Missing { name: "WARDEN_TABLE" });
        }
        let table = table.unwrap_or_default();
        let outlets = self.outlets();
        if outlets == Outlets::default() && !backfill {
            self.errors.push(ConfigError::NoOutlet);
        }
        let output = self.optional("WARDEN_OUTPUT", "s3://BUCKET/PREFIX", place);
        if output.is_none() && backfill {
            self.errors.push(ConfigError::Missing { name: "WARDEN_OUTPUT" });
        }
        let mut refused =
            self.optional("WARDEN_REFUSE", "log groups and s3://BUCKET/PREFIX", refused).unwrap_or_default();
        refused.places.extend(output.clone());
        Some(Config {
            mask_key: self.text("WARDEN_MASK_KEY").map(|key| MaskKey(key.into_bytes())),
            table,
            outlets,
            machine_form: self.chosen("WARDEN_MACHINE_FORM", "warden or ocsf", machine_form, MachineForm::Warden),
            content: self.chosen("WARDEN_CONTENT", "full or none", content, Content::Full),
            level: self.chosen(
                "WARDEN_LEVEL",
                "informational, low, medium, high or critical",
                Level::parse,
                Level::Low,
            ),
            window: self.chosen("WARDEN_WINDOW", DURATION, duration, SignedDuration::from_hours(1)),
            follow_up: self.chosen("WARDEN_FOLLOW_UP", DURATION, duration, SignedDuration::from_mins(5)),
            rule_cap: self.chosen("WARDEN_RULE_CAP", COUNT, count, 100),
            session_cap: self.chosen("WARDEN_SESSION_CAP", COUNT, count, 50),
            size_cap: self.chosen("WARDEN_SIZE_CAP", "bytes, or KiB, MiB, GiB", bytes, inflate::OUTPUT_LIMIT),
            response: self.chosen("WARDEN_RESPONSE", "off, dry-run or on", response, Response::Off),
            rules: self.optional("WARDEN_RULES", "s3://BUCKET/PREFIX", place),
            targets: self.optional("WARDEN_TARGETS", "targets", targets),
            refused,
            output,
            retention: self.chosen("WARDEN_RETENTION", DURATION, duration, SignedDuration::from_hours(90 * 24)),
            function: function?,
            account: account?,
            region: region?,
        })
    }

    fn outlets(&mut self) -> Outlets {
        let topic = "the ARN of an SNS topic";
        Outlets {
            machine: self.optional("WARDEN_MACHINE_TOPIC", topic, sns_topic),
            human: self.optional("WARDEN_HUMAN_TOPIC", topic, sns_topic),
            chat: self.optional("WARDEN_CHAT_TOPIC", topic, sns_topic),
            bus: self.text("WARDEN_EVENT_BUS"),
        }
    }

    /// A variable's value; templates set what is not wanted to nothing.
    fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn optional<T>(&mut self, name: &'static str, expected: &'static str, parse: fn(&str) -> Option<T>) -> Option<T> {
        let value = self.text(name)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.errors.push(ConfigError::Bad { name, value, expected });
        }
        parsed
    }

    fn needed<T>(&mut self, name: &'static str, expected: &'static str, parse: fn(&str) -> Option<T>) -> Option<T> {
        if self.text(name).is_none() {
            self.errors.push(ConfigError::Missing { name });
        }
        self.optional(name, expected, parse)
    }

    fn chosen<T>(&mut self, name: &'static str, expected: &'static str, parse: fn(&str) -> Option<T>, default: T) -> T {
        self.optional(name, expected, parse).unwrap_or(default)
    }
}

const DURATION: &str = "a duration such as 90s, 15m, 1h or 7d";
const COUNT: &str = "a number from 1";

impl Function {
    /// The word that `_HANDLER` uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cloudtrail => "cloudtrail",
            Self::Transcripts => "transcripts",
            Self::Logs => "logs",
            Self::Reconcile => "reconcile",
            Self::Backfill => "backfill",
        }
    }
}

impl Refused {
    /// Whether `GROUP/STREAM` lies in a log group of ours.
    pub fn is_log_stream(&self, path: &str) -> bool {
        let rests = self.log_groups.iter().filter_map(|group| path.strip_prefix(group.as_str()));
        rests.into_iter().any(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether an object is one of ours.
    pub fn is_object(&self, bucket: &str, key: &str) -> bool {
        self.places.iter().any(|place| place.holds(bucket, key))
    }
}

impl Place {
    /// Whether an object lies here.
    pub fn holds(&self, bucket: &str, key: &str) -> bool {
        let rest = key.strip_prefix(self.prefix.as_str());
        self.bucket == bucket
            && rest.is_some_and(|rest| self.prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }
}

impl std::fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskKey")
    }
}

fn function(text: &str) -> Option<Function> {
    use Function::{Backfill, Cloudtrail, Logs, Reconcile, Transcripts};
    [Cloudtrail, Transcripts, Logs, Reconcile, Backfill].into_iter().find(|function| function.as_str() == text)
}

fn account(text: &str) -> Option<String> {
    (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
}

fn sns_topic(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(':').collect();
    (parts.len() == 6 && text.starts_with("arn:") && parts.get(2) == Some(&"sns")).then(|| text.to_owned())
}

fn machine_form(text: &str) -> Option<MachineForm> {
    match text {
        "warden" => Some(MachineForm::Warden),
        "ocsf" => Some(MachineForm::Ocsf),
        _ => None,
    }
}

fn content(text: &str) -> Option<Content> {
    match text {
        "full" => Some(Content::Full),
        "none" => Some(Content::None),
        _ => None,
    }
}

fn response(text: &str) -> Option<Response> {
    match text {
        "off" => Some(Response::Off),
        "dry-run" => Some(Response::DryRun),
        "on" => Some(Response::On),
        _ => None,
    }
}

fn place(text: &str) -> Option<Place> {
    let (bucket, prefix) = text.strip_prefix("s3://")?.split_once('/').unwrap_or((text.strip_prefix("s3://")?, ""));
    (!bucket.is_empty()).then(|| Place { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
}

fn refused(text: &str) -> Option<Refused> {
    let mut refused = Refused::default();
    for item in items(text) {
        if item.starts_with("s3://") {
            refused.places.push(place(item)?);
        } else {
            refused.log_groups.push(item.to_owned());
        }
    }
    Some(refused)
}

#[allow(clippy::unnecessary_wraps, reason = "every variable's parser has this shape")]
fn targets(text: &str) -> Option<BTreeSet<String>> {
    Some(items(text).map(str::to_owned).collect())
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|&count| count > 0)
}

fn duration(text: &str) -> Option<SignedDuration> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let (number, unit) = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    let seconds = number.parse::<u32>().ok().filter(|&number| number > 0)?;
    Some(SignedDuration::from_secs(i64::from(seconds) * unit))
}

fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let scaled = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = scaled.unwrap_or((text, 0));
    number.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &[(&str, &str)]) -> Result<Config, Vec<ConfigError>> {
        let base = [
            ("_HANDLER", "transcripts"),
            ("AWS_REGION", "eu-central-1"),
            ("WARDEN_ACCOUNT", "111122223333"),
            ("WARDEN_TABLE", "ledger"),
            ("WARDEN_EVENT_BUS", "default"),
        ];
        let all: Vec<_> = rows.iter().chain(&base).collect();
        Config::read(|name| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn every_error_is_listed() {
        let wrong = [
            ("WARDEN_ACCOUNT", "12"),
            ("WARDEN_HUMAN_TOPIC", "topic"),
            ("WARDEN_LEVEL", "loud"),
            ("WARDEN_RESPONSE", "yes"),
            ("WARDEN_RULES", "bucket/prefix"),
            ("WARDEN_RULE_CAP", "0"),
            ("WARDEN_SIZE_CAP", "99999999999GiB"),
            ("WARDEN_WINDOW", "1 hour"),
            ("_HANDLER", "bootstrap"),
        ];
        let mut named: Vec<String> = read(&wrong).unwrap_err().iter().map(ToString::to_string).collect();
        named.sort();
        assert_eq!(named.len(), wrong.len(), "{named:#?}");
        for ((name, _), error) in wrong.iter().zip(&named) {
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn values_are_read() {
        let config = read(&[
            ("WARDEN_WINDOW", "15m"),
            ("WARDEN_SIZE_CAP", "2MiB"),
            ("WARDEN_REFUSE", "/aws/lambda/warden, s3://out/results/"),
            ("WARDEN_OUTPUT", ""),
            ("WARDEN_TARGETS", "i-1,i-2"),
            ("WARDEN_MASK_KEY", "not for logs"),
        ])
        .unwrap();
        assert_eq!(config.window, SignedDuration::from_mins(15));
        assert_eq!(config.size_cap, 2 << 20);
        assert!(
            config.refused.is_log_stream("/aws/lambda/warden/1")
                && !config.refused.is_log_stream("/aws/lambda/warden-2/1")
        );
        assert!(config.refused.is_object("out", "results/x.jsonl") && !config.refused.is_object("out", "results-2/x"));
        assert_eq!(config.output, None);
        assert_eq!(config.targets.unwrap().len(), 2);
        assert!(config.mask_key.is_some() && !format!("{:?}", config.mask_key).contains("not for logs"));
    }
}
