//! Golden vectors: bytes written and read by AWS's own serialisers and parsers.

use bytes::Bytes;
use serde_json::Value;
use warden_protocol::frame::{DecodeError, Decoded, Deviation, Frame, decode};
use warden_protocol::mux::{FrameHeader, HEADER_LENGTH};
use warden_protocol::payload::{Acknowledge, OpenDataChannel, Parsed, Payload, redact};
use warden_protocol::seal::SessionKey;
use warden_protocol::wire::{MessageId, MessageType, PayloadType, Side};

use crate::support::{self, hex, lines, unhex};

/// The vectors of the repository and, where `WARDEN_DATA` names the data, those of the data.
fn vectors() -> Vec<Value> {
    let mut vectors = lines(include_str!("../data/vectors.jsonl"));
    match support::data("made/vectors/vectors.jsonl") {
        Some(path) => vectors.extend(lines(&std::fs::read_to_string(path).unwrap())),
        None => eprintln!("only the vectors of the repository: WARDEN_DATA is not set"),
    }
    vectors
}

fn of_kind(kinds: &[&str]) -> Vec<Value> {
    let vectors: Vec<Value> =
        vectors().into_iter().filter(|vector| kinds.contains(&vector["kind"].as_str().unwrap())).collect();
    assert!(!vectors.is_empty(), "{kinds:?}");
    vectors
}

fn message(vector: &Value) -> Bytes {
    unhex(vector["hex"].as_str().unwrap()).into()
}

fn assert_fields(name: &str, frame: &Frame, fields: &Value) {
    let text = |key: &str| fields[key].as_str().unwrap().to_owned();
    let shown = [
        ("header_length", frame.header_length.to_string(), fields["header_length"].to_string()),
        ("message_type", frame.message_type.to_string(), text("message_type")),
        ("schema_version", frame.schema_version.to_string(), fields["schema_version"].to_string()),
        ("created_date", frame.created_date.to_string(), text("created_date")),
        ("sequence_number", frame.sequence_number.to_string(), text("sequence_number")),
        ("flags", frame.flags.0.to_string(), text("flags")),
        ("message_id", frame.message_id.to_string(), text("message_id")),
        ("payload_digest", frame.payload_digest.to_string(), text("payload_digest_hex")),
        ("payload_type", frame.payload_type.0.to_string(), fields["payload_type"].to_string()),
        ("payload_length", frame.payload_length.to_string(), fields["payload_length"].to_string()),
        ("payload", hex(&frame.payload), text("payload_hex")),
    ];
    for (field, got, expected) in shown {
        assert_eq!(got, expected, "{name}: {field}");
    }
}

fn decoded(vector: &Value) -> Decoded {
    let message = message(vector);
    let decoded = decode(message.clone()).unwrap_or_else(|error| panic!("{}: {error}", vector["name"]));
    assert_fields(&vector["name"].to_string(), &decoded.frame, &vector["fields"]);
    assert_eq!(decoded.frame.encode(), message, "{}", vector["name"]);
    decoded
}

#[test]
fn frames_decode_to_their_fields_and_encode_to_their_bytes() {
    for vector in of_kind(&["frame"]) {
        let deviations = decoded(&vector).deviations;
        assert!(deviations.is_empty(), "{}: {deviations:?}", vector["name"]);
    }
}

#[test]
fn what_upstream_accepts_is_accepted() {
    for vector in of_kind(&["decode-accept"]) {
        assert!(!decoded(&vector).deviations.contains(Deviation::BadDigest), "{}", vector["name"]);
    }
}

#[test]
fn what_upstream_refuses_after_decoding_is_decoded_with_a_deviation() {
    for vector in of_kind(&["validate-reject"]) {
        let expected = match vector["reason"].as_str().unwrap() {
            "HeaderLength cannot be zero" => Deviation::HeaderLength,
            "payload Hash is not valid" => Deviation::BadDigest,
            "MessageType is missing" | "MessageType cannot be empty" => Deviation::EmptyMessageType,
            "CreatedDate is missing" | "CreatedDate cannot be zero" => Deviation::ZeroCreatedDate,
            other => panic!("unexpected reason: {other}"),
        };
        assert!(decoded(&vector).deviations.contains(expected), "{}", vector["name"]);
    }
}

#[test]
fn what_upstream_cannot_decode_is_an_error_with_an_offset() {
    for vector in of_kind(&["decode-reject"]) {
        let message = message(&vector);
        match decode(message.clone()).unwrap_err() {
            DecodeError::Truncated { offset, size, length, .. } => {
                assert!(offset <= length && length < offset + size, "{}", vector["name"]);
            }
            DecodeError::PayloadBeyondEnd { start, length, .. } => assert!(start > length, "{}", vector["name"]),
            other => panic!("{}: {other}", vector["name"]),
        }
    }
}

#[test]
fn what_upstream_cannot_encode_cannot_be_built_or_encodes_here() {
    for vector in of_kind(&["encode-reject"]) {
        let fields = &vector["fields"];
        let Some(message_type) = MessageType::named(fields["message_type"].as_str().unwrap()) else {
            assert!(fields["message_type"].as_str().unwrap().len() > 32);
            continue;
        };
        // No nil pointer exists here, and an empty payload is read by both ends: both can be written.
        let payload = vec![b'x'; usize::try_from(fields["payload_length"].as_u64().unwrap()).unwrap()];
        let frame = Frame::stream(message_type, 0, PayloadType::OUTPUT, payload.into());
        assert_eq!(frame.message_id, MessageId::default());
        assert_eq!(decode(frame.encode()).unwrap().frame, frame);
    }
}

