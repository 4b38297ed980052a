//! Session preferences: what the document `SSM-SessionManagerRunShell` says of logging, and what a change takes away.
//!
//! Format: Systems Manager user guide, "Session document schema"; the agent reads booleans as such or as text
//! (amazon-ssm-agent `agent/contracts/model.go`, `SessionInputs`, at commit 1c217c89b42d).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use warden_rules::Level;

/// Name of the document. There is one for each account and region, if anybody saved preferences.
pub const DOCUMENT: &str = "SSM-SessionManagerRunShell";

/// The inputs of a session document, as far as they matter here. An empty text is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools, reason = "they are the document's")]
pub struct Preferences {
    /// Whether there is a document at all.
    pub exists: bool,
    /// Bucket of the transcripts.
    pub bucket: String,
    /// Prefix of their keys.
    pub prefix: String,
    /// Log group.
    pub log_group: String,
    /// Whether lines are sent to the log group as they appear.
    pub streaming: bool,
    /// Whether transcripts go only to an encrypted bucket.
    pub bucket_encryption: bool,
    /// Whether log events go only to an encrypted log group.
    pub log_group_encryption: bool,
    /// Key of the data channel.
    pub kms_key: String,
    /// Whether sessions run as a user of the operating system.
    pub run_as: bool,
    /// Which, if no tag says so.
    pub run_as_user: String,
    /// Minutes after which an idle session ends.
    pub idle_minutes: Option<u32>,
    /// Minutes after which any session ends.
    pub longest_minutes: Option<u32>,
    /// What the agent types into each shell, Linux and Windows.
    pub profile: [String; 2],
}

/// Something that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How much it matters.
    pub level: Level,
    /// A sentence of ours.
    pub sentence: String,
}

/// Idle time of sessions whose preferences name none, in minutes (user guide, "Specify an idle session timeout value").
const DEFAULT_IDLE: u32 = 20;

