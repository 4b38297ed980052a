//! The Session Warden Lambdas: events in, alerts out.
//!
//! | module | does |
//! |---|---|
//! | [`shipped`] | the shipped rules, compiled at build time |
//! | [`source`] | envelopes of Lambda events -> what is to be read |
//! | [`alert`] | what people and programs are told, in every form |

pub mod alert;
pub mod shipped;
pub mod source;
