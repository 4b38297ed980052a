//! One way in: bytes of any recognised kind -> sessions, commands, API calls.

use std::sync::Arc;

use crate::api_call::ApiCall;
use crate::command::Command;
use crate::session::Session;
use crate::timeline::Deviation;

/// The kind of an input, recognised from its content, never from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The terminal's output that the agent stored in S3.
    Transcript,
    /// CloudWatch log events of the agent.
    LogStream,
    /// CloudTrail records.
    ApiCall,
}

/// One thing read from an input, in the input's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A session of which the input is (or holds) a record; comes before the session's commands.
    Session(Arc<Session>),
    /// A command of that session.
    Command(Arc<Session>, Box<Command>),
    /// An API call.
    ApiCall(Box<ApiCall>),
    /// Something is missing, damaged or contradictory at this offset.
    Deviation(u64, Deviation),
}

/// Reads an input of one kind: bytes in through [`feed`](Self::feed) in pieces of any size, items out, memory bounded.
#[derive(Debug)]
pub struct Reader {
    kind: Kind,
}

impl Reader {
    /// A reader for an input of this kind.
    pub fn new(kind: Kind) -> Self {
        Self { kind }
    }

    /// Reads the next bytes of the input.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Item)) {
        let _ = (self.kind, bytes, sink);
    }

    /// The input ends here: what is still held comes out.
    pub fn finish(self, sink: &mut dyn FnMut(Item)) {
        let _ = sink;
    }
}
