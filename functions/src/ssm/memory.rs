//! The service's twin in memory, for tests: it fails when it is told to. Clones share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Described, Known, Pending, Sessions, SsmError, Which};

/// Sessions in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySessions {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    sessions: Vec<Known>,
    document: Option<String>,
    terminated: Vec<String>,
    failure: Option<SsmError>,
}

impl MemorySessions {
    /// Stores a session.
    pub fn put(&self, session: Known) {
        self.state().sessions.push(session);
    }

    /// Forgets the sessions.
    pub fn clear(&self) {
        self.state().sessions.clear();
    }

    /// Stores the content of every document.
    pub fn put_document(&self, content: Option<&str>) {
        self.state().document = content.map(str::to_owned);
    }

    /// Makes every call fail with this code; with `None` no more.
    pub fn fail(&self, code: Option<&str>) {
        self.state().failure = code.map(|code| SsmError { code: code.to_owned() });
    }

    /// Sessions that were asked to end, in order.
    pub fn terminated(&self) -> Vec<String> {
        self.state().terminated.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, SsmError> {
        let mut state = self.state();
        match state.failure.clone() {
            Some(error) => Err(error),
            None => Ok(work(&mut state)),
        }
    }
}

impl Sessions for MemorySessions {
    fn describe<'a>(&'a self, which: &'a Which) -> Pending<'a, Described> {
        Box::pin(async move {
            self.answer(|state| {
                let fits = |known: &&Known| match which {
                    Which::Active => known.facts.ended.is_none(),
                    Which::EndedSince(at) => known.facts.ended.is_some() && known.facts.started >= Some(*at),
                    Which::Id(id) => known.facts.session.as_ref() == Some(id),
                };
                Described { sessions: state.sessions.iter().filter(fits).cloned().collect(), cut: false }
            })
        })
    }

    fn document<'a>(&'a self, _name: &'a str) -> Pending<'a, Option<String>> {
        Box::pin(async move { self.answer(|state| state.document.clone()) })
    }

    fn terminate<'a>(&'a self, session: &'a str) -> Pending<'a, bool> {
        Box::pin(async move {
            self.answer(|state| {
                state.terminated.push(session.to_owned());
                state.sessions.iter().any(|known| known.facts.session.as_deref() == Some(session))
            })
        })
    }
}
