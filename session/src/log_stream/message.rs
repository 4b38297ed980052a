//! Log events and the agent's messages, parsed.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::session::{Session, SessionId};

/// One log event, however it was delivered; or the agent's message without a log event around it; or a whole batch
/// whose context comes after its events.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogEvent<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    event_id: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "milliseconds")]
    pub(super) timestamp: Option<Timestamp>,
    pub(super) message: Option<Cow<'a, str>>,
    log_group: Option<String>,
    log_group_name: Option<String>,
    log_stream: Option<String>,
    log_stream_name: Option<String>,
    owner: Option<String>,
    session_data: Option<IgnoredAny>,
    pub(super) log_events: Option<IgnoredAny>,
}

/// Where a log event comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Origin {
    pub(super) group: Option<String>,
    pub(super) stream: Option<String>,
    /// Account that owns the log group.
    pub(super) owner: Option<String>,
}

impl LogEvent<'_> {
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref().or(self.event_id.as_deref()).filter(|id| !id.is_empty())
    }

    /// Whether the record is the agent's message itself.
    pub(super) fn is_message(&self) -> bool {
        self.session_data.is_some()
    }

    /// What the event says of its origin, or else `outer`.
    pub(super) fn origin(&self, outer: &Origin) -> Origin {
        let or = |one: &Option<String>, other: &Option<String>, outer: &Option<String>| {
            let known = [one, other, outer].into_iter().flatten().find(|name| !name.is_empty());
            known.cloned()
        };
        Origin {
            group: or(&self.log_group, &self.log_group_name, &outer.group),
            stream: or(&self.log_stream, &self.log_stream_name, &outer.stream),
            owner: or(&self.owner, &None, &outer.owner),
        }
    }
}

impl Origin {
    /// Reads the start of the object around a list: `{"messageType":…,"logEvents":[`.
    pub(super) fn of_head(head: &[u8]) -> Self {
        let whole = [head, b"]}"].concat();
        let event: LogEvent<'_> = serde_json::from_slice(&whole).unwrap_or_default();
        event.origin(&Self::default())
    }

    /// The session that the agent names its log stream after.
    pub(super) fn session(&self) -> Session {
        let id = self.stream.as_deref().and_then(SessionId::parse);
        Session { id, account: self.owner.clone(), ..Session::default() }
    }
}

/// The agent's message of version 1.0 (`agent/agentlogstocloudwatch/cloudwatchlogspublisher/cloudwatchlogsservice.go`,
/// `CloudWatchMessage`, at amazon-ssm-agent commit 1c217c89b42d).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    event_time: Option<String>,
    aws_region: Option<String>,
    target: Option<Target>,
    user_identity: Option<UserIdentity>,
    run_as_user: Option<String>,
    pub(super) session_id: Option<String>,
    #[serde(borrow)]
    session_data: Option<Vec<Option<Cow<'a, str>>>>,
}

#[derive(Deserialize)]
struct Target {
    id: Option<String>,
}

#[derive(Deserialize)]
struct UserIdentity {
    arn: Option<String>,
}

impl<'a> Message<'a> {
    /// Reads a message; `None` if it is not the agent's.
    pub(super) fn parse(json: &'a [u8]) -> Option<Self> {
        let message: Self = serde_json::from_slice(json).ok()?;
        (message.session_data.is_some() || message.session_id.is_some()).then_some(message)
    }

    pub(super) fn at(&self) -> Option<Timestamp> {
        self.event_time.as_deref()?.parse().ok()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.session_data.iter().flatten().map(|line| line.as_deref().unwrap_or_default())
    }

    /// Who, where, run as whom.
    pub(super) fn session(&self) -> Session {
        let text = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
        let principal = text(self.user_identity.as_ref().and_then(|identity| identity.arn.as_ref()));
        Session {
            id: self.session_id.as_deref().and_then(SessionId::parse),
            account: principal.as_deref().and_then(account).map(str::to_owned),
            principal,
            target: text(self.target.as_ref().and_then(|target| target.id.as_ref())),
            region: text(self.aws_region.as_ref()),
            run_as: text(self.run_as_user.as_ref()),
            ..Session::default()
        }
    }
}

/// The account in an ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty())
}

/// Milliseconds since the epoch, as a number or as text; anything else is not known.
fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    deserializer.deserialize_any(Milliseconds)
}

struct Milliseconds;

impl<'de> Visitor<'de> for Milliseconds {
    type Value = Option<Timestamp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("milliseconds since the epoch")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Timestamp::from_millisecond(value).ok())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).ok().and_then(|value| Timestamp::from_millisecond(value).ok()))
    }

    #[allow(clippy::cast_possible_truncation, reason = "the cast saturates, and what is out of range is no time")]
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Timestamp::from_millisecond(value as i64).ok())
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        let number = value.parse().ok().and_then(|value| Timestamp::from_millisecond(value).ok());
        Ok(number.or_else(|| value.parse().ok()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
