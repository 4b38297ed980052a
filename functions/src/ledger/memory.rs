//! The table's twin in memory, for tests: it fails when it is told to.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::table::{BODY_LIMIT, Expect, Key, Pending, Range, Row, Table, TableError};

/// A table in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Key, Row>,
    calls: u64,
    failures: Vec<(u64, TableError)>,
}

impl Memory {
    /// Makes the n-th call from now on (0 = the next) fail, before it has any effect.
    pub fn fail(&self, n: u64, error: TableError) {
        let mut state = self.state();
        let at = state.calls + n;
        state.failures.push((at, error));
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Every row, in the order of the keys.
    pub fn rows(&self) -> Vec<Row> {
        self.state().rows.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, work: impl FnOnce(&mut BTreeMap<Key, Row>) -> T) -> Result<T, TableError> {
        let mut state = self.state();
        let n = state.calls;
        state.calls += 1;
        if let Some(at) = state.failures.iter().position(|(at, _)| *at == n) {
            return Err(state.failures.swap_remove(at).1);
        }
        Ok(work(&mut state.rows))
    }
}

impl Table for Memory {
    fn read<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Row>> {
        Box::pin(async move { self.call(|rows| rows.get(key).cloned()) })
    }

    fn write(&self, mut row: Row, expect: Expect) -> Pending<'_, bool> {
        Box::pin(async move {
            if row.body.len() > BODY_LIMIT {
                return Err(TableError::TooLong { length: row.body.len() });
            }
            self.call(|rows| {
                let version = rows.get(&row.key).map(|row| row.version);
                let holds = holds(version, expect);
                if holds {
                    row.version = version.unwrap_or_default() + 1;
                    rows.insert(row.key.clone(), row);
                }
                holds
            })
        })
    }

    fn write_together(&self, together: Vec<(Row, Expect)>) -> Pending<'_, bool> {
        Box::pin(async move {
            self.call(|rows| {
                let version = |rows: &BTreeMap<Key, Row>, key: &Key| rows.get(key).map(|row| row.version);
                let all = together.iter().all(|(row, expect)| holds(version(rows, &row.key), *expect));
                if all {
                    for (mut row, _) in together {
                        row.version = version(rows, &row.key).unwrap_or_default() + 1;
                        rows.insert(row.key.clone(), row);
                    }
                }
                all
            })
        })
    }

    fn remove<'a>(&'a self, key: &'a Key, expect: Expect) -> Pending<'a, bool> {
        Box::pin(async move {
            self.call(|rows| {
                let holds = holds(rows.get(key).map(|row| row.version), expect);
                if holds {
                    rows.remove(key);
                }
                holds
            })
        })
    }

    fn query(&self, range: Range) -> Pending<'_, Vec<Row>> {
        Box::pin(async move {
            self.call(|rows| {
                let within =
                    rows.values().filter(|row| row.key.pk == range.pk && row.key.sk.starts_with(&range.prefix));
                let behind = within.filter(|row| range.after.as_ref().is_none_or(|after| row.key.sk > *after));
                let before = behind.filter(|row| range.until.as_ref().is_none_or(|until| row.key.sk <= *until));
                before.take(range.limit as usize).cloned().collect()
            })
        })
    }
}

fn holds(version: Option<u64>, expect: Expect) -> bool {
    match expect {
        Expect::Absent => version.is_none(),
        Expect::Version(expected) => version == Some(expected),
        Expect::Any => true,
    }
}
