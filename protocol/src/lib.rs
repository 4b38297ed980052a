//! The Session Manager data channel, read for evidence: bytes, sides, times and keys in; values out.
//!
//! AWS's client (session-manager-plugin) and agent (amazon-ssm-agent) each hold a WebSocket to a service that relays
//! between them. Every binary message on it is one *frame*; the first message of a socket is a text. This crate reads what
//! both programs read, keeps what they would drop, and says what is wrong with it. It does no I/O, has no clock and never
//! panics on any input.
//!
//! | layer | turns | into |
//! |---|---|---|
//! | [`frame`] | a WebSocket message | a [`Frame`](frame::Frame) and its [`Deviations`](frame::Deviations), or a [`DecodeError`](frame::DecodeError) |
//! | [`payload`] | a payload | numbers and JSON messages |
//! | [`seal`] | a sealed payload and the session's data key | the plaintext |
//! | [`reorder`] | sequence numbers as they come | their order; duplicates, contradictions, gaps |
//! | [`channel`] | all messages of a session | [`Event`](channel::Event)s and a [`Report`](channel::Report) |
//! | [`port`], [`mux`] | the events of a port session | its TCP connections |
//!
//! Most callers want [`channel::Channel`], and [`port::Forwarding`] behind it. For single frames [`frame::decode`] is
//! enough. It is the wrong crate for talking to AWS: it opens no socket and sends nothing, although every layer also
//! writes what it reads.
//!
//! # The first message of a socket
//! A text of JSON with a bearer token ([`payload::OpenDataChannel`]), from each end on its own socket, never
//! acknowledged. After a reconnect it comes again with a new token, and sequence numbers go on. No printable form of
//! anything here holds the token; [`payload::redact`] makes any text fit to be shown.
//!
//! # A session on the wire
//! Each direction counts its stream messages from 0; every one is acknowledged by MessageId and sequence number, and sent
//! again, byte for byte the same, until it is. A receiver acknowledges what comes early and holds it. With a handshake
//! (always for `Port` and `NonInteractiveCommands`, otherwise only when a KMS key encrypts the session):
//!
//! | from | sequence | payload type |
//! |---|---|---|
//! | agent | 0 | 5 HandshakeRequest: session type, KMS key |
//! | client | 0 | 6 HandshakeResponse: version, encrypted data key |
//! | agent | 1 | 8 challenge (KMS only) |
//! | client | 1 | 9 answer (KMS only) |
//! | agent | 1, or 2 with KMS | 7 HandshakeComplete |
//! | client | next | 3 Size |
//!
//! Without one the agent's message 0 is output already (`P: src/datachannel/streaming.go` @ 61cf1288,
//! `A: agent/session/datachannel/datachannel.go` @ 1c217c89; both seen on the wire).
//!
//! # Sources
//! `P:` is aws/session-manager-plugin at commit 61cf1288 (2024-10-10), `A:` is aws/amazon-ssm-agent at commit 1c217c89
//! (2024-10-21). "Seen on the wire" means seen between builds of these two.
//!
//! # Limits
//! | what is fed from outside | limit |
//! |---|---|
//! | bytes of a message | [`frame::MAX_MESSAGE_LENGTH`] |
//! | bytes and nesting of JSON | [`payload::MAX_JSON_LENGTH`], [`payload::MAX_JSON_DEPTH`] |
//! | refused fields of one payload | [`payload::MAX_FAULTS`] |
//! | messages that wait for a predecessor, and their bytes | [`reorder::REORDER_WINDOW`], [`reorder::REORDER_BYTES`] |
//! | gaps that are listed | [`reorder::MAX_MISSING`] |
//! | payload types, storms, waiting acknowledges of a side | [`channel::MAX_STREAMS`], [`channel::MAX_STORMS`], [`channel::MAX_PENDING_ACKNOWLEDGES`] |
//! | kinds of frames that are counted apart | [`channel::MAX_KINDS`] |
//! | forwarded connections | [`mux::MAX_CONNECTIONS`] |
//!
//! # What is not verified
//! How AWS's programs behave was read in their source and seen on the wire. What the service itself writes
//! (`channel_closed`, `start_publication`, `pause_publication`, `interactive_shell`) is known only from what the programs
//! expect of it, so these are read with the least demands.
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
