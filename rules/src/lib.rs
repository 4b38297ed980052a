//! Sigma rules over commands and API calls.
//!
//! [`RuleSet::load`] takes rule files as text and gives the good rules together with every error of the others;
//! [`RuleSet::matches`] tries them on an [`Event`]. The format is Sigma 2.1 (<https://github.com/SigmaHQ/sigma-specification>)
//! with keys of our own: `tests`, `response`, `dedup`, `owner`, `runbook`. Not supported, and therefore errors:
//! correlation rules, filters, Sigma 1 collections (`action:`) and aggregations, placeholders (`expand`), look-around in
//! regular expressions.
#![deny(clippy::indexing_slicing, clippy::panic)]

mod attack;
mod cidr;
mod compile;
mod condition;
pub mod detect;
mod detection;
pub mod error;
pub mod event;
mod explain;
pub mod finding;
mod fold;
mod glob;
pub mod library;
pub mod mask;
mod modifier;
pub mod ocsf;
mod pattern;
mod prefilter;
mod regex;
mod required;
pub mod rule;
pub mod sarif;
pub mod set;
mod suggest;
mod witness;
mod yaml;

pub use crate::compile::MAX_VALUE_LENGTH;
pub use crate::detection::MAX_VALUES;
pub use crate::error::{Problem, RuleError, Severity};
pub use crate::event::{Event, Value};
pub use crate::regex::{REGEX_DFA_SIZE_LIMIT, REGEX_SIZE_LIMIT};
pub use crate::rule::parse::COMMAND_FIELDS;
pub use crate::rule::{Case, CaseInput, Dedup, Level, Logsource, Response, Rule, Scope, Status};
pub use crate::set::{Loaded, Match, PackError, RuleSet};