#[test]
fn payloads_are_read_as_upstream_reads_them() {
    for vector in of_kind(&["payload-accept"]) {
        let parsed = Payload::parse(&decoded(&vector).frame).unwrap();
        assert_eq!(parsed.faults, [], "{}", vector["name"]);
    }
    for vector in of_kind(&["payload-reject"]) {
        match Payload::parse(&decoded(&vector).frame) {
            Err(_) => {}
            // Asked for as a handshake, it is a stream message by its payload type.
            Ok(parsed) if vector["reason"].as_str().unwrap().contains("PayloadType is not") => {
                assert!(matches!(parsed.value, Payload::Output(_)));
            }
            Ok(parsed) => {
                let refused = parsed.faults.first().unwrap_or_else(|| panic!("{}: no fault", vector["name"]));
                assert!(vector["reason"].as_str().unwrap().contains(refused.key), "{}", vector["name"]);
            }
        }
    }
    let keys = vectors().into_iter().find(|vector| vector["name"].as_str().unwrap().contains("case-insensitive"));
    let parsed = Acknowledge::parse(&unhex(keys.unwrap()["fields"]["payload_hex"].as_str().unwrap())).unwrap();
    assert_eq!((parsed.value.sequence_number, &parsed.value.unknown["extra"]), (7, &Value::from(1)));
}

#[test]
fn typed_messages_are_written_as_upstream_writes_them() {
    let mut compared = 0;
    for vector in of_kind(&["frame"]) {
        let frame = decoded(&vector).frame;
        let Ok(parsed) = Payload::parse(&frame) else { continue };
        let written = match parsed.value {
            Payload::Acknowledge(it) => it.to_json(),
            Payload::ChannelClosed(it) => it.to_json(),
            Payload::HandshakeRequest(it) => it.to_json(),
            Payload::HandshakeComplete(it) => it.to_json(),
            Payload::AgentSessionState(it) => it.to_json(),
            Payload::Size(it) => it.to_json(),
            Payload::ExitCode(it) => it.encode(),
            _ => continue,
        };
        // Vectors that only carry a name have the payload `{}` or `{"x":1}`.
        if frame.payload.len() > 10 {
            assert_eq!(written.as_bytes(), &frame.payload[..], "{}", vector["name"]);
            compared += 1;
        }
    }
    assert!(compared >= 10, "{compared}");
}

fn sender(vector: &Value) -> Side {
    if vector["direction"] == "c2s" { Side::Client } else { Side::Agent }
}

#[test]
fn sealed_payloads_open_with_their_key_and_with_no_other() {
    for vector in of_kind(&["encrypted", "encrypted-challenge"]) {
        let key = SessionKey::from_hex(vector["data_key_hex"].as_str().unwrap()).unwrap();
        let sealed = message(&vector);
        let frame = decode(sealed).unwrap().frame;
        assert_fields(&vector["name"].to_string(), &frame, &vector["fields"]);
        if let Ok(Parsed { value: Payload::ChallengeRequest(it) | Payload::ChallengeResponse(it), .. }) =
            Payload::parse(&frame)
        {
            // The challenge is sealed inside its JSON.
            let plaintext = key.open(sender(&vector), &it.sealed).unwrap();
            assert_eq!(hex(&plaintext), vector["plaintext_hex"].as_str().unwrap(), "{}", vector["name"]);
            continue;
        }
        let plaintext = key.open_frame(sender(&vector), &frame).unwrap().unwrap();
        assert_eq!(hex(&plaintext), vector["plaintext_hex"].as_str().unwrap(), "{}", vector["name"]);
        let other = SessionKey::new(&[9; 64]).unwrap().open_frame(sender(&vector), &frame).unwrap_err();
        assert_eq!(other.sequence_number, frame.sequence_number);
        assert!(other.to_string().contains(&frame.message_id.to_string()));
    }
    for vector in of_kind(&["decrypt-reject"]) {
        let key = SessionKey::from_hex(vector["data_key_hex"].as_str().unwrap()).unwrap();
        assert!(key.open(sender(&vector), &message(&vector)).is_err(), "{}", vector["name"]);
    }
}

#[test]
fn opening_texts_are_read_and_shown_without_their_token() {
    for vector in of_kind(&["text"]) {
        let open = OpenDataChannel::parse(&message(&vector)).unwrap();
        assert_eq!((open.faults.len(), open.value.unknown.len()), (0, 0));
        let text: Value = serde_json::from_str(vector["text"].as_str().unwrap()).unwrap();
        assert_eq!(open.value.client_id, text["ClientId"].as_str().unwrap());
        if let Some(token) = text["TokenValue"].as_str() {
            assert_eq!(open.value.token.reveal(), token);
            assert!(!redact(&message(&vector)).contains(&format!(":{token:?}")));
        }
    }
}

#[test]
fn smux_headers_are_read() {
    for vector in of_kind(&["smux"]) {
        let Some(stream) = vector["hex"].as_str().map(unhex) else { continue };
        let mut rest = &stream[..];
        for expected in vector["fields"]["frames"].as_array().unwrap() {
            let (header, behind) = rest.split_first_chunk::<HEADER_LENGTH>().unwrap();
            let header = FrameHeader::decode(*header);
            let numbers = [header.version.into(), header.command.0.into(), header.length.into(), header.stream_id];
            let keys = ["version", "cmd", "length", "stream_id"];
            assert_eq!(numbers.map(Value::from), keys.map(|key| expected[key].clone()), "{}", vector["name"]);
            rest = &behind[header.length.into()..];
        }
        assert!(rest.is_empty());
    }
}
