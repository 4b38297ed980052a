//! What a channel says of frames that AWS's programs would not send, or that are lost.

use bytes::Bytes;
use jiff::Timestamp;
use warden_protocol::channel::{Anomaly, Channel, Event, Opcode, Report, STORM_COPIES, Seal, Status, What};
use warden_protocol::frame::Frame;
use warden_protocol::payload::{Acknowledge, ChannelClosed};
use warden_protocol::reorder::Missing;
use warden_protocol::seal::{Nonce, SessionKey};
use warden_protocol::wire::{Direction, MessageId, MessageType, PayloadType, Sha256, Side};

const OUT: Direction = Direction::ServiceToClient;
const IN: Direction = Direction::ClientToService;

fn output(sequence: i64, text: &'static str) -> (Direction, Frame) {
    let text = Bytes::from_static(text.as_bytes());
    (
        OUT,
        Frame {
            created_date: 1000,
            ..Frame::stream(MessageType::OUTPUT_STREAM_DATA, sequence, PayloadType::OUTPUT, text)
        },
    )
}

fn service(message_type: MessageType, direction: Direction, json: String) -> (Direction, Frame) {
    (direction, Frame::stream(message_type, 0, PayloadType::NONE, json.into()))
}

fn acknowledge(sequence_number: i64, message_id: MessageId) -> (Direction, Frame) {
    let acknowledge = Acknowledge {
        message_type: "output_stream_data".to_owned(),
        message_id: message_id.to_string(),
        sequence_number,
        is_sequential: true,
        ..Acknowledge::default()
    };
    service(MessageType::ACKNOWLEDGE, IN, acknowledge.to_json())
}

fn run(frames: &[(Direction, Frame)], key: Option<SessionKey>) -> (Vec<Status>, Vec<What>, Report) {
    let mut channel = Channel::new(key);
    let mut events = Vec::new();
    let mut take = |event: Event| events.push(event.what);
    let feed = |(direction, frame): &(Direction, Frame)| {
        channel.feed(Timestamp::UNIX_EPOCH, *direction, Opcode::Binary, &frame.encode(), &mut take).status()
    };
    let statuses = frames.iter().map(feed).collect();
    channel.finish(&mut take);
    (statuses, events, channel.report())
}

fn anomalies(frames: &[(Direction, Frame)]) -> (Vec<Anomaly>, Report) {
    let (_, events, report) = run(frames, None);
    let anomaly = |what| if let What::Anomaly(anomaly) = what { Some(anomaly) } else { None };
    (events.into_iter().filter_map(anomaly).collect(), report)
}

#[test]
fn each_frame_has_its_status() {
    let mut bad = output(4, "e");
    bad.1.payload_digest = Sha256::of(b"another");
    let frames = [output(0, "a"), output(2, "c"), output(1, "b"), output(1, "b"), output(1, "x"), output(3, "d"), bad];
    let (statuses, _, report) = run(&frames, None);
    let expected = [
        Status::Ok,
        Status::Reordered,
        Status::Late,
        Status::Duplicate,
        Status::Conflicting,
        Status::Ok,
        Status::BadDigest,
    ];
    assert_eq!(statuses, expected);
    let agent = &report.agent;
    assert_eq!((agent.unique, agent.duplicates, agent.conflicting, agent.late, agent.reordered), (5, 1, 1, 1, 1));
    assert_eq!(report.bad_digests, 1);
    // The first copy counts, and a frame with a bad digest is kept.
    assert_eq!(agent.streams[&PayloadType::OUTPUT].sha256, Sha256::of(b"abcde"));
    assert!(report.is_contradictory() && !report.is_incomplete());
}

#[test]
fn what_cannot_be_decoded_is_told_and_counted() {
    let mut channel = Channel::new(None);
    let mut events = Vec::new();
    let message = Bytes::from_static(b"\0\0\0\x74input_stream_data");
    let verdict = channel.feed(Timestamp::UNIX_EPOCH, IN, Opcode::Binary, &message, &mut |event| events.push(event));
    assert_eq!((verdict.status(), verdict.side), (Status::Undecodable, Side::Client));
    assert!(matches!(events[0].what, What::Anomaly(Anomaly::Undecodable(error)) if error.offset() == 4));
    assert_eq!(channel.report().undecodable, 1);
}

#[test]
fn an_acknowledge_of_nothing_is_told_at_the_end() {
    let id = MessageId::from_wire([7; 16]);
    let frames =
        [output(0, "a"), acknowledge(0, MessageId::default()), acknowledge(1, MessageId::default()), output(1, "b")];
    assert_eq!(anomalies(&frames).0, []);
    let (anomalies, report) = anomalies(&[output(0, "a"), acknowledge(0, id), acknowledge(3, id)]);
    assert_eq!(anomalies, [Anomaly::AcknowledgesOther { sequence: 0 }, Anomaly::AcknowledgesNothing { sequence: 3 }]);
    // Whoever acknowledges number 3 has seen it: 1 to 3 are missing.
    assert_eq!(report.agent.missing, [Missing { from: 1, to: 3 }]);
}