impl Preferences {
    /// Reads a document's content; `None` for what is no session document.
    ///
    /// ```
    /// use warden_functions::preferences::Preferences;
    /// let content = r#"{"schemaVersion":"1.0","sessionType":"Standard_Stream","inputs":{"s3BucketName":"logs","cloudWatchStreamingEnabled":true}}"#;
    /// let preferences = Preferences::parse(content).unwrap();
    /// assert!(preferences.streaming && preferences.bucket == "logs");
    /// ```
    pub fn parse(content: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(content).ok()?;
        let inputs = document.get("inputs")?.as_object()?;
        let text = |name: &str| inputs.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let flag = |name: &str| match inputs.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        };
        let minutes = |name: &str| match inputs.get(name)? {
            Value::String(text) => text.trim().parse().ok(),
            number => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        let profile = |name: &str| {
            let profile = inputs.get("shellProfile").and_then(|profile| profile.get(name));
            profile.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Some(Self {
            exists: true,
            bucket: text("s3BucketName"),
            prefix: text("s3KeyPrefix"),
            log_group: text("cloudWatchLogGroupName"),
            // The agent converts texts of the other flags, not of this one.
            streaming: inputs.get("cloudWatchStreamingEnabled") == Some(&Value::Bool(true)),
            bucket_encryption: flag("s3EncryptionEnabled"),
            log_group_encryption: flag("cloudWatchEncryptionEnabled"),
            kms_key: text("kmsKeyId"),
            run_as: flag("runAsEnabled"),
            run_as_user: text("runAsDefaultUser"),
            idle_minutes: minutes("idleSessionTimeout"),
            longest_minutes: minutes("maxSessionDuration"),
            profile: [profile("linux"), profile("windows")],
        })
    }

    /// Whether no session of this document is recorded anywhere.
    pub fn records_nothing(&self) -> bool {
        self.bucket.is_empty() && self.log_group.is_empty()
    }

    /// What is different since `before`, what takes away first.
    pub fn changes(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut note = |level, sentence: String| changes.push(Change { level, sentence });
        if before.exists && !self.exists {
            note(Level::High, "The preferences document is gone: sessions are recorded nowhere.".to_owned());
            return changes;
        }
        place(&mut note, "S3 bucket of the transcripts", &before.bucket, &self.bucket);
        place(&mut note, "CloudWatch log group", &before.log_group, &self.log_group);
        if before.prefix != self.prefix {
            note(
                Level::Medium,
                format!("The prefix of the transcripts was {:?}, and is {:?}.", before.prefix, self.prefix),
            );
        }
        let flags = [
            ("Streaming to the log group", Level::High, before.streaming, self.streaming),
            ("The demand for an encrypted bucket", Level::Medium, before.bucket_encryption, self.bucket_encryption),
            (
                "The demand for an encrypted log group",
                Level::Medium,
                before.log_group_encryption,
                self.log_group_encryption,
            ),
            ("Run As", Level::High, before.run_as, self.run_as),
        ];
        for (what, level, before, now) in flags {
            match (before, now) {
                (true, false) => note(level, format!("{what} was switched off.")),
                (false, true) => note(Level::Informational, format!("{what} was switched on.")),
                _ => {}
            }
        }
        place(&mut note, "KMS key of the data channel", &before.kms_key, &self.kms_key);
        if before.run_as_user != self.run_as_user {
            let (was, is) = (&before.run_as_user, &self.run_as_user);
            note(Level::High, format!("The user that sessions run as was {was:?}, and is {is:?}."));
        }
        let idle = |preferences: &Self| preferences.idle_minutes.unwrap_or(DEFAULT_IDLE);
        longer(&mut note, "An idle session ends after", Some(idle(before)), Some(idle(self)));
        longer(&mut note, "A session ends after", before.longest_minutes, self.longest_minutes);
        if before.profile != self.profile {
            note(Level::Medium, "What the agent types into each shell (shellProfile) was changed.".to_owned());
        }
        changes.sort_by_key(|change| std::cmp::Reverse(change.level));
        changes
    }
}

/// A name that is gone takes everything with it; another one may be out of our sight.
fn place(note: &mut impl FnMut(Level, String), what: &str, before: &str, now: &str) {
    match (before, now) {
        (before, now) if before == now => {}
        ("", now) => note(Level::Informational, format!("The {what} is now {now:?}; there was none.")),
        (before, "") => note(Level::High, format!("The {what} was {before:?}; now there is none.")),
        (before, now) => note(Level::High, format!("The {what} was {before:?}, and is {now:?}.")),
    }
}

fn longer(note: &mut impl FnMut(Level, String), what: &str, before: Option<u32>, now: Option<u32>) {
    let text = |minutes: Option<u32>| minutes.map_or("never".to_owned(), |minutes| format!("{minutes} minutes"));
    let weaker = now.unwrap_or(u32::MAX) > before.unwrap_or(u32::MAX);
    if before != now {
        let level = if weaker { Level::Medium } else { Level::Informational };
        note(level, format!("{what}: {}; it was {}.", text(now), text(before)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a str, &'a dyn Fn(&mut Preferences), Option<(Level, &'a str)>);

    #[test]
    fn what_a_change_takes_away_is_said() {
        let good = Preferences {
            exists: true,
            bucket: "logs".to_owned(),
            log_group: "/ssm".to_owned(),
            streaming: true,
            kms_key: "key".to_owned(),
            run_as: true,
            run_as_user: "operator".to_owned(),
            idle_minutes: Some(10),
            longest_minutes: Some(60),
            ..Preferences::default()
        };
        let rows: &[Row<'_>] = &[
            ("nothing", &|_| {}, None),
            ("gone", &|new| *new = Preferences::default(), Some((Level::High, "recorded nowhere"))),
            ("no bucket", &|new| new.bucket.clear(), Some((Level::High, "now there is none"))),
            ("another bucket", &|new| new.bucket = "mine".into(), Some((Level::High, "\"mine\""))),
            ("no log group", &|new| new.log_group.clear(), Some((Level::High, "CloudWatch log group was"))),
            ("no streaming", &|new| new.streaming = false, Some((Level::High, "Streaming"))),
            ("no key", &|new| new.kms_key.clear(), Some((Level::High, "KMS key"))),
            ("no run as", &|new| new.run_as = false, Some((Level::High, "Run As was switched off"))),
            ("another user", &|new| new.run_as_user = "root".into(), Some((Level::High, "\"root\""))),
            ("longer idle", &|new| new.idle_minutes = Some(60), Some((Level::Medium, "60 minutes; it was 10"))),
            ("default idle", &|new| new.idle_minutes = None, Some((Level::Medium, "20 minutes"))),
            ("shorter idle", &|new| new.idle_minutes = Some(5), Some((Level::Informational, "5 minutes"))),
            ("no end", &|new| new.longest_minutes = None, Some((Level::Medium, "never"))),
            ("profile", &|new| new.profile[0] = "exec zsh".into(), Some((Level::Medium, "shellProfile"))),
        ];
        for (name, change, expected) in rows {
            let mut new = good.clone();
            change(&mut new);
            let changes = new.changes(&good);
            assert_eq!(changes.len(), usize::from(expected.is_some()), "{name}: {changes:?}");
            if let (Some(change), Some((level, part))) = (changes.first(), expected) {
                assert!(change.level == *level && change.sentence.contains(part), "{name}: {change:?}");
            }
        }
    }

    #[test]
    fn booleans_may_be_text() {
        let content = r#"{"inputs":{"runAsEnabled":"true","s3EncryptionEnabled":"False","idleSessionTimeout":"15","maxSessionDuration":""}}"#;
        let read = Preferences::parse(content).unwrap();
        assert!(read.run_as && !read.bucket_encryption && read.records_nothing());
        assert_eq!((read.idle_minutes, read.longest_minutes), (Some(15), None));
        assert_eq!(Preferences::parse("{}"), None);
    }
}
