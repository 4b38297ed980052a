//! The Session Warden Lambdas: events in, alerts out.
//!
//! | module | does |
//! |---|---|
//! | [`shipped`] | the shipped rules, compiled at build time |
//! | [`config`] | the environment, read once |
//! | [`source`] | envelopes of Lambda events -> what is to be read |
//! | [`audit`] | one source -> what is to be alerted about |
//! | [`dedup`] | what is sent at once, listed later, merged |
//! | [`ledger`] | what outlives an invocation |
//! | [`handler`] | one module for each function |
//! | [`follow`] | a log stream that comes in batches |
//! | [`history`] | what a log stream held before |
//! | [`backfill`] | tasks of AWS's own engines |
//! | [`reconcile`] | what should be there and is not |
//! | [`preferences`] | what session preferences say, and what a change takes away |
//! | [`ssm`] | sessions that Systems Manager knows, and their end |
//! | [`reading`] | S3 objects and API calls, read from the first byte to the receipt |
//! | [`outbox`] | what was observed -> claimed -> sent -> confirmed |
//! | [`sink`] | where alerts go |
//! | [`rule_store`] | rules at run time |
//! | [`response`] | whether a session is ended |
//! | [`alert`] | what people and programs are told, in every form |

pub mod alert;
pub mod app;
pub mod audit;
pub mod backfill;
pub mod clients;
pub mod config;
pub mod dedup;
pub mod draft;
pub mod error;
pub mod follow;
pub mod handler;
pub mod history;
pub mod ledger;
pub mod metrics;
pub mod object;
pub mod outbox;
pub mod preferences;
pub mod reading;
pub mod reconcile;
pub mod response;
pub mod rule_store;
pub mod shipped;
pub mod sink;
pub mod source;
pub mod ssm;
