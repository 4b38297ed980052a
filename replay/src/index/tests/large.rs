use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use warden_protocol::frame::Frame;
use warden_protocol::wire::{MessageType, PayloadType};
use warden_rules::library;

use super::places;
use crate::capture::Secrets;
use crate::index::{Index, Job, KEYFRAME_BYTES, Progress, Shared, Stage, look, read};
use crate::input::Input;

/// Bytes of the capture.
const SIZE: u64 = 100 << 20;

/// A shell session as long as wanted: listings in colour, logs, commands typed key by key, a full-screen program.
fn write_capture(path: &Path) {
    let mut out = BufWriter::new(std::fs::File::create(path).unwrap());
    let (mut written, mut sequence, mut sent, mut line) = (0_u64, 0_i64, 0_i64, 0_u64);
    let mut millis = 1_795_352_400_000_u64;
    while written < SIZE {
        let mut payload = String::new();
        while payload.len() < 1000 {
            line += 1;
            let _ = match line % 4000 {
                0 => write!(payload, "\x1b[?1049h\x1b[2J\x1b[H"),
                1..200 => {
                    write!(payload, "\x1b[{};{}H\x1b[3{}mcell {line}\x1b[K", line % 24 + 1, line % 60 + 1, line % 8)
                }
                200 => write!(payload, "\x1b[?1049l\r\n$ "),
                n if n % 2 == 0 => {
                    write!(payload, "-rw-r--r-- 1 root root {line:>8} \x1b[01;34mdirectory-{n}\x1b[0m\r\n")
                }
                n => write!(payload, "Nov 24 13:00:00 ip-10-0-1-23 sshd[{n}]: Accepted publickey for user{line}\r\n"),
            };
        }
        let mut rows = vec![("s2c", MessageType::OUTPUT_STREAM_DATA, &mut sequence, payload.as_bytes())];
        if line % 50 == 0 {
            rows.push(("c2s", MessageType::INPUT_STREAM_DATA, &mut sent, b"l"));
        }
        for (direction, message_type, number, payload) in rows {
            let mut frame = Frame::stream(message_type, *number, PayloadType::OUTPUT, Bytes::copy_from_slice(payload));
            *number += 1;
            frame.created_date = millis;
            millis += 5;
            let row = format!(
                "{{\"t\":{}.{:03},\"dir\":\"{direction}\",\"opcode\":2,\"b64\":\"{}\"}}\n",
                millis / 1000,
                millis % 1000,
                STANDARD.encode(frame.encode())
            );
            written += row.len() as u64;
            out.write_all(row.as_bytes()).unwrap();
        }
    }
    out.flush().unwrap();
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim().to_owned()
}

/// Figures of a 100 MB capture: `cargo test --release -p warden --bin warden -- --ignored --nocapture hundred`.
#[test]
#[ignore = "a measurement, for release builds"]
fn a_hundred_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.jsonl");
    write_capture(&path);
    println!("peak memory before: {}", peak_memory());
    let shared: Shared = Arc::new(RwLock::new(Index::default()));
    let job = Job {
        input: Input::one(&path).unwrap(),
        secrets: Secrets::default(),
        session: 0,
        rules: library::load().set,
        keyframe_bytes: KEYFRAME_BYTES,
    };
    let begun = Instant::now();
    let builder = {
        thread::spawn({
            let shared = shared.clone();
            move || read(&job, &shared).unwrap()
        })
    };
    let mut stage = Stage::new(&shared);
    while look(&shared).moments.is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    let _ = stage.show(1).unwrap();
    println!("first screen after {:?}", begun.elapsed());
    builder.join().unwrap();
    println!("index after {:?}", begun.elapsed());
    let index = look(&shared);
    assert_eq!(index.progress, Progress::Done);
    let output: u64 = index.moments.iter().map(crate::index::Moment::output_len).sum();
    println!("{} moments, {output} bytes of output, {} keyframes", index.moments.len(), index.keyframes.len());
    let mut seeks: Vec<Duration> = places(index.moments.len())
        .take(300)
        .map(|pos| {
            let begun = Instant::now();
            let _ = stage.show(pos).unwrap();
            begun.elapsed()
        })
        .collect();
    seeks.sort();
    println!("seek p50 {:?} p95 {:?} max {:?}", seeks[150], seeks[285], seeks[299]);
    let begun = Instant::now();
    let hits = index.search(&regex::Regex::new("user123456$").unwrap()).unwrap();
    println!("search {:?}, {} hits", begun.elapsed(), hits.len());
    let begun = Instant::now();
    let density = index.density(160, true);
    println!("density {:?}, {}", begun.elapsed(), density.len());
    println!("peak memory: {}", peak_memory());
}
