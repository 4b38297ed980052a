//! What must hold for any bytes: the bodies of the fuzz targets, which the ordinary tests run over the seeds and over
//! random input too.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use warden_protocol::channel::{Channel, Event, Opcode, What};
use warden_protocol::connection::ConnectionWhat;
use warden_protocol::frame::{
    Decoded, Deviation, DigestState, Frame, MAX_MESSAGE_LENGTH, PAYLOAD_OFFSET, decode as decode_frame,
    decode_unverified,
};
use warden_protocol::mux::{FrameHeader, HEADER_LENGTH, Mux};
use warden_protocol::payload::{
    Acknowledge, AgentSessionState, ChannelClosed, EncryptionChallenge, HandshakeComplete, HandshakeRequest,
    HandshakeResponse, InteractiveShell, OpenDataChannel, Payload, Size, control, parse_json, redact,
};
use warden_protocol::port::Forwarding;
use warden_protocol::seal::{Nonce, SessionKey};
use warden_protocol::wire::{Direction, MessageType, PayloadType, Sha256, Side};

const AT: Timestamp = Timestamp::UNIX_EPOCH;

/// Decoding is total; encoding gives the bytes back; a strict frame is what it says.
pub(crate) fn decode(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let decoded = decode_frame(message.clone());
    let Decoded { frame, deviations } = match decoded {
        Ok(decoded) => decoded,
        Err(error) => {
            assert!(error.offset() <= data.len().max(MAX_MESSAGE_LENGTH));
            assert!(error.to_string().len() < 200);
            return;
        }
    };
    assert_eq!(frame.encode(), message);
    assert!(data.ends_with(&frame.payload));
    assert_eq!(deviations.contains(Deviation::BadDigest), frame.digest_state() == DigestState::Bad);
    assert_eq!(decode_unverified(message.clone()).unwrap().frame, frame);
    if deviations.is_empty() {
        assert_eq!(frame.payload, message.slice(PAYLOAD_OFFSET..));
        assert_eq!(frame.payload.len(), frame.payload_length as usize);
        assert!(frame.payload.is_empty() || Sha256::of(&frame.payload) == frame.payload_digest);
        assert_eq!(MessageType::named(&frame.message_type.to_text()), Some(frame.message_type));
    }
    let _ = Payload::parse(&frame);
}

/// Reading is total; what is read without a fault is written and read again as the same; no token is shown.
pub(crate) fn payload(data: &[u8]) {
    macro_rules! round_trips {
        ($($message:ty),*) => { $(
            if let Ok(parsed) = <$message>::parse(data) {
                let again = <$message>::parse(parsed.value.to_json().as_bytes()).unwrap();
                assert!(again.value == parsed.value, "{:?}", parsed.value);
                assert_eq!(again.faults, []);
            }
        )* };
    }
    if let Ok(value) = parse_json(data) {
        assert_eq!(parse_json(value.to_string().as_bytes()).unwrap(), value);
    }
    round_trips!(Acknowledge, ChannelClosed, Size, HandshakeRequest, HandshakeResponse, HandshakeComplete);
    round_trips!(EncryptionChallenge, AgentSessionState, InteractiveShell, control::SessionTask);
    round_trips!(control::TaskComplete, control::AgentJob, control::AgentJobReply, control::AgentJobAck);
    if let Ok(parsed) = HandshakeRequest::parse(data) {
        let _ = (parsed.value.session_type(), parsed.value.kms());
    }
    if let Ok(parsed) = HandshakeResponse::parse(data) {
        let _ = parsed.value.kms();
    }
    let shown = redact(data);
    if let Ok(open) = OpenDataChannel::parse(data) {
        let shown = OpenDataChannel::parse(shown.as_bytes()).unwrap().value;
        let (secret, shown) = (open.value.token, shown.token);
        if open.faults.is_empty() && !secret.reveal().is_empty() {
            assert_eq!(shown.reveal(), secret.digest().to_string());
        }
    }
    for payload_type in 0..14 {
        let bytes = Bytes::copy_from_slice(data);
        let _ = Payload::read(&MessageType::OUTPUT_STREAM_DATA, PayloadType(payload_type), bytes);
    }
}

/// Any frames in any order: what comes out is in order, nothing is counted twice or forgotten, the window holds. Frames
/// that differ only in their order, inside the window, give the same streams.
pub(crate) fn channel(data: &[u8]) {
    arbitrary_frames(data);
    permuted_frames(data);
}

const WINDOW: usize = 8;

