use std::io::Read;

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use warden_protocol::channel::Opcode;
use warden_protocol::frame::{DigestState, Frame, decode};
use warden_protocol::wire::{Direction, MessageType, PayloadType, Sha256};

use super::layout::{HEAD, OVERHEAD};
use super::*;

const MARKER: [u8; 8] = *b"\x01marker\xfe";

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_732_279_474_000 + millisecond).unwrap()
}

fn header() -> Header {
    Header {
        created: at(0),
        tool: "warden test".to_owned(),
        session: Some("s-0123456789abcdef0".to_owned()),
        target: Some("i-0123456789abcdef0".to_owned()),
        region: Some("eu-central-1".to_owned()),
        host: None,
        document: None,
        masked: vec![Masked::Token, Masked::NoEchoInput],
    }
}

fn passed(n: i64, opcode: u8, bytes: impl Into<Bytes>) -> Passed {
    let direction = if n % 2 == 0 { Direction::ClientToService } else { Direction::ServiceToClient };
    Passed { socket: 0, at: at(n), direction, opcode, bytes: bytes.into() }
}

fn output(n: i64) -> Bytes {
    let text = Bytes::from(format!("line {n}\r\n"));
    Frame { created_date: 1, ..Frame::stream(MessageType::OUTPUT_STREAM_DATA, n, PayloadType::OUTPUT, text) }.encode()
}

/// Header, six messages, closing: records 0 to 7.
fn capture() -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), MARKER, &header()).unwrap();
    for n in 0..6 {
        writer.message(&passed(n, 2, output(n))).unwrap();
    }
    writer.close(at(100)).unwrap();
    writer.into_out()
}

/// Ranges of the records.
fn records(capture: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = PREAMBLE;
    while start < capture.len() {
        let length = u32::from_be_bytes(capture[start + 8..start + 12].try_into().unwrap()) as usize;
        ranges.push(start..start + OVERHEAD + length);
        start += OVERHEAD + length;
    }
    ranges
}

fn read_in(capture: &[u8], piece: usize) -> (Vec<Item>, Chain) {
    let mut items = Vec::new();
    let mut reader = Reader::new();
    for bytes in capture.chunks(piece) {
        reader.feed(bytes, &mut |item| items.push(item));
    }
    let chain = reader.finish(&mut |item| items.push(item));
    (items, chain)
}

fn read(capture: &[u8]) -> (Vec<Item>, Chain) {
    let whole = read_in(capture, usize::MAX);
    assert_eq!(whole, read_in(capture, 7), "the size of the pieces changes nothing");
    whole
}

fn damages(capture: &[u8]) -> Vec<Damage> {
    read(capture).1.damages
}

fn messages(items: &[Item]) -> Vec<u64> {
    items.iter().filter_map(|item| if let Item::Message { number, .. } = item { Some(*number) } else { None }).collect()
}

#[test]
fn a_whole_capture_has_no_damage() {
    let (items, chain) = read(&capture());
    assert_eq!((chain.to_string().as_str(), chain.is_closed, chain.records), ("ok", true, 8));
    assert_eq!(chain.damages, []);
    assert_eq!(items[0], Item::Header(header()));
    assert_eq!(messages(&items), [1, 2, 3, 4, 5, 6]);
    let capture = capture();
    assert_eq!(chain.last.0, capture[capture.len() - 32..]);
}

#[test]
fn every_altered_byte_is_reported_at_its_record() {
    let whole = capture();
    let ranges = records(&whole);
    for index in 0..whole.len() {
        let mut altered = whole.clone();
        altered[index] ^= 0x10;
        let (items, chain) = read(&altered);
        let expected = match ranges.iter().position(|range| range.contains(&index)) {
            None => Damage::Preamble,
            Some(n) => {
                let (range, number) = (ranges[n].clone(), n as u64);
                let offset = range.start as u64;
                match index - range.start {
                    8..16 => Damage::Unreadable { from: number, to: number, offset, bytes: range.len() as u64 },
                    _ => Damage::Altered { number, offset },
                }
            }
        };
        assert_eq!(chain.damages[0], expected, "byte {index}");
        let lost = usize::from(matches!(expected, Damage::Unreadable { from: 1..=6, .. }));
        // What is altered may be what a message is at all.
        assert!(messages(&items).len() + lost.max(1) >= 6, "byte {index}");
        assert!(
            chain.damages.len() == 1
                || chain.damages[1..] == [Damage::NotClosed { number: Some(6) }]
                || chain.damages[1..] == [Damage::NotClosed { number: Some(7) }],
            "byte {index}: {:?}",
            chain.damages
        );
    }
}

