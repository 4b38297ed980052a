use bytes::Bytes;

use super::session_type::infer;
use super::{Anomaly, Channel, Encryption, Event, Evidence, Item, Seal, SessionType, What};
use crate::payload::{HandshakeRequest, HandshakeResponse, Parsed, Payload};
use crate::reorder::Ordered;
use crate::wire::Side;

impl Channel {
    /// Hands out messages that are in order.
    pub(super) fn deliver(&mut self, side: Side, ready: Vec<Ordered<Item>>, sink: &mut dyn FnMut(Event)) {
        let latest = self.now;
        for ordered in ready {
            match ordered {
                Ordered::Item(item) => {
                    self.now = (item.n, item.at);
                    self.item(side, &item, sink);
                    self.now = latest;
                }
                Ordered::Missing(missing) => {
                    self.stream(side).missed(missing);
                    self.event(side, None, What::Missing(missing), sink);
                }
            }
        }
    }

    fn item(&mut self, side: Side, item: &Item, sink: &mut dyn FnMut(Event)) {
        let frame = &item.frame;
        let payload_type = frame.payload_type;
        let seal = self.settled(side, item);
        if side == Side::Agent && seal != Seal::Clear {
            self.follow_nonce(item, &frame.payload, sink);
        }
        let payload = match seal {
            Seal::Clear => frame.payload.clone(),
            Seal::Opened(plaintext) => {
                self.stream(side).report.decrypted += 1;
                plaintext
            }
            Seal::Closed(error) => {
                self.stream(side).report.encrypted += 1;
                if let Some(error) = error {
                    self.event(side, Some(frame), What::Anomaly(Anomaly::DoesNotOpen(error)), sink);
                }
                let bytes = frame.payload.clone();
                return self.event(side, Some(frame), What::Sealed { payload_type, bytes }, sink);
            }
        };
        self.stream(side).count_bytes(payload_type, &payload);
        if let Some((session_type, evidence)) = infer(side, payload_type, &payload) {
            self.note_session_type(session_type, evidence);
        }
        match Payload::read(&frame.message_type, payload_type, payload.clone()) {
            Ok(parsed) => self.payload(side, item, parsed, payload, sink),
            Err(error) => self.event(side, Some(frame), What::Anomaly(Anomaly::Unreadable(error)), sink),
        }
    }

    /// What is known about the seal now: the handshake may have been delivered after the message had come.
    fn settled(&self, side: Side, item: &Item) -> Seal {
        match (&item.seal, self.encryption) {
            (Seal::Closed(_), Encryption::Off) => Seal::Clear,
            (Seal::Clear, Encryption::On) => self.seal_of(side, &item.frame),
            (seal, _) => seal.clone(),
        }
    }

    fn follow_nonce(&mut self, item: &Item, sealed: &[u8], sink: &mut dyn FnMut(Event)) {
        if let Some(jump) = self.agent.follow_nonce(sealed) {
            self.event(Side::Agent, Some(&item.frame), What::Anomaly(Anomaly::NonceJump(jump)), sink);
        }
    }

    fn payload(&mut self, side: Side, item: &Item, parsed: Parsed<Payload>, bytes: Bytes, sink: &mut dyn FnMut(Event)) {
        let frame = &item.frame;
        if !parsed.faults.is_empty() {
            self.event(side, Some(frame), What::Anomaly(Anomaly::Refused(parsed.faults)), sink);
        }
        let what = match parsed.value {
            Payload::Output(bytes) if side == Side::Client => What::Input(bytes),
            Payload::Output(bytes) => What::Output(bytes),
            Payload::StdErr(bytes) => What::StdErr(bytes),
            Payload::Size(terminal) => What::Resize(terminal),
            Payload::Flag(flag) => What::Flag(flag),
            Payload::ExitCode(code) => {
                self.report.exit_code = Some(code.0);
                What::ExitCode(code)
            }
            Payload::HandshakeRequest(request) => {
                self.handshake_request(side, &request);
                What::HandshakeRequest(request)
            }
            Payload::HandshakeResponse(response) => {
                self.handshake_response(side, &response);
                What::HandshakeResponse(response)
            }
            Payload::HandshakeComplete(complete) => What::HandshakeComplete(complete),
            Payload::ChallengeRequest(challenge) => {
                self.follow_nonce(item, &challenge.sealed, sink);
                self.challenge = Some(challenge.clone());
                What::ChallengeRequest(challenge)
            }
            Payload::ChallengeResponse(challenge) => {
                let answers = self.key.as_ref().zip(self.challenge.as_ref());
                let answers = answers.map(|(key, request)| key.answers(request, &challenge) == Ok(true));
                What::ChallengeResponse { challenge, answers }
            }
            _ => What::Other { payload_type: frame.payload_type, bytes },
        };
        self.event(side, Some(frame), what, sink);
    }

    fn handshake_request(&mut self, side: Side, request: &HandshakeRequest) {
        // Only the agent's word counts.
        if side != Side::Agent {
            return;
        }
        self.report.agent_version = Some(request.agent_version.clone());
        if let Some(announced) = request.session_type() {
            self.note_session_type(SessionType::named(&announced.value.session_type), Evidence::Handshake);
        }
        self.encryption = match request.kms() {
            Some(kms) => {
                self.report.kms_key_id = Some(kms.value.key_id);
                Encryption::On
            }
            None => Encryption::Off,
        };
    }

    fn handshake_response(&mut self, side: Side, response: &HandshakeResponse) {
        if side != Side::Client {
            return;
        }
        if self.encryption == Encryption::Unknown && response.kms().is_some() {
            self.encryption = Encryption::On;
        }
        if !response.client_version.is_empty() {
            self.report.client_version = Some(response.client_version.clone());
        }
    }

    fn note_session_type(&mut self, session_type: SessionType, evidence: Evidence) {
        if self.report.session_type.as_ref().is_none_or(|(_, before)| *before < evidence) {
            self.report.session_type = Some((session_type, evidence));
        }
    }
}
