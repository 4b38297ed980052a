//! A sink in memory, for tests: it fails when it is told to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Sending, Sink, SinkError};
use crate::alert::Alert;

/// A sink that keeps what it takes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    name: Option<&'static str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    alerts: Vec<Alert>,
    refuse: u32,
}

impl Recorded {
    /// One of another name than `recorded`.
    pub fn named(name: &'static str) -> Self {
        Self { name: Some(name), ..Self::default() }
    }

    /// What it has taken.
    pub fn alerts(&self) -> Vec<Alert> {
        self.state().alerts.clone()
    }

    /// Makes the next alerts fail.
    pub fn refuse(&self, next: u32) {
        self.state().refuse = next;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Recorded {
    fn name(&self) -> &'static str {
        self.name.unwrap_or("recorded")
    }

    fn send<'a>(&'a self, alert: &'a Alert) -> Sending<'a> {
        Box::pin(async move {
            let mut state = self.state();
            if state.refuse > 0 {
                state.refuse -= 1;
                return Err(SinkError { sink: self.name(), code: "Refused".to_owned() });
            }
            state.alerts.push(alert.clone());
            Ok(())
        })
    }
}
