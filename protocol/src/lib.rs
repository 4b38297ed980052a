//! The Session Manager data channel.
#![deny(clippy::indexing_slicing, clippy::panic)]

pub mod channel;
pub mod connection;
pub mod flow;
pub mod frame;
pub mod mux;
pub mod payload;
pub mod port;
pub mod reorder;
pub mod seal;
pub mod wire;
