//! Inputs -> items, with what all inputs of the run know of the sessions; several inputs at once, results in order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use warden_session::join::Sessions;
use warden_session::{ApiCall, Item, Kind, Session, SessionId};

use crate::input::Input;
use crate::progress;
use crate::report::complain;

/// What the API calls of a run say: who started which session, where.
#[derive(Debug, Default)]
pub(crate) struct Known {
    sessions: Sessions,
}

/// Distinct calls remembered, so that a record delivered twice counts once.
const MAX_EVENT_IDS: usize = 1 << 20;

impl Known {
    /// Reads the inputs that hold API calls. What cannot be read is said when the inputs are reported.
    pub(crate) fn of(inputs: &[Input]) -> Self {
        let mut known = Self::default();
        for input in inputs.iter().filter(|input| input.kind == Kind::ApiCall) {
            let _ = input.read(&mut |item| {
                if let Item::ApiCall(call) = item {
                    known.sessions.absorb(&call);
                }
            });
        }
        known
    }

    /// Who started the session that a call is about.
    pub(crate) fn owner(&self, call: &ApiCall) -> Option<String> {
        self.sessions.known(call.session.as_ref()?)?.principal.clone()
    }
}

/// Completes the sessions of one input, each once.
#[derive(Debug)]
pub(crate) struct Completed<'k> {
    known: &'k Known,
    sessions: HashMap<Option<SessionId>, Arc<Session>>,
    /// Whether a record names another principal or target than CloudTrail.
    pub(crate) conflict: bool,
}

impl<'k> Completed<'k> {
    /// For one input.
    pub(crate) fn new(known: &'k Known) -> Self {
        Self { known, sessions: HashMap::new(), conflict: false }
    }

    /// The session with what is known of it.
    pub(crate) fn session(&mut self, session: &Session) -> Arc<Session> {
        if let Some(session) = self.sessions.get(&session.id) {
            return session.clone();
        }
        let joined = self.known.sessions.complete(session);
        self.conflict |= joined.conflict;
        self.sessions.entry(session.id.clone()).or_insert(Arc::new(joined.session)).clone()
    }

    /// How many sessions there were.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Option<SessionId>> {
        self.sessions.keys()
    }
}

/// Event ids met in a run.
#[derive(Debug, Default)]
pub(crate) struct EventIds(Mutex<HashSet<String>>);

impl EventIds {
    /// Whether a call is met for the first time. Calls without an id always are.
    pub(crate) fn is_new(&self, call: &ApiCall) -> bool {
        let Some(id) = &call.event_id else { return true };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.len() >= MAX_EVENT_IDS || seen.insert(id.clone())
    }
}

/// Does the work on every input, as many at once as the machine has cores, and hands the results on in the inputs' order.
///
/// # Errors
/// What `emit` returns first; the work that has begun is finished.
pub(crate) fn in_order<T: Send, E>(
    inputs: &[Input],
    verb: &'static str,
    work: impl Fn(&Input) -> T + Sync,
    mut emit: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(inputs.len()).max(1);
    let (next, bar) = (AtomicUsize::new(0), progress::bar(inputs.len(), verb));
    let (sender, receiver) = mpsc::sync_channel(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                while let Some((at, input)) = claim(next, inputs) {
                    if sender.send((at, work(input))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let (mut waiting, mut due) = (BTreeMap::new(), 0);
        for (at, result) in receiver {
            bar.inc(1);
            waiting.insert(at, result);
            while let Some(result) = waiting.remove(&due) {
                due += 1;
                bar.suspend(|| emit(result))?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    })
}

fn claim<'i>(next: &AtomicUsize, inputs: &'i [Input]) -> Option<(usize, &'i Input)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    inputs.get(at).map(|input| (at, input))
}

/// Whether an input was read whole; what is missing is said on stderr.
#[derive(Debug, Default)]
pub(crate) struct Wholeness {
    /// The file system's word, if it could not be read.
    pub(crate) error: Option<String>,
    /// What is missing or damaged, the first of each sort.
    pub(crate) gaps: Vec<(u64, warden_session::timeline::Deviation)>,
}

/// Gaps of one input that are said one by one.
const MAX_GAPS: usize = 8;

impl Wholeness {
    /// Notes something missing or damaged.
    pub(crate) fn note(&mut self, offset: u64, deviation: warden_session::timeline::Deviation) {
        if self.gaps.len() < MAX_GAPS && !self.gaps.iter().any(|(_, known)| *known == deviation) {
            self.gaps.push((offset, deviation));
        }
    }

    /// Whether something that should be there is not.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.gaps.iter().any(|(_, deviation)| deviation.is_incomplete())
    }

    /// Says on stderr what is wrong.
    pub(crate) fn say(&self, path: &str) {
        for (offset, deviation) in &self.gaps {
            complain(&format!("warning: {path}: at byte {offset}: {deviation}"));
        }
        if let Some(error) = &self.error {
            complain(&format!("error: {path}: {error}"));
        }
    }
}
