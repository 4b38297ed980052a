//! TLS 1.2 and 1.3 opened with logged secrets (RFC 5246, RFC 8446; the log: draft-ietf-tls-keylogfile).
//!
//! Opened are AES-GCM and ChaCha20-Poly1305, the only suites of TLS 1.3 and those that AWS prefers in 1.2. Lost records
//! are skipped over: the next ones are tried under the numbers that they can have.

mod hello;
mod keylog;
mod keys;

use std::sync::Arc;

use jiff::Timestamp;

use super::Damage;
use hello::{ClientHello, ServerHello};
pub(super) use keylog::KeyLog;
use keys::{Keys, Suite};

/// Longest ciphertext of a record: 2^14 and what TLS 1.2 lets it grow by (RFC 5246, 6.2.3).
const RECORD_LIMIT: usize = (1 << 14) + 2048;
/// Longest handshake message that is put together.
const HANDSHAKE_LIMIT: usize = 1 << 18;
/// Records that can have been lost in a row.
const MAX_LOST_RECORDS: u64 = 4096;

/// What comes out.
#[derive(Debug)]
pub(super) enum Opened<'a> {
    /// Plaintext in order.
    Bytes { at: Timestamp, offset: u64, bytes: &'a [u8] },
    /// Records are missing here.
    Lost,
    /// Nothing more of this direction can be opened.
    Damage(u64, Damage),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Tls {
    keylog: Arc<KeyLog>,
    hello: Option<ClientHello>,
    server: Option<ServerHello>,
    client_side: Side,
    server_side: Side,
    /// Whether damage was told; once is enough for a connection.
    told: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    /// Bytes of a record that is not whole yet.
    record: Vec<u8>,
    /// Bytes of a handshake message that is not whole yet.
    handshake: Vec<u8>,
    phase: Phase,
    /// Whether bytes were lost, so that the next record has to be found.
    lost: bool,
    /// Whether records may have been lost, so that numbers have to be tried.
    skipped: bool,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing is encrypted yet.
    #[default]
    Clear,
    /// TLS 1.3: the handshake's keys, and the first keys of the application.
    Handshake(Option<Keys>, Option<Keys>),
    /// TLS 1.2: keys that `ChangeCipherSpec` puts into use.
    Pending(Option<Keys>),
    /// The application's keys.
    Open(Keys),
    /// There are no keys, or no suite that is opened.
    Closed,
}

type Sink<'s> = &'s mut dyn FnMut(Opened<'_>);

impl Tls {
    pub(super) fn new(keylog: Arc<KeyLog>) -> Self {
        let (client_side, server_side) = (Side::default(), Side::default());
        Self { keylog, hello: None, server: None, client_side, server_side, told: false }
    }

    /// Whether bytes can be the start of a TLS record.
    pub(super) fn is_start(bytes: &[u8]) -> bool {
        matches!(bytes, [20..=23, 3, 0..=4, ..])
    }

    /// The server's name, as the client asked for it.
    pub(super) fn host(&self) -> Option<&str> {
        self.hello.as_ref()?.host.as_deref()
    }

    /// Bytes of a direction are missing here.
    pub(super) fn lose(&mut self, from_client: bool) {
        let side = self.side(from_client);
        side.record.clear();
        side.handshake.clear();
        (side.lost, side.skipped) = (true, true);
    }

    /// Takes the next bytes of a direction.
    pub(super) fn feed(&mut self, from_client: bool, at: Timestamp, offset: u64, bytes: &[u8], sink: Sink<'_>) {
        let side = self.side(from_client);
        if side.lost {
            if !Self::is_start(bytes) {
                return;
            }
            side.lost = false;
        }
        side.record.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut side.record);
        let mut start = 0;
        while let Some(header) = buffer.get(start..).and_then(|rest| rest.first_chunk::<5>()).copied() {
            let [_, _, _, high, low] = header;
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > RECORD_LIMIT || !Self::is_start(&header) {
                self.tell(offset, Damage::Tls("no TLS record"), sink);
                self.lose(from_client);
                return;
            }
            let end = start + 5 + length;
            let Some(body) = buffer.get_mut(start + 5..end) else { break };
            self.record(from_client, (at, offset), header, body, sink);
            start = end;
        }
        buffer.drain(..start.min(buffer.len()));
        self.side(from_client).record = buffer;
    }

    fn side(&mut self, from_client: bool) -> &mut Side {
        if from_client { &mut self.client_side } else { &mut self.server_side }
    }

    fn record(&mut self, from_client: bool, place: (Timestamp, u64), header: [u8; 5], body: &mut [u8], sink: Sink<'_>) {
        let [kind, ..] = header;
        let side = self.side(from_client);
        match (&mut side.phase, kind) {
            (Phase::Clear | Phase::Pending(_) | Phase::Handshake(..), 22) => {
                let body = body.to_vec();
                self.handshake(from_client, place.1, &body, sink);
            }
            (Phase::Pending(keys), 20) => {
                side.phase = keys.take().map_or(Phase::Closed, Phase::Open);
            }
            (Phase::Handshake(..), 23) => self.handshake_record(from_client, place, header, body, sink),
            (Phase::Open(_), 21..=23) => self.open_record(from_client, place, header, body, sink),
            (Phase::Clear, 23) => {
                self.tell(place.1, Damage::Tls("the start of the connection is not in the capture"), sink);
            }
            (Phase::Closed, 23) => {
                let damage = self.why_closed();
                self.tell(place.1, damage, sink);
            }
            // Changes of cipher in TLS 1.3 are there for middleboxes; alerts in the clear say nothing here.
            _ => {}
        }
    }

    /// A record of TLS 1.3 before the direction's Finished.
    fn handshake_record(
        &mut self,
        from_client: bool,
        place: (Timestamp, u64),
        header: [u8; 5],
        body: &mut [u8],
        sink: Sink<'_>,
    ) {
        let side = self.side(from_client);
        let skipped = side.skipped;
        let Phase::Handshake(keys, application) = &mut side.phase else { return };
        let mut copy = body.to_vec();
        if let Some((22, bytes)) = keys.as_mut().and_then(|keys| keys.open(header, &mut copy, 0)) {
            let bytes = bytes.to_vec();
            return self.handshake(from_client, place.1, &bytes, sink);
        }
        // The handshake's secret is not in the log, or its records were lost: the application's may open it.
        let tries = if skipped { MAX_LOST_RECORDS } else { 0 };
        let mut copy = body.to_vec();
        if application.as_mut().is_some_and(|keys| keys.open(header, &mut copy, tries).is_some()) {
            let keys = application.take();
            if let Some(mut keys) = keys {
                keys.step_back();
                side.phase = Phase::Open(keys);
                self.open_record(from_client, place, header, body, sink);
            }
        } else if application.is_none() && keys.is_none() {
            side.phase = Phase::Closed;
            let damage = self.why_closed();
            self.tell(place.1, damage, sink);
        }
    }

    fn open_record(
        &mut self,
        from_client: bool,
        place: (Timestamp, u64),
        header: [u8; 5],
        body: &mut [u8],
        sink: Sink<'_>,
    ) {
        let side = self.side(from_client);
        let Phase::Open(keys) = &mut side.phase else { return };
        let tries = if side.skipped { MAX_LOST_RECORDS } else { 0 };
        let before = keys.number();
        let Some((kind, bytes)) = keys.open(header, body, tries) else {
            // The record counts all the same, unless numbers are being tried.
            if !side.skipped {
                keys.skip();
            }
            sink(Opened::Lost);
            return self.tell(place.1, Damage::Tls("a record does not open with the logged secret"), sink);
        };
        let bytes = bytes.to_vec();
        if keys.number() > before + 1 {
            sink(Opened::Lost);
        }
        side.skipped = false;
        match kind {
            23 => sink(Opened::Bytes { at: place.0, offset: place.1, bytes: &bytes }),
            22 => self.handshake(from_client, place.1, &bytes, sink),
            _ => {}
        }
    }

    /// Takes bytes of handshake messages.
    fn handshake(&mut self, from_client: bool, offset: u64, bytes: &[u8], sink: Sink<'_>) {
        let side = self.side(from_client);
        if side.handshake.len() + bytes.len() > HANDSHAKE_LIMIT {
            side.handshake.clear();
            return self.tell(offset, Damage::Tls("a handshake message beyond the limit"), sink);
        }
        side.handshake.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut side.handshake);
        let mut start = 0;
        while let Some(&[kind, a, b, c]) = buffer.get(start..).and_then(|rest| rest.first_chunk()) {
            let end = start + 4 + u32::from_be_bytes([0, a, b, c]) as usize;
            let Some(body) = buffer.get(start + 4..end) else { break };
            self.message(from_client, kind, body);
            start = end;
        }
        buffer.drain(..start.min(buffer.len()));
        self.side(from_client).handshake = buffer;
    }

    fn message(&mut self, from_client: bool, kind: u8, body: &[u8]) {
        let side = self.side(from_client);
        match (kind, from_client, &mut side.phase) {
            (1, true, Phase::Clear) => self.hello = ClientHello::parse(body).or(self.hello.take()),
            (2, false, Phase::Clear) => {
                if let Some(hello) = ServerHello::parse(body).filter(|hello| !hello.is_retry) {
                    self.begin(hello);
                }
            }
            // Finished: the application's keys follow.
            (20, _, Phase::Handshake(_, application)) => {
                side.phase = application.take().map_or(Phase::Closed, Phase::Open);
            }
            // KeyUpdate.
            (24, _, Phase::Open(keys)) => keys.update(),
            _ => {}
        }
    }

    /// Both hellos are known: looks the secrets up.
    fn begin(&mut self, server: ServerHello) {
        let random = self.hello.as_ref().map(|hello| hello.random).unwrap_or_default();
        let suite = Suite::of(server.suite);
        let secrets = self.keylog.of(&random);
        let (client, open) = match (suite, server.is_13) {
            (Some(suite), true) => {
                let keys = |label: &str| Keys::of_13(suite, secrets?.get(label)?);
                let side = |handshake, application| Phase::Handshake(keys(handshake), keys(application));
                (
                    side("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"),
                    side("SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"),
                )
            }
            (Some(suite), false) => {
                let master = secrets.and_then(|secrets| secrets.get("CLIENT_RANDOM"));
                let both = master.and_then(|master| Keys::of_12(suite, master, &random, &server.random));
                let (client, open) = both.unzip();
                (Phase::Pending(client), Phase::Pending(open))
            }
            (None, _) => (Phase::Closed, Phase::Closed),
        };
        (self.client_side.phase, self.server_side.phase) = (client, open);
        self.server = Some(server);
    }

    fn why_closed(&self) -> Damage {
        match &self.server {
            Some(server) if Suite::of(server.suite).is_none() => Damage::Tls("a cipher suite that is not opened"),
            _ => Damage::NoTlsSecrets { host: self.host().map(ToOwned::to_owned) },
        }
    }

    fn tell(&mut self, offset: u64, damage: Damage, sink: Sink<'_>) {
        if !std::mem::replace(&mut self.told, true) {
            sink(Opened::Damage(offset, damage));
        }
    }
}
