//! The bytes of one object -> its audit: hashed, decompressed, recognised, read. No I/O.

use sha2::{Digest, Sha256};
use warden_session::inflate::{Inflate, Limits, RATIO_LIMIT};
use warden_session::kind::{HEAD_LIMIT, recognise};
use warden_session::timeline::Deviation;
use warden_session::{Item, Kind, Reader};

use crate::audit::{Audit, Origin, Policy};
use crate::dedup::hex;
use crate::ledger::Facts;

/// Reads one object, piece by piece.
#[derive(Debug)]
pub(super) struct Feed<'a> {
    hash: Sha256,
    inflate: Option<Inflate>,
    parser: Parser<'a>,
    cap: u64,
    bytes: u64,
    at_cap: bool,
}

/// What belongs where an object lies. Hosts may write to the bucket of transcripts: what CloudTrail says is not believed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// What hosts write: transcripts, and log events that were exported.
    Records,
    /// What CloudTrail writes.
    ApiCalls,
}

impl Belongs {
    fn takes(self, kind: Kind) -> bool {
        match self {
            Self::Records => matches!(kind, Kind::Transcript | Kind::LogStream),
            Self::ApiCalls => kind == Kind::ApiCall,
        }
    }
}

/// How the object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Every byte was read.
    Whole,
    /// The size cap was reached.
    AtCap {
        /// Bytes read.
        read: u64,
    },
    /// It is no record of any kind that is known here.
    Unrecognised,
    /// It is a record of a kind that does not belong here.
    Misplaced(Kind),
}

#[derive(Debug)]
struct Parser<'a> {
    policy: Policy<'a>,
    belongs: Belongs,
    origin: Origin,
    started: Option<Facts>,
    /// The first bytes, while they do not decide.
    head: Vec<u8>,
    reader: Option<Reader>,
    audit: Option<Audit<'a>>,
    /// Nothing that follows can be read.
    refused: bool,
    misplaced: Option<Kind>,
    /// Items that ask for more than an audit.
    items: Vec<Item>,
}

impl<'a> Feed<'a> {
    pub(super) fn new(policy: Policy<'a>, belongs: Belongs, origin: Origin, started: Option<Facts>, cap: u64) -> Self {
        let parser = Parser {
            policy,
            belongs,
            origin,
            started,
            head: Vec::new(),
            reader: None,
            audit: None,
            refused: false,
            misplaced: None,
            items: Vec::new(),
        };
        let inflate = Some(Inflate::new(Limits { output: cap, ratio: RATIO_LIMIT }));
        Self { hash: Sha256::new(), inflate, parser, cap, bytes: 0, at_cap: false }
    }

    /// Reads the next bytes, as they are stored.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.cap.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.at_cap |= taken.len() < bytes.len();
        self.bytes += taken.len() as u64;
        self.hash.update(taken);
        let Some(inflate) = &mut self.inflate else { return };
        let parser = &mut self.parser;
        let deviation = inflate.feed(taken, &mut |bytes| parser.feed(bytes));
        self.note(deviation);
    }

    /// The object ends here.
    pub(super) fn finish(&mut self) -> Ended {
        let parser = &mut self.parser;
        let deviation = self.inflate.take().and_then(|inflate| inflate.finish(&mut |bytes| parser.feed(bytes)));
        self.parser.finish();
        self.note(deviation.filter(|_| !self.at_cap));
        match (&self.parser.audit, self.at_cap) {
            (None, _) => self.parser.misplaced.map_or(Ended::Unrecognised, Ended::Misplaced),
            (Some(_), true) => Ended::AtCap { read: self.bytes },
            (Some(_), false) => Ended::Whole,
        }
    }

    /// Whether nothing that follows will be read.
    pub(super) fn is_over(&self) -> bool {
        self.at_cap || self.parser.refused || self.inflate.as_ref().is_some_and(Inflate::is_stopped)
    }

    /// The audit, once the kind of the object is known.
    pub(super) fn audit(&mut self) -> Option<&mut Audit<'a>> {
        self.parser.audit.as_mut()
    }

    /// Takes the items that ask for more than an audit: API calls and what follows them.
    pub(super) fn take_items(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.parser.items)
    }

    /// Bytes read, as they are stored.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hex SHA-256 of them.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    fn note(&mut self, deviation: Option<Deviation>) {
        if let (Some(deviation), Some(audit)) = (deviation, &mut self.parser.audit) {
            audit.deviation(deviation);
        }
    }
}

impl Parser<'_> {
    fn feed(&mut self, bytes: &[u8]) {
        if self.refused {
            return;
        }
        if self.reader.is_some() {
            return self.read(bytes);
        }
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD_LIMIT.saturating_sub(self.head.len())));
        self.head.extend_from_slice(head);
        if !self.decide(false) {
            return;
        }
        self.read(rest);
    }

    fn finish(&mut self) {
        if self.reader.is_none() && !self.refused {
            self.decide(true);
        }
        if let (Some(reader), Some(audit)) = (self.reader.take(), &mut self.audit) {
            let items = &mut self.items;
            reader.finish(&mut |item| route(audit, items, item));
        }
    }

    /// Recognises the kind, if enough was seen; whether a reader is there now.
    fn decide(&mut self, at_end: bool) -> bool {
        let all = at_end || self.head.len() >= HEAD_LIMIT;
        // What lies in a session's place is its transcript, however little it looks like one.
        let named = || (self.origin.named.is_some() && !self.head.is_empty()).then_some(Kind::Transcript);
        let kind = match recognise(&self.head, at_end) {
            None if all => named(),
            Some(kind) if !self.belongs.takes(kind) => {
                self.misplaced = Some(kind);
                self.refused = named().is_none();
                named()
            }
            kind => kind,
        };
        let Some(kind) = kind else {
            self.refused |= all;
            return false;
        };
        let mut audit = Audit::new(self.policy, Origin { kind, ..self.origin.clone() });
        if let Some(facts) = &self.started {
            audit.remember(facts);
        }
        self.reader = Some(Reader::new(kind));
        self.audit = Some(audit);
        let head = std::mem::take(&mut self.head);
        self.read(&head);
        true
    }

    fn read(&mut self, bytes: &[u8]) {
        if let (Some(reader), Some(audit)) = (&mut self.reader, &mut self.audit) {
            let items = &mut self.items;
            reader.feed(bytes, &mut |item| route(audit, items, item));
        }
    }
}

/// API calls are kept for whoever can ask the ledger; everything else is audited at once, so that nothing piles up.
fn route(audit: &mut Audit<'_>, items: &mut Vec<Item>, item: Item) {
    if audit.kind() == Kind::ApiCall {
        items.push(item);
    } else {
        audit.item(item);
    }
}
