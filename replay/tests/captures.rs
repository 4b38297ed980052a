//! Captures as a user reads them: `frames`, `verify`, `export --to streams|pcap`.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a run printed and how it ended.
struct Run {
    code: i32,
    out: Vec<u8>,
    err: String,
}

impl Run {
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.out.clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn warden(args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_warden")).args(args).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    Run { code: output.status.code().unwrap(), out: output.stdout, err }
}

/// The reports of `verify`, and its exit code.
fn verify(path: &Path, more: &[&str]) -> (i32, Vec<Value>) {
    let path = path.display().to_string();
    let run = warden(&[&["verify", "--format", "json", &path], more].concat());
    (run.code, run.lines())
}

/// Captures with what was decoded when they were made: those of the repository and, where `WARDEN_DATA` names the data,
/// those of the data.
fn captures() -> Vec<PathBuf> {
    let own = Path::new(ROOT).join("../protocol/tests/data/captures");
    let data = std::env::var_os("WARDEN_DATA").map(|data| Path::new(&data).join("made/captures"));
    if data.is_none() {
        eprintln!("only the captures of the repository: WARDEN_DATA is not set");
    }
    let folders = [Some(own), data].into_iter().flatten().filter_map(|folder| fs::read_dir(folder).ok());
    let mut all: Vec<PathBuf> = folders.flatten().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// `--key` with the data key of a capture, if it has one.
fn key(capture: &Path) -> Vec<String> {
    let truth = read(&capture.join("ground-truth.json"));
    let key = truth["kms"]["data_key_hex"].as_str().map(|key| vec!["--key".to_owned(), key.to_owned()]);
    key.unwrap_or_default()
}

/// Streams of a report: by side and payload type, length and digest.
fn streams(report: &Value) -> BTreeMap<String, (u64, String)> {
    let streams = report["streams"].as_array().unwrap().iter();
    streams
        .map(|stream| {
            let name = format!("{}/{}", stream["side"].as_str().unwrap(), stream["payload_type"]);
            (name, (stream["bytes"].as_u64().unwrap(), stream["sha256"].as_str().unwrap().to_owned()))
        })
        .collect()
}

fn expected_streams(decoded: &Value) -> BTreeMap<String, (u64, String)> {
    let mut all = BTreeMap::new();
    for (leg, side) in [("c2s", "client"), ("s2c", "agent")] {
        for (kind, stream) in decoded[leg]["streams"].as_object().unwrap() {
            let value = (stream["bytes"].as_u64().unwrap(), stream["sha256"].as_str().unwrap().to_owned());
            all.insert(format!("{side}/{kind}"), value);
        }
    }
    all
}

#[test]
fn verify_says_what_was_decoded() {
    for capture in captures() {
        let name = capture.display();
        let key = key(&capture);
        let (code, reports) =
            verify(&capture.join("frames.jsonl"), &key.iter().map(String::as_str).collect::<Vec<_>>());
        let (report, decoded) = (&reports[0], read(&capture.join("decoded.json")));
        assert_eq!(reports.len(), 1, "{name}");
        assert_eq!(streams(report), expected_streams(&decoded), "{name}");
        assert_eq!(report["frames"]["total"], decoded["frames"], "{name}");
        assert_eq!(report["frames"]["text"], decoded["counts"]["text"], "{name}");
        assert_eq!(report["bad_digests"], decoded["bad_digest"], "{name}");
        let mut missing = 0;
        for (leg, side) in [("c2s", "client"), ("s2c", "agent")] {
            let (ours, theirs) = (&report["sides"][side], &decoded[leg]);
            for (key, wanted) in [
                ("unique", "unique"),
                ("duplicates", "duplicates"),
                ("conflicting", "duplicates_with_other_bytes"),
                ("late", "late"),
            ] {
                assert_eq!(ours[key], theirs[wanted], "{name}: {side} {key}");
            }
            let gaps = report["missing"][side].as_array().unwrap().iter();
            let numbers: Vec<i64> = gaps.flat_map(|gap| gap[0].as_i64().unwrap()..=gap[1].as_i64().unwrap()).collect();
            missing += numbers.len();
            assert_eq!(json!(numbers), theirs["missing"], "{name}: {side}");
            for (count, times) in decoded["counts"].as_object().unwrap() {
                let Some((kind, payload_type)) = count.strip_prefix(leg).and_then(|rest| rest.trim().split_once('/'))
                else {
                    continue;
                };
                assert_eq!(&report["stream_messages"][side][payload_type], times, "{name}: {kind}");
            }
        }
        let truth = read(&capture.join("ground-truth.json"));
        if !report["session"].is_null() {
            assert_eq!(report["session"], truth["session_id"], "{name}");
        }
        assert_eq!(code, if missing > 0 { 3 } else { 0 }, "{name}");
        assert_eq!(report["chain"], "absent");
    }
}

#[test]
fn every_format_gives_the_same_streams() {
    for capture in captures() {
        let key = key(&capture);
        let expected = expected_streams(&read(&capture.join("decoded.json")));
        let keylog = capture.join("sslkeylog.txt").display().to_string();
        for (file, more) in [
            ("capture.har", vec![]),
            ("plain.pcap", vec![]),
            ("tls.pcapng", vec![]),
            ("tls-raw.pcap", vec!["--keylog", &keylog]),
        ] {
            let path = capture.join(file);
            if !path.exists() {
                continue;
            }
            let more: Vec<&str> = more.into_iter().chain(key.iter().map(String::as_str)).collect();
            let (code, reports) = verify(&path, &more);
            assert_eq!((code, reports.len()), (0, 1), "{}", path.display());
            assert_eq!(streams(&reports[0]), expected, "{}", path.display());
            assert_eq!(reports[0]["session"], read(&capture.join("ground-truth.json"))["session_id"]);
        }
    }
}

/// Link types, address families, byte orders, split and compressed messages, TLS 1.2 and 1.3, secrets before and behind.
#[test]
fn every_way_to_capture_packets_gives_the_same_streams() {
    let capture = Path::new(ROOT).join("../protocol/tests/data/captures/e1-noninteractive-separate");
    let expected = expected_streams(&read(&capture.join("decoded.json")));
    let examples = Path::new(ROOT).join("../examples/captures");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(Path::new(ROOT).join("tests/data")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "pcap" || it == "pcapng"));
    paths.push(examples.join("alice-79d18b48a07666ffd.har"));
    paths.push(examples.join("alice-79d18b48a07666ffd.pcapng"));
    assert!(paths.len() >= 10);
    for path in paths {
        let (code, reports) = verify(&path, &[]);
        assert_eq!((code, reports.len()), (0, 1), "{}", path.display());
        assert_eq!(streams(&reports[0]), expected, "{}", path.display());
        assert_eq!(reports[0]["session"], "alice-79d18b48a07666ffd", "{}", path.display());
        assert_eq!(reports[0]["frames"]["total"], 20, "{}", path.display());
    }
}

#[test]
fn tls_without_its_secrets_is_incomplete_and_says_so() {
    let pcapng = fs::read(Path::new(ROOT).join("../examples/captures/alice-79d18b48a07666ffd.pcapng")).unwrap();
    // The block of secrets becomes one that nobody knows.
    let at = pcapng.windows(4).position(|bytes| bytes == b"KSLT").unwrap();
    let mut sealed = pcapng.clone();
    sealed[at] = b'X';
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.pcapng");
    fs::write(&path, &sealed).unwrap();
    let (code, reports) = verify(&path, &[]);
    assert_eq!(code, 3);
    let said = reports[0]["damage"][0]["what"].as_str().unwrap();
    assert!(said.contains("ssmmessages.us-east-1.amazonaws.com") && said.contains("--keylog"), "{said}");
    // The same secrets from a file.
    let length = u32::from_le_bytes(pcapng[at + 4..at + 8].try_into().unwrap()) as usize;
    let keylog = folder.path().join("keys.txt");
    fs::write(&keylog, &pcapng[at + 8..at + 8 + length]).unwrap();
    assert_eq!(verify(&path, &["--keylog", &keylog.display().to_string()]).0, 0);
}

/// The lines of a small capture in the repository.
fn small(name: &str) -> Vec<String> {
    let path = Path::new(ROOT).join("../protocol/tests/data/captures").join(name).join("frames.jsonl");
    fs::read_to_string(path).unwrap().lines().map(ToOwned::to_owned).collect()
}

/// A line whose message is changed.
fn with_message(line: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    let mut frame: Value = serde_json::from_str(line).unwrap();
    let mut message = BASE64_STANDARD.decode(frame["b64"].as_str().unwrap()).unwrap();
    change(&mut message);
    frame["b64"] = Value::from(BASE64_STANDARD.encode(message));
    frame.to_string()
}

fn verify_lines(lines: &[String]) -> (i32, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames.jsonl");
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    verify(&path, &[])
}

/// Offset of a line.
fn offset(lines: &[String], n: usize) -> u64 {
    lines[..n].iter().map(|line| line.len() as u64 + 1).sum()
}

/// Number of the first message of this type.
fn position(lines: &[String], message_type: &str, payload_type: u32) -> usize {
    let message = |line: &String| {
        let frame: Value = serde_json::from_str(line).unwrap();
        BASE64_STANDARD.decode(frame["b64"].as_str().unwrap()).unwrap()
    };
    let is_it = |line: &String| {
        let message = message(line);
        let kind = message.get(112..116).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
        message.get(4..36).is_some_and(|name| name.starts_with(message_type.as_bytes())) && kind == Some(payload_type)
    };
    lines.iter().position(is_it).unwrap()
}

#[test]
fn a_flipped_bit_is_found_in_its_message() {
    let mut lines = small("e1-noninteractive-separate");
    let n = position(&lines, "output_stream_data", 1);
    lines[n] = with_message(&lines[n], |message| message[121] ^= 1);
    let (code, reports) = verify_lines(&lines);
    let problem = &reports[0]["problems"][0];
    assert_eq!((code, reports[0]["bad_digests"].as_u64()), (1, Some(1)));
    assert_eq!((problem["n"].as_u64(), problem["offset"].as_u64()), (Some(n as u64), Some(offset(&lines, n))));
    assert!(problem["what"].as_str().unwrap().starts_with("bad-digest"), "{problem}");
}

#[test]
fn what_was_removed_moved_cut_or_mixed_in_is_found_at_its_place() {
    let whole = small("e1-noninteractive-separate");
    let n = position(&whole, "output_stream_data", 1);
    let first = |report: &Value, what: &str| report["damage"][0]["what"].as_str().unwrap_or_default().contains(what);

    let mut removed = whole.clone();
    removed.remove(n);
    let (code, reports) = verify_lines(&removed);
    assert_eq!(code, 3);
    assert_eq!(reports[0]["missing"]["agent"].as_array().unwrap().len(), 1, "{}", reports[0]["missing"]);

    let mut swapped = whole.clone();
    swapped.swap(n, n + 2);
    let (_, reports) = verify_lines(&swapped);
    assert!(first(&reports[0], "the clock goes back"), "{}", reports[0]["damage"]);
    assert_eq!(reports[0]["damage"][0]["offset"], offset(&swapped, n + 1));

    let mut cut = whole.clone();
    cut.truncate(n + 1);
    let half = cut[n].len() / 2;
    cut[n].truncate(half);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    fs::write(&path, cut.join("\n")).unwrap();
    let (code, reports) = verify(&path, &[]);
    assert_eq!((code, reports[0]["damage"][0]["offset"].as_u64()), (3, Some(offset(&cut, n))));

    let mut broken = whole.clone();
    broken[n] = broken[n].replace("\"b64\"", "\"b65\"");
    let (code, reports) = verify_lines(&broken);
    assert_eq!((code, reports[0]["damage"][0]["offset"].as_u64()), (3, Some(offset(&whole, n))));

    let mut conflicting = whole.clone();
    conflicting.insert(n + 1, with_message(&whole[n], |message| message[45] ^= 1));
    let (code, reports) = verify_lines(&conflicting);
    assert_eq!((code, reports[0]["conflicting"].as_u64()), (1, Some(1)));
    assert_eq!(reports[0]["problems"][0]["offset"], offset(&conflicting, n + 1));

    let other = small("g3-port-mux-refused");
    let mixed: Vec<String> =
        whole.iter().take(10).chain(other.iter().take(5)).chain(whole.iter().skip(10)).cloned().collect();
    let (code, reports) = verify_lines(&mixed);
    assert_eq!(code, 1, "{reports:?}");
    let damage = reports[0]["damage"].as_array().unwrap();
    assert!(damage.iter().any(|it| it["what"] == "messages of another session are mixed in"), "{damage:?}");
    assert!(damage.iter().any(|it| it["offset"] == offset(&mixed, 10)), "{damage:?}");
}

#[test]
fn a_message_that_names_another_session_is_told() {
    let mut lines = small("e1-noninteractive-separate");
    let n = position(&lines, "channel_closed", 0);
    let other = with_message(&lines[n], |message| {
        let at = message.windows(23).position(|it| it.starts_with(b"alice-79d18b48a07666ffd")).unwrap();
        message[at] = b'b';
    });
    lines.push(other);
    let (code, reports) = verify_lines(&lines);
    let damage = &reports[0]["damage"][0];
    assert_eq!(damage["what"], "messages of another session are mixed in", "{}", reports[0]);
    assert_eq!((code, damage["offset"].as_u64()), (1, Some(offset(&lines, lines.len() - 1))));
}

#[test]
fn sessions_one_after_the_other_are_taken_apart() {
    let mut lines = small("e1-noninteractive-separate");
    lines.extend(small("g3-port-mux-refused"));
    let (code, reports) = verify_lines(&lines);
    let types: Vec<&str> = reports.iter().map(|report| report["session_type"].as_str().unwrap()).collect();
    assert_eq!(types, ["NonInteractiveCommands", "Port"]);
    assert!(code <= 1, "{reports:?}");
    for (report, name) in reports.iter().zip(["e1-noninteractive-separate", "g3-port-mux-refused"]) {
        let decoded = Path::new(ROOT).join("../protocol/tests/data/captures").join(name).join("decoded.json");
        assert_eq!(streams(report), expected_streams(&read(&decoded)), "{name}");
    }
}

#[test]
fn frames_have_the_promised_shape() {
    let path = Path::new(ROOT).join("../protocol/tests/data/captures/e1-noninteractive-separate/frames.jsonl");
    let run = warden(&["frames", &path.display().to_string(), "--format", "json"]);
    let lines = run.lines();
    assert_eq!((run.code, run.err.as_str(), lines.len()), (0, "", 20));
    for (n, line) in lines.iter().enumerate() {
        assert_eq!((line["type"].as_str(), line["n"].as_u64()), (Some("frame"), Some(n as u64)));
        for field in ["at", "side", "opcode", "status", "encrypted", "decoded", "deviations", "error"] {
            assert!(line.get(field).is_some(), "{field}");
        }
    }
    assert!(lines[0]["text"].as_str().unwrap().contains("\"TokenValue\":\"80a01c5c5e52"), "{}", lines[0]);
    let handshake = lines.iter().find(|line| line["payload_type"] == 5).unwrap();
    for (field, wanted) in [
        ("header_length", json!(116)),
        ("message_type", json!("output_stream_data")),
        ("schema_version", json!(1)),
        ("sequence", json!(0)),
        ("flags", json!(1)),
        ("payload_type_name", json!("handshake-request")),
        ("side", json!("agent")),
        ("status", json!("ok")),
    ] {
        assert_eq!(handshake[field], wanted, "{field}");
    }
    assert_eq!(handshake["decoded"]["AgentVersion"], "3.3.0.0");
    let payload = BASE64_STANDARD.decode(handshake["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload.len() as u64, handshake["payload_length"].as_u64().unwrap());
    assert_eq!(lines.last().unwrap()["side"], "service");
    let text = warden(&["frames", &path.display().to_string()]);
    assert!(!String::from_utf8(text.out).unwrap().contains('\u{1b}'));
}

fn export(capture: &Path, to: &str, out: &Path, more: &[&str]) -> Run {
    let (capture, out) = (capture.display().to_string(), out.display().to_string());
    warden(&[&["export", &capture, "--to", to, "-o", &out], more].concat())
}

#[test]
fn exported_streams_are_those_that_were_recorded() {
    for capture in captures() {
        let folder = tempfile::tempdir().unwrap();
        let key = key(&capture);
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        let run = export(&capture.join("frames.jsonl"), "streams", folder.path(), &key);
        assert!(matches!(run.code, 0 | 3), "{}: {}", capture.display(), run.err);
        for (leg, side) in [("c2s", "client"), ("s2c", "agent")] {
            for kind in 1..=12 {
                let wanted = capture.join(format!("{leg}.type{kind}.bin"));
                let ours = folder.path().join(format!("{side}.type{kind}.bin"));
                if wanted.exists() {
                    assert!(fs::read(&wanted).unwrap() == fs::read(&ours).unwrap(), "{}", wanted.display());
                }
            }
        }
        let decoded = expected_streams(&read(&capture.join("decoded.json")));
        for (name, (bytes, _)) in decoded {
            let path = folder.path().join(name.replace('/', ".type") + ".bin");
            assert_eq!(fs::metadata(&path).unwrap().len(), bytes, "{}", path.display());
        }
    }
}

/// One direction of a connection, put together from packets that are checked on the way.
#[derive(Default)]
struct Side {
    next: Option<u32>,
    bytes: Vec<u8>,
    fin: bool,
}

type End = ([u8; 4], u16);

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn sums_to_zero(parts: &[&[u8]]) -> bool {
    let mut sum = 0_u32;
    for part in parts {
        sum += part.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum::<u32>();
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

/// The connections of a pcap that `export` wrote: by client's and server's end, in the order of the file.
fn connections(pcap: &[u8]) -> Vec<((End, End), [Side; 2])> {
    assert_eq!((u32_at(pcap, 0), u32_at(pcap, 20)), (0xa1b2_3c4d, 101));
    let mut all: Vec<((End, End), [Side; 2])> = Vec::new();
    let (mut at, mut latest) = (24, (0, 0));
    while at < pcap.len() {
        let time = (u32_at(pcap, at), u32_at(pcap, at + 4));
        assert!(time >= latest, "times run backwards");
        latest = time;
        let length = u32_at(pcap, at + 8) as usize;
        let packet = &pcap[at + 16..at + 16 + length];
        at += 16 + length;
        let (ip, tcp) = packet.split_at(20);
        assert_eq!(usize::from(ip[2]) << 8 | usize::from(ip[3]), length);
        assert!(sums_to_zero(&[ip]), "IP checksum");
        let pseudo = [&ip[12..20], &[0, 6], &u16::try_from(tcp.len()).unwrap().to_be_bytes()[..]].concat();
        assert!(sums_to_zero(&[&pseudo, tcp]), "TCP checksum");
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let from: End = (ip[12..16].try_into().unwrap(), port(0));
        let to: End = (ip[16..20].try_into().unwrap(), port(2));
        let (sequence, acknowledged, flags, payload) = (u32_at(tcp, 4), u32_at(tcp, 8), tcp[13], &tcp[20..]);
        if flags & 0x12 == 2 {
            all.push(((from, to), Default::default()));
        }
        let (ends, sides) = all.iter_mut().find(|(ends, _)| *ends == (from, to) || *ends == (to, from)).unwrap();
        let side = usize::from(ends.1 == from);
        if flags & 16 != 0 {
            assert_eq!(Some(acknowledged), sides[1 - side].next, "acknowledges what was sent");
        }
        let own = &mut sides[side];
        assert!(own.next.is_none_or(|next| next == sequence), "sequence");
        assert!(!own.fin || payload.is_empty(), "bytes behind FIN");
        own.bytes.extend_from_slice(payload);
        own.fin |= flags & 1 != 0;
        let taken = u32::try_from(payload.len()).unwrap() + u32::from(flags & 3 != 0);
        own.next = Some(sequence.wrapping_add(taken));
    }
    all
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let bytes: [u8; 32] = digest.as_ref().try_into().unwrap();
    warden_protocol::wire::Sha256(bytes).to_string()
}

#[test]
fn exported_packets_hold_the_forwarded_connections() {
    let folder = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for capture in captures() {
        let frames = capture.join("frames.jsonl");
        let (_, reports) = verify(&frames, &[]);
        let mux = reports[0]["mux"].as_array().unwrap();
        if mux.is_empty() {
            continue;
        }
        tried += 1;
        let out = folder.path().join("c.pcap");
        let run = export(&frames, "pcap", &out, &[]);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", capture.display());
        let packets = connections(&fs::read(&out).unwrap());
        assert_eq!(packets.len(), mux.len(), "{}", capture.display());
        let port = read(&capture.join("ground-truth.json"))["properties"]["portNumber"].clone();
        for (((_, server), sides), expected) in packets.iter().zip(mux) {
            assert_eq!(port.as_str().unwrap(), server.1.to_string());
            assert_eq!(sha256(&sides[0].bytes), expected["client_sha256"], "{}", capture.display());
            assert_eq!(sha256(&sides[1].bytes), expected["agent_sha256"], "{}", capture.display());
            assert!(sides[0].fin && sides[1].fin, "{}", capture.display());
        }
        let streams = TempDir::new().unwrap();
        assert_eq!(export(&frames, "streams", streams.path(), &[]).code, 0);
        for expected in mux {
            for side in ["client", "agent"] {
                let path = streams.path().join(format!("mux-{}.{side}.bin", expected["id"]));
                assert_eq!(sha256(&fs::read(path).unwrap()), expected[format!("{side}_sha256")]);
            }
        }
    }
    assert!(tried > 0);
}

/// The packets of a pcap in the byte order of this machine's tools, with their offsets.
fn packets(pcap: &[u8]) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut at = 24;
    while at < pcap.len() {
        let length = u32::from_le_bytes(pcap[at + 8..at + 12].try_into().unwrap()) as usize;
        all.push((at, at + 16 + length));
        at += 16 + length;
    }
    all
}

#[test]
fn packets_may_come_in_any_order_and_again_and_what_is_lost_is_said() {
    let pcap = fs::read(Path::new(ROOT).join("tests/data/raw.pcap")).unwrap();
    let expected = verify(&Path::new(ROOT).join("tests/data/raw.pcap"), &[]).1;
    let all = packets(&pcap);
    let folder = tempfile::tempdir().unwrap();
    let write = |order: &[usize]| {
        let path = folder.path().join("c.pcap");
        let bodies = order.iter().flat_map(|n| pcap[all[*n].0..all[*n].1].to_vec());
        fs::write(&path, pcap[..24].iter().copied().chain(bodies).collect::<Vec<u8>>()).unwrap();
        verify(&path, &[])
    };
    // Behind the handshake every pair is swapped, and every packet comes twice.
    let mut order: Vec<usize> = vec![0, 1, 2];
    for pair in (3..all.len()).collect::<Vec<_>>().chunks(2) {
        order.extend(pair.iter().rev());
        order.extend(pair.iter());
    }
    let (code, reports) = write(&order);
    assert_eq!(code, 0, "{reports:?}");
    assert_eq!(streams(&reports[0]), streams(&expected[0]));
    // The packet with the agent's first output is gone: that message is missing, all others are there.
    let victim = all.iter().position(|(start, end)| {
        let packet = &pcap[*start..*end];
        packet.windows(18).any(|bytes| bytes == b"output_stream_data")
            && packet.windows(10).any(|it| it == b"out line 1")
    });
    let victim = victim.unwrap();
    let without: Vec<usize> = (0..all.len()).filter(|n| *n != victim).collect();
    let (code, reports) = write(&without);
    assert_eq!(code, 3);
    assert_eq!(reports[0]["missing"]["agent"].as_array().unwrap().len(), 1, "{}", reports[0]);
    let lost = &reports[0]["damage"][0];
    assert!(lost["what"].as_str().unwrap().contains("bytes of the connection were not captured"), "{lost}");
    let agent = |report: &Value| report["sides"]["agent"]["unique"].as_u64().unwrap();
    assert_eq!(agent(&reports[0]) + 1, agent(&expected[0]));
}

/// The request, the answer, or both: the messages behind them are all read.
#[test]
fn an_upgrade_that_was_not_captured_costs_no_message() {
    let pcap = fs::read(Path::new(ROOT).join("tests/data/raw.pcap")).unwrap();
    let expected = verify(&Path::new(ROOT).join("tests/data/raw.pcap"), &[]).1;
    let all = packets(&pcap);
    let folder = tempfile::tempdir().unwrap();
    let without: [&[usize]; 4] = [&[3], &[4], &[0, 1, 2, 3], &[0, 1, 2, 3, 4]];
    for lost in without {
        let kept = all.iter().enumerate().filter(|(n, _)| !lost.contains(n));
        let bodies = kept.flat_map(|(_, (start, end))| pcap[*start..*end].to_vec());
        let path = folder.path().join("c.pcap");
        fs::write(&path, pcap[..24].iter().copied().chain(bodies).collect::<Vec<u8>>()).unwrap();
        let (_, reports) = verify(&path, &[]);
        assert_eq!(streams(&reports[0]), streams(&expected[0]), "{lost:?}");
    }
}

#[test]
fn a_capture_without_a_data_channel_is_incomplete_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.pcap");
    fs::write(&path, &fs::read(Path::new(ROOT).join("tests/data/raw.pcap")).unwrap()[..24]).unwrap();
    let (code, reports) = verify(&path, &[]);
    assert_eq!((code, reports.len()), (3, 1));
    assert_eq!(reports[0]["damage"][0]["what"], "no message of a data channel is in the capture");
}

/// Of TLS a packet is gone: the record in it is lost, those behind it open under their own numbers.
#[test]
fn tls_goes_on_behind_a_lost_packet() {
    let pcapng = fs::read(Path::new(ROOT).join("tests/data/tls12-aes128.pcapng")).unwrap();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < pcapng.len() {
        let length = u32::from_le_bytes(pcapng[at + 4..at + 8].try_into().unwrap()) as usize;
        blocks.push(&pcapng[at..at + length]);
        at += length;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.pcapng");
    // Packets behind the upgrade: section, interface and secrets come before them.
    for lost in 15..25 {
        let kept: Vec<u8> =
            blocks.iter().enumerate().filter(|(n, _)| *n != lost).flat_map(|(_, it)| it.to_vec()).collect();
        fs::write(&path, kept).unwrap();
        let (code, reports) = verify(&path, &[]);
        assert_eq!(code, 3, "{lost}");
        assert_eq!(reports[0]["frames"]["total"], 19, "{lost}: {}", reports[0]["damage"]);
        let damage = reports[0]["damage"].as_array().unwrap();
        assert_eq!(damage.len(), 1, "{lost}: {damage:?}");
    }
}

#[test]
fn a_har_is_read_in_the_shapes_that_browsers_write() {
    let lines = small("e1-noninteractive-separate");
    let messages = |binary: fn(&[u8]) -> String, unit: f64| -> Vec<Value> {
        let message = |line: &String| {
            let frame: Value = serde_json::from_str(line).unwrap();
            let bytes = BASE64_STANDARD.decode(frame["b64"].as_str().unwrap()).unwrap();
            let data = if frame["opcode"] == 1 { String::from_utf8(bytes).unwrap() } else { binary(&bytes) };
            let kind = if frame["dir"] == "c2s" { "send" } else { "receive" };
            json!({"type": kind, "time": frame["t"].as_f64().unwrap() * unit, "opcode": frame["opcode"], "data": data})
        };
        lines.iter().map(message).collect()
    };
    let latin: fn(&[u8]) -> String = |bytes| bytes.iter().map(|byte| char::from(*byte)).collect();
    let base64: fn(&[u8]) -> String = |bytes| BASE64_STANDARD.encode(bytes);
    let url =
        "wss://ssmmessages.us-east-1.amazonaws.com/v1/data-channel/alice-79d18b48a07666ffd?role=publish_subscribe";
    let noise = json!({"request": {"url": "wss://example.com/live"}, "_webSocketMessages": [
        {"type": "receive", "time": 1.0, "opcode": 2, "data": "AAAA"}]});
    let closing = json!({"type": "receive", "time": 1.0, "opcode": 8, "data": "bye"});
    let folder = tempfile::tempdir().unwrap();
    for (name, mut messages) in [
        ("seconds", messages(base64, 1.0)),
        ("milliseconds", messages(base64, 1e3)),
        ("microseconds", messages(base64, 1e6)),
        ("characters for bytes", messages(latin, 1.0)),
    ] {
        messages.push(closing.clone());
        let entry = json!({"request": {"method": "GET", "url": url}, "_webSocketMessages": messages});
        let har = json!({"log": {"version": "1.2", "creator": {"name": "Firefox"}, "entries": [noise, entry]}});
        let path = folder.path().join("c.har");
        fs::write(&path, har.to_string()).unwrap();
        let (code, reports) = verify(&path, &[]);
        let decoded = Path::new(ROOT).join("../protocol/tests/data/captures/e1-noninteractive-separate/decoded.json");
        assert_eq!((code, reports.len()), (0, 1), "{name}: {reports:?}");
        assert_eq!(streams(&reports[0]), expected_streams(&read(&decoded)), "{name}");
        assert_eq!(reports[0]["first"].as_str().unwrap()[..4], *"2026", "{name}");
        assert_eq!(reports[0]["session"], "alice-79d18b48a07666ffd");
    }
}