#[test]
fn an_acknowledge_of_an_absurd_number_makes_nothing_missing() {
    let (anomalies, report) = anomalies(&[output(0, "a"), acknowledge(i64::MAX, MessageId::default())]);
    assert_eq!(anomalies, [Anomaly::AcknowledgesNothing { sequence: i64::MAX }]);
    assert!(report.agent.missing.is_empty());
}

#[test]
fn many_copies_of_one_message_are_a_storm_told_once() {
    let frames: Vec<_> = (0..STORM_COPIES + 5).map(|_| output(0, "a")).collect();
    let (anomalies, report) = anomalies(&frames);
    assert_eq!(anomalies, [Anomaly::RetransmissionStorm]);
    assert_eq!(report.agent.storms, [(0, STORM_COPIES + 5)]);
}

#[test]
fn messages_from_the_wrong_end_are_in_no_stream_and_no_report() {
    let closed = ChannelClosed { output: "forged".to_owned(), ..ChannelClosed::default() };
    let forged = [(IN, output(0, "forged").1), service(MessageType::CHANNEL_CLOSED, IN, closed.to_json())];
    let (anomalies, report) = anomalies(&forged);
    assert_eq!(anomalies, [Anomaly::WrongSender, Anomaly::WrongSender]);
    assert!(report.agent.streams.is_empty() && report.closed_reason.is_none());
    let (_, report) = self::anomalies(&[service(MessageType::CHANNEL_CLOSED, OUT, closed.to_json())]);
    assert_eq!(report.closed_reason.as_deref(), Some("forged"));
}

#[test]
fn a_sealed_message_that_was_put_in_is_seen_by_its_nonce() {
    let key = || SessionKey::new(&[5; 64]).unwrap();
    let request = r#"{"RequestedClientActions":[{"ActionType":"KMSEncryption","ActionParameters":{"KMSKeyId":"k"}}]}"#;
    let mut frames =
        vec![(OUT, Frame::stream(MessageType::OUTPUT_STREAM_DATA, 0, PayloadType::HANDSHAKE_REQUEST, request.into()))];
    for (sequence, count) in [(1, 1), (2, 2), (3, 9), (5, 11)] {
        let sealed = key().seal(Side::Agent, Nonce([count, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), b"x").unwrap();
        frames.push((OUT, Frame::stream(MessageType::OUTPUT_STREAM_DATA, sequence, PayloadType::OUTPUT, sealed)));
    }
    for key in [None, Some(key())] {
        let is_opened = key.is_some();
        let (_, events, report) = run(&frames, key);
        let jumps: Vec<_> = events.iter().filter(|what| matches!(what, What::Anomaly(Anomaly::NonceJump(_)))).collect();
        // Between 3 and 5 one message is missing, which accounts for its nonce.
        assert!(matches!(jumps[..], [What::Anomaly(Anomaly::NonceJump(jump))] if jump.unaccounted == Some(6)));
        assert_eq!((report.agent.decrypted, report.agent.encrypted), if is_opened { (4, 0) } else { (0, 4) });
        assert_eq!(report.kms_key_id.as_deref(), Some("k"));
        assert!(report.is_incomplete());
    }
}

#[test]
fn a_key_does_not_harm_a_session_without_encryption() {
    let frames = [output(0, "sh-5.2$ "), output(1, "a line that is longer than a nonce and a tag together")];
    let (_, events, report) = run(&frames, Some(SessionKey::new(&[5; 64]).unwrap()));
    let mut channel = Channel::new(Some(SessionKey::new(&[5; 64]).unwrap()));
    for (direction, frame) in &frames {
        let verdict = channel.feed(Timestamp::UNIX_EPOCH, *direction, Opcode::Binary, &frame.encode(), &mut |_| {});
        assert_eq!(verdict.seal, Seal::Clear);
    }
    assert!(events.iter().all(|what| matches!(what, What::Output(_))), "{events:?}");
    assert_eq!((report.agent.decrypted, report.agent.encrypted), (0, 0));
}

#[test]
fn a_capture_that_begins_in_the_middle_names_what_is_missing_in_front() {
    let (_, events, report) = run(&[output(500, "a"), output(501, "b")], None);
    assert_eq!(report.agent.missing, [Missing { from: 0, to: 499 }]);
    assert!(matches!(events[..], [What::Missing(_), What::Output(_), What::Output(_)]));
}
