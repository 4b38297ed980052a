//! The Session Warden Lambdas: events in, alerts out.
//!
//! | module | does |
//! |---|---|
//! | [`config`] | the environment, read once |
//! | [`source`] | envelopes of Lambda events -> what is to be read |
//! | [`dedup`] | what is sent at once, listed later, merged |
//! | [`ledger`] | what outlives an invocation |
//! | [`alert`] | what people and programs are told, in every form |

pub mod alert;
pub mod clients;
pub mod config;
pub mod dedup;
pub mod draft;
pub mod ledger;
pub mod source;