fn arbitrary_frames(data: &[u8]) {
    let mut source = Source { data };
    let key = (source.byte() % 2 == 1).then(|| SessionKey::new(&[7; 64]).unwrap());
    let mut channel = Channel::with_window(key, WINDOW, 256);
    let (mut last, mut fed) = (BTreeMap::new(), 0_u64);
    let mut forwarding = Forwarding::default();
    let mut check = |event: Event| {
        forwarding.feed(&event, &mut |_| {});
        // Anomalies belong to a frame that comes, everything else about a sequence number to one that is in order.
        let number = match (&event.what, event.sequence) {
            (What::Anomaly(_), _) | (_, None) => return,
            (_, Some(number)) => number,
        };
        let before = last.insert(event.side, number);
        assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
    };
    while !source.data.is_empty() && fed < 4096 {
        let (direction, opcode, message) = arbitrary_message(&mut source);
        let verdict = channel.feed(AT, direction, opcode, &message, &mut check);
        let _ = (verdict.status(), verdict.payload());
        fed += 1;
        assert!(channel.held() <= 2 * WINDOW);
    }
    channel.finish(&mut check);
    forwarding.finish(&mut |_| {});
    assert_eq!(channel.held(), 0);
    let report = channel.report();
    assert_eq!(report.frames, fed);
    let counted = report.counts.values().sum::<u64>() + report.uncounted;
    assert_eq!(counted + report.undecodable + report.texts, fed);
}

/// Mostly stream messages with small sequence numbers, some of any type, some not even frames.
fn arbitrary_message(source: &mut Source<'_>) -> (Direction, Opcode, Bytes) {
    let directions =
        [Direction::ClientToService, Direction::ServiceToClient, Direction::AgentToService, Direction::ServiceToAgent];
    let direction = directions[usize::from(source.byte() % 4)];
    let kind = source.byte();
    let opcode = if kind >= 0xf8 { Opcode::Text } else { Opcode::Binary };
    let length = usize::from(source.byte() % 64);
    if kind >= 0xf0 {
        return (direction, opcode, Bytes::copy_from_slice(source.bytes(length)));
    }
    let types = [
        MessageType::OUTPUT_STREAM_DATA,
        MessageType::INPUT_STREAM_DATA,
        MessageType::ACKNOWLEDGE,
        MessageType::CHANNEL_CLOSED,
        MessageType::PAUSE_PUBLICATION,
        MessageType::START_PUBLICATION,
        MessageType::INTERACTIVE_SHELL,
    ];
    let message_type = types.get(usize::from(kind % 16)).copied().unwrap_or(MessageType::OUTPUT_STREAM_DATA);
    let sequence = i64::from(source.byte().cast_signed());
    let payload_type = PayloadType(u32::from(source.byte() % 14));
    let payload = Bytes::copy_from_slice(source.bytes(length));
    let mut frame = Frame::stream(message_type, sequence, payload_type, payload);
    if kind & 0x10 != 0 {
        frame.payload_digest = Sha256::default();
    }
    (direction, opcode, frame.encode())
}

/// Payloads by side and payload type (what stays sealed under 255), and what is missing.
type Streams = (BTreeMap<(Side, u32), Vec<u8>>, Vec<(Side, i64, i64)>);

fn permuted_frames(data: &[u8]) {
    let mut source = Source { data };
    let (count, kind) = (usize::from(source.byte()) % (WINDOW + 1), source.byte());
    let (is_sealed, has_key) = (kind & 1 == 1, kind & 2 == 2);
    let frames = session(count, is_sealed, &mut source);
    let mut order: Vec<usize> = (0..frames.len()).collect();
    for n in (1..frames.len()).rev() {
        order.swap(n, usize::from(source.byte()) % (n + 1));
    }
    // Some come twice; the second copy changes nothing.
    let repeats: Vec<usize> = (0..source.byte() % 4).map(|_| usize::from(source.byte())).collect();
    let repeated = order.iter().copied().chain(repeats.into_iter().filter(|n| *n < frames.len()));
    assert_eq!(streams(repeated.map(|n| &frames[n]), has_key), streams(frames.iter(), has_key));
}

/// The stream messages of a session, some of them lost.
fn session(count: usize, is_sealed: bool, source: &mut Source<'_>) -> Vec<(Direction, Bytes)> {
    let key = SessionKey::new(&[7; 64]).unwrap();
    let (mut sent, mut frames) = ([0_i64; 2], Vec::new());
    for n in 0..count {
        let kind = source.byte();
        let (direction, message_type, side) = if kind & 1 == 1 {
            (Direction::ClientToService, MessageType::INPUT_STREAM_DATA, Side::Client)
        } else {
            (Direction::ServiceToClient, MessageType::OUTPUT_STREAM_DATA, Side::Agent)
        };
        let sequence = sent[usize::from(kind & 1)];
        sent[usize::from(kind & 1)] += 1;
        let mut payload_type = PayloadType([1, 11, 2, 1][usize::from(source.byte() % 4)]);
        let length = usize::from(source.byte() % 16);
        let mut payload = Bytes::copy_from_slice(source.bytes(length));
        if is_sealed && sequence == 0 {
            (payload_type, payload) = handshake(side);
        } else if is_sealed && payload_type.is_sealed_by(side) {
            payload = key.seal(side, Nonce([u8::try_from(n).unwrap(); 12]), &payload).unwrap();
        }
        if kind < 0xe0 {
            frames.push((direction, Frame::stream(message_type, sequence, payload_type, payload).encode()));
        }
    }
    frames
}