#[test]
fn every_cut_is_reported_where_it_is() {
    let whole = capture();
    let ranges = records(&whole);
    for length in 0..whole.len() {
        let (items, chain) = read(&whole[..length]);
        let before = ranges.iter().filter(|range| range.end <= length).count();
        let number = before as u64;
        let offset = ranges[before].start;
        let mut expected = Vec::new();
        if length < PREAMBLE + HEAD && before == 0 {
            expected.push(Damage::Cut { number: 0, offset: 0, bytes: length as u64 });
        } else if length > offset {
            expected.push(Damage::Cut { number, offset: offset as u64, bytes: (length - offset) as u64 });
        }
        expected.push(Damage::NotClosed { number: number.checked_sub(1) });
        assert_eq!(chain.damages, expected, "cut at {length}");
        assert_eq!(chain.to_string(), "ok", "a cut breaks no chain");
        assert_eq!(messages(&items).len(), before.saturating_sub(1));
    }
}

#[test]
fn records_removed_repeated_swapped_and_added_are_told_apart() {
    let whole = capture();
    let ranges = records(&whole);
    let bytes = |n: usize| &whole[ranges[n].clone()];
    let put = |order: &[usize]| {
        let mut out = whole[..PREAMBLE].to_vec();
        for &n in order {
            out.extend_from_slice(bytes(n));
        }
        out
    };
    let start = |order: &[usize], index: usize| {
        (PREAMBLE + order[..index].iter().map(|&n| bytes(n).len()).sum::<usize>()) as u64
    };
    for n in 0..8 {
        let rest: Vec<_> = (0..8).filter(|&other| other != n).collect();
        let number = n as u64;
        let expected = if n == 7 {
            Damage::NotClosed { number: Some(6) }
        } else {
            Damage::Missing { from: number, to: number, offset: start(&rest, n) }
        };
        assert_eq!(damages(&put(&rest)), [expected], "removed {n}");
        let mut twice: Vec<_> = (0..8).collect();
        twice.insert(n, n);
        let offset = start(&twice, n + 1);
        assert_eq!(damages(&put(&twice)), [Damage::Repeated { number, offset }], "repeated {n}");
    }
    for n in 0..7 {
        let mut order: Vec<_> = (0..8).collect();
        order.swap(n, n + 1);
        let number = n as u64;
        let expected = [
            Damage::Missing { from: number, to: number, offset: start(&order, n) },
            Damage::Displaced { number, offset: start(&order, n + 1) },
        ];
        assert_eq!(damages(&put(&order)), expected, "swapped {n}");
    }
    let foreign = [whole.clone(), b"something else".to_vec()].concat();
    let offset = whole.len() as u64;
    assert_eq!(damages(&foreign), [Damage::Cut { number: 8, offset, bytes: 14 }]);
    let inserted = [&whole[..ranges[3].start], &[0; 99], &whole[ranges[3].start..]].concat();
    let offset = ranges[3].start as u64;
    assert_eq!(damages(&inserted), [Damage::Inserted { number: 3, offset, bytes: 99 }]);
}

