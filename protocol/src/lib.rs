//! The Session Manager data channel.
#![deny(clippy::indexing_slicing, clippy::panic)]

pub mod frame;
pub mod wire;
