//! The Session Warden Lambdas: events in, alerts out.
//!
//! | module | does |
//! |---|---|
//! | [`source`] | envelopes of Lambda events -> what is to be read |
//! | [`alert`] | what people and programs are told, in every form |

pub mod alert;
pub mod source;