fn handshake(side: Side) -> (PayloadType, Bytes) {
    let (payload_type, text) = if side == Side::Agent {
        (PayloadType::HANDSHAKE_REQUEST, r#"{"RequestedClientActions":[{"ActionType":"KMSEncryption"}]}"#)
    } else {
        (PayloadType::HANDSHAKE_RESPONSE, r#"{"ProcessedClientActions":[{"ActionType":"KMSEncryption"}]}"#)
    };
    (payload_type, Bytes::from_static(text.as_bytes()))
}

fn streams<'a>(frames: impl Iterator<Item = &'a (Direction, Bytes)>, has_key: bool) -> Streams {
    let key = has_key.then(|| SessionKey::new(&[7; 64]).unwrap());
    let mut channel = Channel::with_window(key, 2 * WINDOW, 1 << 16);
    let (mut streams, mut missing) = Streams::default();
    let mut take = |event: Event| {
        let (payload_type, bytes) = match event.what {
            What::Output(bytes) | What::Input(bytes) => (1, bytes),
            What::StdErr(bytes) => (11, bytes),
            What::Other { payload_type, bytes } => (payload_type.0, bytes),
            What::Sealed { bytes, .. } => (255, bytes),
            What::Missing(gap) => return missing.push((event.side, gap.from, gap.to)),
            _ => return,
        };
        streams.entry((event.side, payload_type)).or_default().extend_from_slice(&bytes);
    };
    for (direction, message) in frames {
        channel.feed(AT, *direction, Opcode::Binary, message, &mut take);
    }
    channel.finish(&mut take);
    missing.sort_unstable();
    (streams, missing)
}

/// Every byte of a mux stream goes where a plain reading of the format puts it, however it is cut into messages.
pub(crate) fn mux(data: &[u8]) {
    let mut source = Source { data };
    let cuts: Vec<usize> = (0..source.byte() % 8).map(|_| usize::from(source.byte())).collect();
    let expected = plain_reading(source.data);
    let mut rest = Bytes::copy_from_slice(source.data);
    assert_eq!(demultiplex(std::iter::once(rest.clone())), expected);
    let mut pieces: Vec<Bytes> = cuts.into_iter().map(|cut| rest.split_to(cut.min(rest.len()))).collect();
    pieces.push(rest);
    let cut = demultiplex(pieces.into_iter());
    // After bytes that are no header, a message that starts with one is followed again.
    if expected.unparsed.is_empty() {
        assert_eq!(cut, expected);
    }
}

/// Data by stream, and what belongs to none.
#[derive(Debug, Default, PartialEq)]
struct Demultiplexed {
    streams: BTreeMap<u32, Vec<u8>>,
    unparsed: Vec<u8>,
}

fn plain_reading(mut data: &[u8]) -> Demultiplexed {
    let mut reading = Demultiplexed::default();
    while let Some((header, rest)) = data.split_first_chunk::<HEADER_LENGTH>() {
        let header = FrameHeader::decode(*header);
        assert_eq!(FrameHeader::decode(header.encode()), header);
        if !header.is_valid() {
            reading.unparsed = data.to_vec();
            break;
        }
        let (bytes, rest) = rest.split_at(usize::from(header.length).min(rest.len()));
        if !bytes.is_empty() {
            reading.streams.entry(header.stream_id).or_default().extend_from_slice(bytes);
        }
        data = rest;
    }
    reading
}

fn demultiplex(pieces: impl Iterator<Item = Bytes>) -> Demultiplexed {
    let mut mux = Mux::default();
    let mut run = Demultiplexed::default();
    for piece in pieces {
        mux.feed(AT, Side::Client, &piece, &mut |event| match event.what {
            ConnectionWhat::Data(bytes) | ConnectionWhat::Stray(bytes) => {
                run.streams.entry(event.id).or_default().extend_from_slice(&bytes);
            }
            ConnectionWhat::Unparsed(bytes) => run.unparsed.extend_from_slice(&bytes),
            _ => {}
        });
    }
    let recorded: u64 = mux.connections().map(|connection| connection.client.bytes()).sum();
    assert!(recorded <= run.streams.values().map(|bytes| bytes.len() as u64).sum());
    run
}

/// Takes numbers and bytes off the front of the input; zero behind its end.
struct Source<'a> {
    data: &'a [u8],
}

impl<'a> Source<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.data.split_at(count.min(self.data.len()));
        self.data = rest;
        taken
    }
}
