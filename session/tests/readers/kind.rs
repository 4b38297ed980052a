//! What an input is.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use warden_session::Kind::{self, ApiCall, Capture, LogStream, Recording, Transcript};
use warden_session::kind::{HEAD_LIMIT, recognise};

use crate::support::{data, recorded_sessions};

fn packed(text: &str) -> String {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    BASE64_STANDARD.encode(encoder.finish().unwrap())
}

#[test]
fn by_content_alone() {
    let call = json!({"eventVersion": "1.08", "userIdentity": {"type": "IAMUser"}, "eventSource": "ssm.amazonaws.com", "eventName": "StartSession"}).to_string();
    let message =
        json!({"eventVersion": "1.0", "sessionId": "alice-052afb0c93508ea82", "sessionData": ["$ id"]}).to_string();
    let batch = |message: &str| {
        json!({"messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "s", "logEvents": [{"id": "1", "timestamp": 1, "message": message}]}).to_string()
    };
    let big = format!("{message}{}", " ".repeat(10)).replace("$ id", &"x".repeat(100_000));
    let noise: Vec<u8> = (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let utf16: Vec<u8> = "\u{feff}**********************\r\nWindows PowerShell transcript start\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let table: Vec<(&str, Vec<u8>, Option<Kind>)> = vec![
        ("empty", vec![], None),
        ("header", b"Script started on 2020-05-27 23:00:48+0000\n".to_vec(), Some(Transcript)),
        (
            "Windows frame",
            b"**********************\r\nWindows PowerShell transcript start\r\n".to_vec(),
            Some(Transcript),
        ),
        ("Windows frame in UTF-16", utf16, Some(Transcript)),
        ("old Windows host", b"Windows PowerShell\r\n\r\nPS C:\\> dir\r\n".to_vec(), Some(Transcript)),
        ("asterisks", b"**********************\nRelease notes\n".to_vec(), None),
        ("escape", b"$ ls\n\x1b[0m\n".to_vec(), Some(Transcript)),
        ("doubled line ends", b"$ ls\r\r\nx\r\r\n".to_vec(), Some(Transcript)),
        ("text", b"$ ls\r\nx\r\n".to_vec(), None),
        ("notes on PowerShell", b"# How to\nPS C:\\> dir\n".to_vec(), None),
        ("noise", noise, None),
        ("PNG", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x1b\0\0\0\x1b[".to_vec(), None),
        ("record", call.clone().into_bytes(), Some(ApiCall)),
        ("byte order mark", format!("\u{feff}{call}").into_bytes(), Some(ApiCall)),
        ("Records", format!("{{\"Records\":[{call}]}}").into_bytes(), Some(ApiCall)),
        ("no Records", b"{\"Records\":[]}".to_vec(), Some(ApiCall)),
        (
            "EventBridge",
            format!("{{\"detail-type\":\"AWS API Call via CloudTrail\",\"detail\":{call}}}").into_bytes(),
            Some(ApiCall),
        ),
        (
            "lookup-events",
            json!({"Events": [{"EventName": "x", "CloudTrailEvent": call}]}).to_string().into_bytes(),
            Some(ApiCall),
        ),
        ("message", message.clone().into_bytes(), Some(LogStream)),
        ("long message", big.into_bytes(), Some(LogStream)),
        ("event", json!({"message": message, "timestamp": 1}).to_string().into_bytes(), Some(LogStream)),
        ("upload", json!({"message": "Script started on x\n"}).to_string().into_bytes(), Some(LogStream)),
        (
            "stream of a session",
            json!({"message": "rest", "logStream": "alice-052afb0c93508ea82"}).to_string().into_bytes(),
            Some(LogStream),
        ),
        ("no events", b"{\"events\":[],\"nextForwardToken\":\"f/1\"}".to_vec(), Some(LogStream)),
        (
            "CloudTrail in log events",
            json!({"events": [{"message": call, "timestamp": 1, "ingestionTime": 2}]}).to_string().into_bytes(),
            Some(ApiCall),
        ),
        (
            "subscription",
            json!({"awslogs": {"data": packed(&batch(&message))}}).to_string().into_bytes(),
            Some(LogStream),
        ),
        (
            "subscription of CloudTrail",
            json!({"awslogs": {"data": packed(&batch(&call))}}).to_string().into_bytes(),
            Some(ApiCall),
        ),
        (
            "Firehose",
            json!({"records": [{"recordId": "1", "data": packed(&batch(&message))}]}).to_string().into_bytes(),
            Some(LogStream),
        ),
        ("other JSON", b"{\"name\":\"warden\",\"version\":1}".to_vec(), None),
        ("other log", b"{\"message\":\"hello\",\"timestamp\":1}\n".to_vec(), None),
        (
            "asciicast",
            b"{\"version\":2,\"width\":80,\"height\":24}\n[0.1,\"o\",\"\\u001b[0m\"]\n".to_vec(),
            Some(Recording),
        ),
        ("ttyrec", [&[0, 0, 0, 0x60, 1, 0, 0, 0, 5, 0, 0, 0][..], b"$ \x1b[K"].concat(), Some(Recording)),
        ("frames", b"{\"t\":1.5,\"dir\":\"c2s\",\"opcode\":1,\"b64\":\"e30=\"}\n".to_vec(), Some(Capture)),
        ("HAR", b"{\"log\":{\"version\":\"1.2\",\"entries\":[]}}".to_vec(), Some(Capture)),
        (
            "S3 notification",
            b"{\"Records\":[{\"eventSource\":\"aws:s3\",\"eventName\":\"ObjectCreated:Put\",\"s3\":{}}]}".to_vec(),
            None,
        ),
    ];
    for (name, head, expected) in &table {
        assert_eq!(recognise(head, true), *expected, "{name}");
        // An answer never changes with what comes later.
        for end in 0..head.len().min(600) {
            let early = recognise(&head[..end], false);
            assert!(early.is_none() || early == *expected, "{name}, {end} bytes: {early:?}");
        }
    }
}

/// Every file of a folder, folders aside.
fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

fn head(path: &Path) -> (Vec<u8>, bool) {
    let mut head = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    if path.extension().is_some_and(|ext| ext == "gz") {
        flate2::read::GzDecoder::new(file).take(HEAD_LIMIT as u64 + 1).read_to_end(&mut head).unwrap();
    } else {
        file.take(HEAD_LIMIT as u64 + 1).read_to_end(&mut head).unwrap();
    }
    let whole = head.len() <= HEAD_LIMIT;
    (head, whole)
}

#[test]
fn recorded_inputs() {
    let Some(data) = data() else { return };
    for folder in recorded_sessions() {
        for (name, kind) in [
            ("transcript.log", Some(Transcript)),
            ("transcript-legacy.log", Some(Transcript)),
            ("cloudwatch-stream.jsonl", Some(LogStream)),
            ("cloudwatch-upload.jsonl", Some(LogStream)),
            ("truth.json", None),
            ("meta.json", None),
            ("chunks.json", None),
            ("execs.jsonl", None),
            ("input.json", None),
        ] {
            let path = folder.join(name);
            if path.exists() {
                let (head, whole) = head(&path);
                assert_eq!(recognise(&head, whole), kind, "{}", path.display());
            }
        }
    }
    let mut calls = files(&data.join("public/cloudtrail/bulk-invictus"));
    calls.extend(
        files(&data.join("public/cloudtrail"))
            .into_iter()
            .filter(|path| path.extension().is_some_and(|ext| ext != "md")),
    );
    for path in calls {
        let (head, whole) = head(&path);
        assert_eq!(recognise(&head, whole), Some(ApiCall), "{}", path.display());
    }
    for path in files(&data.join("made/envelopes")) {
        let (head, whole) = head(&path);
        assert_eq!(recognise(&head, whole), Some(LogStream), "{}", path.display());
    }
    for folder in std::fs::read_dir(data.join("made/captures")).unwrap() {
        for path in files(&folder.unwrap().path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (head, whole) = head(&path);
            let kind = match name.rsplit_once('.') {
                // The reassembled streams are what a terminal printed.
                Some((_, "bin")) => continue,
                Some(("frames" | "agent-frames" | "capture", _) | (_, "pcap" | "pcapng")) => Some(Capture),
                Some((_, "cast")) => Some(Recording),
                _ => None,
            };
            assert_eq!(recognise(&head, whole), kind, "{}", path.display());
        }
    }
    for folder in ["made/vectors", "made/obfuscated", "public/sigma"] {
        for path in files(&data.join(folder)) {
            let (head, whole) = head(&path);
            assert_eq!(recognise(&head, whole), None, "{}", path.display());
        }
    }
}
