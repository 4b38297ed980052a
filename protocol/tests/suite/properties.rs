//! Properties over the fuzz targets' seeds, arbitrary input, and input of the right shape.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::proptest;
use warden_protocol::channel::{Channel, Opcode, What};
use warden_protocol::frame::{Deviation, Frame, PAYLOAD_OFFSET, decode};
use warden_protocol::seal::{Nonce, SessionKey};
use warden_protocol::wire::{Direction, Flags, MessageId, MessageType, PayloadType, Sha256, Side};

use crate::invariants;

fn run_seeds(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(seeds.len() >= 3, "{target}");
    for seed in seeds {
        eprintln!("{}", seed.display());
        body(&std::fs::read(seed).unwrap());
    }
}

#[test]
fn seeds_hold() {
    run_seeds("decode", invariants::decode);
    run_seeds("payload", invariants::payload);
    run_seeds("channel", invariants::channel);
    run_seeds("mux", invariants::mux);
}

fn message_type() -> impl Strategy<Value = MessageType> {
    prop_oneof![
        Just(MessageType::OUTPUT_STREAM_DATA),
        Just(MessageType::ACKNOWLEDGE),
        any::<[u8; 32]>().prop_map(MessageType::from_wire),
        "[a-z_é ]{0,16}".prop_map(|name| MessageType::named(&name).unwrap_or(MessageType::AGENT_JOB)),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let numbers = any::<(u32, u64, i64, u64, [u8; 16], u32)>();
    (message_type(), numbers, vec(any::<u8>(), 0..64)).prop_map(|(message_type, numbers, payload)| {
        let (schema_version, created_date, sequence, flags, id, payload_type) = numbers;
        Frame {
            schema_version,
            created_date,
            flags: Flags(flags),
            message_id: MessageId::from_wire(id),
            payload_digest: Sha256::of(&payload),
            ..Frame::stream(message_type, sequence, PayloadType(payload_type), payload.into())
        }
    })
}

proptest! {
    #[test]
    fn any_bytes_hold(data in vec(any::<u8>(), 0..300)) {
        invariants::decode(&data);
        invariants::payload(&data);
        invariants::channel(&data);
        invariants::mux(&data);
    }

    #[test]
    fn a_frame_comes_back_from_its_bytes(frame in frame()) {
        let decoded = decode(frame.encode()).unwrap();
        assert_eq!(decoded.frame.encode(), frame.encode());
        assert_eq!(decoded.frame, frame);
    }

    #[test]
    fn any_change_to_a_payload_is_seen(payload in vec(any::<u8>(), 1..64), at in any::<usize>(), flip in 1..=255_u8) {
        let frame = Frame::stream(MessageType::OUTPUT_STREAM_DATA, 0, PayloadType::OUTPUT, payload.into());
        let mut message = BytesMut::from(&frame.encode()[..]);
        let at = PAYLOAD_OFFSET + at % frame.payload.len();
        message[at] ^= flip;
        assert!(decode(message.freeze()).unwrap().deviations.contains(Deviation::BadDigest));
    }

    #[test]
    fn what_is_sealed_opens_unless_a_bit_changed(
        plaintext in vec(any::<u8>(), 0..64), nonce in any::<[u8; 12]>(), at in any::<usize>(), flip in 1..=255_u8,
    ) {
        let key = SessionKey::new(&[3; 64]).unwrap();
        let sealed = key.seal(Side::Client, Nonce(nonce), &plaintext).unwrap();
        assert_eq!(key.open(Side::Client, &sealed).unwrap(), plaintext);
        let mut changed = sealed.to_vec();
        let at = at % changed.len();
        changed[at] ^= flip;
        assert!(key.open(Side::Client, &changed).is_err());
    }

    #[test]
    fn order_inside_the_window_does_not_matter(
        order in Just((0..200_i64).collect::<Vec<_>>()).prop_shuffle(),
        repeats in vec(0..200_i64, 0..50),
    ) {
        let mut channel = Channel::new(None);
        let mut out = Vec::new();
        let mut take = |event: warden_protocol::channel::Event| {
            if let What::Output(bytes) = event.what {
                out.extend_from_slice(&bytes);
            }
        };
        for sequence in order.iter().chain(&repeats) {
            let payload = Bytes::from(format!("{sequence};"));
            let frame = Frame::stream(MessageType::OUTPUT_STREAM_DATA, *sequence, PayloadType::OUTPUT, payload);
            channel.feed(Timestamp::UNIX_EPOCH, Direction::ServiceToClient, Opcode::Binary, &frame.encode(), &mut take);
        }
        channel.finish(&mut take);
        let expected: String = (0..200).flat_map(|sequence| [sequence.to_string(), ";".to_owned()]).collect();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let agent = channel.report().agent;
        assert_eq!((agent.unique, agent.duplicates), (200, repeats.len() as u64));
        assert!(agent.missing.is_empty() && agent.conflicting == 0);
    }
}
