//! What stands in for AWS's session-manager-plugin: this very test program, started through a script of that name.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use std::{env, fs, thread};

use crate::service::PATIENCE;
use crate::wire::{Step, head, of_lines, receive, send};

/// The script. It hands its arguments on in the environment, for the test program has arguments of its own.
pub(crate) const SCRIPT: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo 1.2.764.0; exit 0; fi
case "$1" in
    "{"*) STAND_IN_RESPONSE=$1 ;;
    *) STAND_IN_RESPONSE=$(printenv "$1") ;;
esac
STAND_IN_ARGS="$2|$3|$4|$5|$6"
export STAND_IN_RESPONSE STAND_IN_ARGS
exec "$STAND_IN" --exact stand_in_plugin --nocapture
"#;
/// What comes before the output that counts: the test program says things of its own.
pub(crate) const BEGIN: &str = "<<begin>>";

/// Plays the client's side of a session; does nothing in an ordinary run of the tests.
pub(crate) fn stand_in() {
    let (Ok(response), Ok(folder)) = (env::var("STAND_IN_RESPONSE"), env::var("STAND_IN_FOLDER")) else { return };
    let seen = format!("{response}\n{}\n{:?}", env::var("STAND_IN_ARGS").unwrap(), env::var("WARDEN_RECORD"));
    fs::write(format!("{folder}/seen"), seen).unwrap();
    fs::write(format!("{folder}/recorder"), std::os::unix::process::parent_id().to_string()).unwrap();
    let response: serde_json::Value = serde_json::from_str(&response).unwrap();
    let url = response["StreamUrl"].as_str().unwrap();
    match env::var("STAND_IN_STEPS") {
        Ok(path) => play(&of_lines(&fs::read_to_string(path).unwrap()), url, &folder),
        Err(_) => pass(url),
    }
    fs::write(format!("{folder}/done"), "").unwrap();
    std::process::exit(env::var("STAND_IN_CODE").map_or(0, |code| code.parse().unwrap()));
}

fn play(steps: &[Step], url: &str, folder: &str) {
    let pause = env::var("STAND_IN_PAUSE").ok();
    let mut socket = connect(url);
    for (n, step) in steps.iter().enumerate() {
        if step.is_new_socket {
            socket = connect(url);
        }
        if step.is_from_client {
            if send(&mut socket, true, step.first, &step.payload).is_err() {
                std::process::exit(70);
            }
        } else {
            let Ok((first, is_masked, payload)) = receive(&mut socket) else { std::process::exit(71) };
            assert!(!is_masked);
            assert_eq!((first, &payload), (step.first, &step.payload), "step {n}");
        }
        if pause.as_deref() == Some(&n.to_string()) {
            fs::write(format!("{folder}/paused"), "").unwrap();
            // Until its recorder is gone.
            let recorder = std::os::unix::process::parent_id();
            while std::os::unix::process::parent_id() == recorder {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Standard input into the socket, and what comes back to standard output, as for SSH.
fn pass(url: &str) {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).unwrap();
    let mut socket = connect(url);
    send(&mut socket, true, 0x82, &input).unwrap();
    let (_, _, payload) = receive(&mut socket).unwrap();
    let mut out = std::io::stdout();
    out.write_all(BEGIN.as_bytes()).unwrap();
    out.write_all(&payload).unwrap();
    out.flush().unwrap();
}

fn connect(url: &str) -> TcpStream {
    let (authority, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    );
    if env::var("STAND_IN_SIGNS").is_ok() {
        request +=
            "Authorization: AWS4-HMAC-SHA256 Credential=PLUGIN/x, Signature=0\r\nX-Amz-Date: 20200101T000000Z\r\n";
    }
    stream.write_all((request + "\r\n").as_bytes()).unwrap();
    let head = head(&mut stream).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    stream
}
