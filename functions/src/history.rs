//! What a log stream held before: asked for only where something may be missing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use warden_aws::FetchError;
use warden_aws::logs::{LogEvents, Span};

use crate::clients::Clients;
use crate::follow::Gap;
use crate::source::LogEvent;

/// Most pages that are asked for over one gap.
pub const PAGES_LIMIT: usize = 12;

/// Most bytes of messages that are read over one gap.
pub const BYTES_LIMIT: usize = 12 * 1024 * 1024;

/// An answer that is still to come.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<Past, FetchError>> + Send + 'a>>;

/// Events of a gap, oldest first; they have no ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Events.
    pub events: Vec<LogEvent>,
    /// Whether a limit was reached: what comes after them is not here.
    pub cut: bool,
}

/// Where log events are kept.
pub trait History: std::fmt::Debug + Send + Sync {
    /// The events of a stream in a gap.
    fn between<'a>(&'a self, group: &'a str, stream: &'a str, gap: Gap) -> Pending<'a>;
}

/// CloudWatch Logs.
#[derive(Debug)]
pub struct CloudWatch(pub Arc<Clients>);

impl History for CloudWatch {
    fn between<'a>(&'a self, group: &'a str, stream: &'a str, gap: Gap) -> Pending<'a> {
        Box::pin(async move {
            let client = LogEvents::new(self.0.config().await);
            let span = Span { from: gap.from, until: Some(gap.until), pages: PAGES_LIMIT, bytes: BYTES_LIMIT };
            let page = client.read(group, stream, span).await?;
            let event = |event: warden_aws::logs::LogEvent| LogEvent {
                id: String::new(),
                at: event.timestamp.and_then(|at| Timestamp::from_millisecond(at).ok()),
                message: event.message,
            };
            Ok(Past { events: page.events.into_iter().map(event).collect(), cut: page.cut })
        })
    }
}

/// A stream in memory, for tests: it fails when it is told to. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryHistory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<LogEvent>,
    asked: Vec<Gap>,
    failure: Option<FetchError>,
}

impl MemoryHistory {
    /// Stores events, in the order of the stream.
    pub fn put(&self, events: &[LogEvent]) {
        self.state().events = events.to_vec();
    }

    /// Makes every call fail from now on, or none.
    pub fn fail(&self, error: impl Into<Option<FetchError>>) {
        self.state().failure = error.into();
    }

    /// What was asked for.
    pub fn asked(&self) -> Vec<Gap> {
        self.state().asked.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History for MemoryHistory {
    fn between<'a>(&'a self, _group: &'a str, _stream: &'a str, gap: Gap) -> Pending<'a> {
        Box::pin(async move {
            let mut state = self.state();
            state.asked.push(gap);
            if let Some(error) = &state.failure {
                return Err(error.clone());
            }
            let inside = |event: &&LogEvent| {
                let at = event.at.map_or(0, Timestamp::as_millisecond);
                gap.from.is_none_or(|from| at >= from) && at < gap.until
            };
            let bare = |event: &LogEvent| LogEvent { id: String::new(), ..event.clone() };
            Ok(Past { events: state.events.iter().filter(inside).map(bare).collect(), cut: false })
        })
    }
}
