//! What the ledger stands on: one table of versioned rows.

use std::fmt;
use std::pin::Pin;

use jiff::Timestamp;

/// An answer that is still to come.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, TableError>> + Send + 'a>>;

/// Version of the rows' layout. A row of a later one is refused, never guessed at.
pub const SCHEMA: u32 = 1;

/// Longest body of a row, in bytes: `DynamoDB` takes items of up to 400 KB, names and keys included.
pub const BODY_LIMIT: usize = 380 * 1024;

/// Most rows that are written together. Source: `TransactWriteItems` of `DynamoDB`.
pub const TOGETHER_LIMIT: usize = 100;

/// Most bytes of them: `DynamoDB` takes 4 MB, names and keys included.
pub const TOGETHER_BYTES: usize = 1024 * 1024;

/// Place of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Place.
    pub key: Key,
    /// Counts the writes, from 1; a row that was removed begins anew.
    pub version: u64,
    /// JSON.
    pub body: String,
    /// From then on it counts as absent, whether or not it was deleted.
    pub expires: Timestamp,
}

/// What must hold for a write to take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no row.
    Absent,
    /// The row has this version.
    Version(u64),
    /// Nothing: the row is made or replaced.
    Any,
}

/// Rows of one partition, in the order of their sort keys.
#[derive(Clone, Debug)]
pub struct Range {
    /// Partition key.
    pub pk: String,
    /// What the sort keys begin with.
    pub prefix: String,
    /// Only rows behind this sort key.
    pub after: Option<String>,
    /// Only rows whose sort key is not behind this one.
    pub until: Option<String>,
    /// Most rows.
    pub limit: u32,
}

/// A table of rows. Reads see every write that was confirmed before.
pub trait Table: fmt::Debug + Send + Sync {
    /// The row at this place.
    fn read<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Row>>;
    /// Writes a row as the version that follows the expected one; `false` if what was expected does not hold.
    fn write(&self, row: Row, expect: Expect) -> Pending<'_, bool>;
    /// Writes all of these rows, each as [`Table::write`] would, or none of them; `false` if something expected does not
    /// hold. At most [`TOGETHER_LIMIT`] different rows, of [`TOGETHER_BYTES`] at most.
    fn write_together(&self, rows: Vec<(Row, Expect)>) -> Pending<'_, bool>;
    /// Removes a row; `false` if what was expected does not hold.
    fn remove<'a>(&'a self, key: &'a Key, expect: Expect) -> Pending<'a, bool>;
    /// Rows of a range. Fewer than the limit means that there are no more.
    fn query(&self, range: Range) -> Pending<'_, Vec<Row>>;
}

/// Why the table did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The service asks to slow down, after the SDK's own retries.
    #[error("the table throttles")]
    Throttled,
    /// No answer in time.
    #[error("the table does not answer in time")]
    Timeout,
    /// Access denied.
    #[error("access to the table is denied")]
    Denied,
    /// The service's other errors.
    #[error("the table failed ({code})")]
    Service {
        /// The service's error code, or a word for what happened on the way to it.
        code: String,
    },
    /// A row that was written by a later version of this program, or by something else.
    #[error("a row of an unknown layout")]
    Layout,
    /// A row larger than the table takes.
    #[error("a row of {length} bytes")]
    TooLong {
        /// Bytes.
        length: usize,
    },
    /// Others changed the row again and again while it was to be changed here.
    #[error("a row that others keep changing")]
    Contended,
}
