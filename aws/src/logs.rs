//! Log events of one stream between two times, page by page.

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;

use crate::error::FetchError;

/// Reads log events.
#[derive(Clone, Debug)]
pub struct LogEvents {
    client: Client,
}

/// Which events of a stream are read, and how many at most: GetLogEvents is throttled for the whole account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Milliseconds since 1970 of the earliest event; `None` = the stream's first.
    pub from: Option<i64>,
    /// Milliseconds since 1970 before which the events lie; `None` = up to the stream's last.
    pub until: Option<i64>,
    /// Most pages that are asked for; a page has at most 1 MB or 10,000 events, and some are empty.
    pub pages: usize,
    /// Most bytes of messages.
    pub bytes: usize,
}

/// One log event, as GetLogEvents gives it: without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Text.
    pub message: String,
}

/// Events in the order of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Events.
    pub events: Vec<LogEvent>,
    /// Whether a limit was reached before the last event.
    pub cut: bool,
}

impl LogEvents {
    /// With the client that this configuration makes.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Names of the group's streams that begin with a prefix, in their order; at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// What the service answers, after the SDK's own retries.
    pub async fn streams(&self, group: &str, prefix: &str, limit: usize) -> Result<(Vec<String>, bool), FetchError> {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let request = self.client.describe_log_streams().log_group_name(group).set_log_stream_name_prefix(prefix);
        let mut pages = request.into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(stream) = pages.next().await {
            let stream = stream.map_err(|error| FetchError::of(&error))?;
            if names.len() >= limit {
                return Ok((names, true));
            }
            names.extend(stream.log_stream_name);
        }
        Ok((names, false))
    }

    /// One page of a stream from its start: what `token` of the page before says, or the first one; with the token of the
    /// next page, `None` behind the last.
    ///
    /// # Errors
    /// What the service answers, after the SDK's own retries.
    pub async fn page(
        &self,
        group: &str,
        stream: &str,
        token: Option<String>,
    ) -> Result<(Vec<LogEvent>, Option<String>), FetchError> {
        let request = self.client.get_log_events().log_group_name(group).log_stream_name(stream).start_from_head(true);
        let answer = request.set_next_token(token.clone()).send().await.map_err(|error| FetchError::of(&error))?;
        let event = |event: aws_sdk_cloudwatchlogs::types::OutputLogEvent| LogEvent {
            timestamp: event.timestamp,
            message: event.message.unwrap_or_default(),
        };
        let events = answer.events.unwrap_or_default().into_iter().map(event).collect();
        Ok((events, answer.next_forward_token.filter(|next| token.as_ref() != Some(next))))
    }

    /// The events of a span, oldest first.
    ///
    /// The service says that nothing follows by giving back the token that it was given ("GetLogEvents", CloudWatch Logs
    /// API reference); an empty page says nothing.
    ///
    /// # Errors
    /// What the service answers, after the SDK's own retries.
    pub async fn read(&self, group: &str, stream: &str, span: Span) -> Result<Page, FetchError> {
        let (mut page, mut room, mut token) = (Page::default(), span.bytes, None::<String>);
        for _ in 0..span.pages {
            let request = self.client.get_log_events().log_group_name(group).log_stream_name(stream);
            let request = request.set_start_time(span.from).set_end_time(span.until).start_from_head(true);
            let answer = request.set_next_token(token.clone()).send().await.map_err(|error| FetchError::of(&error))?;
            for event in answer.events.unwrap_or_default() {
                let message = event.message.unwrap_or_default();
                let Some(left) = room.checked_sub(message.len()) else {
                    page.cut = true;
                    return Ok(page);
                };
                room = left;
                page.events.push(LogEvent { timestamp: event.timestamp, message });
            }
            match answer.next_forward_token {
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                _ => return Ok(page),
            }
        }
        page.cut = true;
        Ok(page)
    }
}