#[test]
fn another_capture_inside_is_no_part_of_this_one() {
    let whole = capture();
    let at = records(&whole)[4].start;
    let mut other = Writer::begin(Vec::new(), *b"other   ", &header()).unwrap();
    other.message(&passed(0, 2, output(99))).unwrap();
    let other = other.into_out();
    let (items, chain) = read(&[&whole[..at], &other[..], &whole[at..]].concat());
    assert_eq!(chain.damages, [Damage::Inserted { number: 4, offset: at as u64, bytes: other.len() as u64 }]);
    assert_eq!(messages(&items), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_record_written_anew_does_not_fit_the_next() {
    let whole = capture();
    let ranges = records(&whole);
    let mut forged = whole.clone();
    let range = ranges[3].clone();
    forged[range.end - 40] ^= 1;
    let hash = Sha256::of(&forged[range.start..range.end - 32]);
    forged[range.end - 32..range.end].copy_from_slice(&hash.0);
    let (_, chain) = read(&forged);
    assert_eq!(chain.damages, [Damage::Unlinked { number: 4, offset: ranges[4].start as u64 }]);
    assert_eq!(chain.to_string(), "broken at 4");
}

#[test]
fn a_masked_frame_reads_as_a_consistent_one() {
    let typed = Frame::stream(MessageType::INPUT_STREAM_DATA, 3, PayloadType::OUTPUT, Bytes::from_static(b"hunter2\r"));
    let mut writer = Writer::begin(Vec::new(), MARKER, &header()).unwrap();
    writer.masked(&passed(0, 2, typed.encode()), &|index| index < 7).unwrap();
    let closing = writer.close(at(5)).unwrap();
    assert_eq!((closing.messages, closing.masked), (1, 1));
    let capture = writer.into_out();
    let contains = |needle: &[u8]| capture.windows(needle.len()).any(|window| window == needle);
    assert!(!contains(b"hunter") && !contains(&Sha256::of(b"hunter2\r").0) && !contains(&Sha256::of(b"*******\r").0));
    let (items, chain) = read(&capture);
    assert_eq!(chain.damages, []);
    let Item::Message { masked: 7, message, .. } = &items[1] else { panic!("{items:?}") };
    let frame = decode(message.bytes.clone()).unwrap().frame;
    assert_eq!((&frame.payload[..], frame.sequence_number), (&b"*******\r"[..], 3));
    assert_eq!(frame.digest_state(), DigestState::Good);
}

#[test]
fn an_encrypted_capture_opens_up_to_its_last_whole_chunk() {
    let identity = age::x25519::Identity::generate();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.txt");
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    std::fs::write(&path, format!("# a key\n{secret}\n")).unwrap();
    let recipients = sealed::recipients(&[identity.to_public().to_string()], &[]).unwrap();
    let identities = sealed::identities(&path).unwrap();
    let mut writer = Writer::begin(sealed::seal(&recipients, Vec::new()).unwrap(), MARKER, &header()).unwrap();
    for n in 0..600 {
        writer.message(&passed(n, 2, output(n))).unwrap();
    }
    writer.close(at(5)).unwrap();
    let file = writer.into_out().finish().unwrap();
    assert!(file.starts_with(sealed::AGE_MAGIC));
    let open = |file: &[u8]| {
        let mut opened = sealed::Opened::new(file, &identities).unwrap();
        let mut plain = Vec::new();
        opened.read_to_end(&mut plain).unwrap();
        (plain, opened.failure().is_some())
    };
    let (plain, failed) = open(&file);
    let (items, chain) = read(&plain);
    assert_eq!((failed, chain.to_string().as_str(), messages(&items).len()), (false, "ok", 600));
    let (plain, failed) = open(&file[..file.len() - 1]);
    assert_eq!((failed, plain.len() % sealed::CHUNK), (true, 0));
    assert!(messages(&read(&plain).0).len() > 400);
    let none: Vec<Box<dyn age::Identity + Send + Sync>> = vec![Box::new(age::x25519::Identity::generate())];
    assert!(sealed::Opened::new(&file[..], &none).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        sent in prop::collection::vec(
            (0_u32..3, -1_000_000_000_000_i64..2_000_000_000_000, 0_usize..4, 0_usize..5, prop::collection::vec(any::<u8>(), 0..300)), 0..30),
        piece in 1_usize..500,
    ) {
        let directions =
            [Direction::ClientToService, Direction::ServiceToClient, Direction::AgentToService, Direction::ServiceToAgent];
        let sent: Vec<_> = sent.into_iter().map(|(socket, at, direction, opcode, bytes)| Passed {
            socket,
            at: Timestamp::from_millisecond(at).unwrap(),
            direction: directions[direction],
            opcode: [1, 2, 8, 9, 10][opcode],
            bytes: bytes.into(),
        }).collect();
        let mut writer = Writer::begin(Vec::new(), MARKER, &header()).unwrap();
        for passed in &sent {
            writer.message(passed).unwrap();
        }
        writer.close(at(0)).unwrap();
        let (items, chain) = read_in(&writer.into_out(), piece);
        prop_assert_eq!(chain.to_string(), "ok");
        prop_assert!(chain.is_closed && chain.damages.is_empty());
        let back: Vec<_> = items.into_iter().filter_map(|item| match item {
            Item::Message { socket, masked: 0, message, .. } => Some(Passed {
                socket, at: message.at, direction: message.direction, bytes: message.bytes,
                opcode: if message.opcode == Opcode::Text { 1 } else { 2 },
            }),
            Item::Control { socket, message } =>
                Some(Passed { socket, at: message.at, direction: message.direction, opcode: message.opcode, bytes: message.bytes }),
            _ => None,
        }).collect();
        prop_assert_eq!(back, sent);
    }

    #[test]
    fn no_bytes_upset_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..2000), at in any::<prop::sample::Index>()) {
        let mut mixed = capture();
        let at = at.index(mixed.len());
        mixed.splice(at..at, bytes.iter().copied());
        for bytes in [bytes, mixed] {
            let (_, chain) = read_in(&bytes, 61);
            prop_assert!(bytes == capture() || !chain.damages.is_empty());
        }
    }
}
