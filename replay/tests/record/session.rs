//! Sessions as steps, and what a capture of them holds.

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Value, json};
use warden_protocol::frame::Frame;
use warden_protocol::wire::{MessageType, PayloadType, Sha256};

use crate::capture::Record;
use crate::wire::Step;

pub(crate) const TOKEN: &str = "AAEAAbearer+secret/of-the-channel==";
pub(crate) const SESSION: &str = "alice-07062cb2023ce1c3a";

pub(crate) fn open() -> Step {
    let text = json!({"MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": TOKEN, "ClientId": "c"});
    Step::client(0x81, text.to_string())
}

pub(crate) fn frame(kind: MessageType, sequence: i64, text: &[u8]) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(text);
    Frame { created_date: 1_732_279_474_000, ..Frame::stream(kind, sequence, PayloadType::OUTPUT, payload) }
        .encode()
        .to_vec()
}

pub(crate) fn typed(sequence: i64, text: &str) -> Step {
    Step::client(0x82, frame(MessageType::INPUT_STREAM_DATA, sequence, text.as_bytes()))
}

pub(crate) fn shown(sequence: i64, text: &str) -> Step {
    Step::service(0x82, frame(MessageType::OUTPUT_STREAM_DATA, sequence, text.as_bytes()))
}

/// A shell in which `id` is typed and a password at a prompt, with pings, fragments and a close.
pub(crate) fn shell() -> Vec<Step> {
    let whole = frame(MessageType::OUTPUT_STREAM_DATA, 4, b"uid=0(root)\r\n# ");
    vec![
        open(),
        Step::client(0x89, *b"keepalive"),
        Step::service(0x8a, *b"keepalive"),
        shown(0, "$ "),
        typed(0, "s"),
        shown(1, "s"),
        typed(1, "udo id\r"),
        shown(2, "udo id\r\n[sudo] password for alice: "),
        typed(2, "hunter2"),
        typed(3, "\r"),
        shown(3, "\r\n"),
        Step::service(0x02, &whole[..100]),
        Step::service(0x89, *b"between"),
        Step::service(0x80, &whole[100..]),
        Step::client(0x8a, *b"between"),
        Step::service(0x88, [3, 232]),
        Step::client(0x88, [3, 232]),
    ]
}

/// What of the records are messages, without their times: compared with the steps.
pub(crate) fn messages(records: &[Record]) -> Vec<(u8, u8, u32, Vec<u8>, bool)> {
    let message = |record: &Record| {
        let (direction, opcode, socket, bytes, masked) = record.message()?;
        Some((direction, opcode, socket, bytes.to_vec(), masked))
    };
    records.iter().filter_map(message).collect()
}

/// The messages of steps as a capture holds them, fragments joined, if nothing is masked and no token replaced.
pub(crate) fn expected(steps: &[Step]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let (mut out, mut socket) = (Vec::new(), 0);
    let mut parts: Option<(u8, Vec<u8>)> = None;
    for step in steps {
        socket += u32::from(step.is_new_socket);
        let (is_last, opcode) = (step.first & 0x80 != 0, step.first & 0x0f);
        let direction = if step.is_from_client { 1 } else { 2 };
        let (opcode, payload) = match (opcode, &mut parts) {
            (8.., _) => (opcode, step.payload.clone()),
            (0, Some((_, bytes))) => {
                bytes.extend_from_slice(&step.payload);
                if !is_last {
                    continue;
                }
                parts.take().unwrap()
            }
            _ if !is_last => {
                parts = Some((opcode, step.payload.clone()));
                continue;
            }
            _ => (opcode, step.payload.clone()),
        };
        out.push((direction, opcode, socket, payload));
    }
    out
}

/// Asserts that a capture holds these steps; how many messages are masked.
pub(crate) fn assert_holds(records: &[Record], steps: &[Step]) -> usize {
    let (found, expected) = (messages(records), expected(steps));
    assert_eq!(found.len(), expected.len());
    let mut masked = 0;
    for (n, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!((found.0, found.1, found.2), (expected.0, expected.1, expected.2), "message {n}");
        if expected.1 == 1 {
            let (found, expected): (Value, Value) =
                (serde_json::from_slice(&found.3).unwrap(), serde_json::from_slice(&expected.3).unwrap());
            let token = expected["TokenValue"].as_str().unwrap_or_default();
            assert_eq!(found["TokenValue"], Sha256::of(token.as_bytes()).to_string());
            assert_eq!(found["ClientId"], expected["ClientId"]);
        } else if found.4 {
            masked += 1;
            assert_eq!((found.0, found.3.len()), (1, expected.3.len()));
            assert_eq!(
                (&found.3[..80], &found.3[80..112]),
                (&expected.3[..80], &[0; 32][..]),
                "the digest is withheld"
            );
        } else {
            assert_eq!(found.3, expected.3, "message {n}");
        }
    }
    masked
}

/// A session whose output does not fit into a file of 16 blocks.
pub(crate) fn long() -> Vec<Step> {
    let line = "0123456789abcdef".repeat(60);
    let output = (0..60).flat_map(|n| [typed(n, "\r"), shown(n, &line)]);
    [open()].into_iter().chain(output).collect()
}

pub(crate) fn step(line: &str) -> Step {
    let line: Value = serde_json::from_str(line).unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(line["b64"].as_str().unwrap()).unwrap();
    let first = 0x80 | u8::try_from(line["opcode"].as_u64().unwrap()).unwrap();
    if line["dir"] == "c2s" { Step::client(first, payload) } else { Step::service(first, payload) }
}
