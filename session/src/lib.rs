//! What happened in a Session Manager session, read from the records that AWS keeps of it.
#![deny(clippy::indexing_slicing, clippy::panic)]

pub mod api_call;
pub mod command;
mod envelope;
pub mod inflate;
pub mod join;
mod json_split;
pub mod kind;
pub mod log_stream;
pub mod reader;
pub mod saved;
mod scan;
pub mod session;
pub mod shell;
mod terminal;
pub mod timeline;
pub mod timestamp;
pub mod transcript;

pub use api_call::ApiCall;
pub use command::Command;
pub use reader::{Item, Kind, Reader, Timeline};
pub use session::{Session, SessionId};
pub use shell::Invocation;
pub use terminal::screen;
pub use timeline::Event;
