//! `warden record` end to end on the loopback: a stand-in for the AWS CLI, one for its plugin, and a service.

#![allow(clippy::unwrap_used, clippy::exit, clippy::decimal_bitwise_operands, clippy::format_collect, reason = "tests")]

mod capture;
mod plugin;
mod service;
mod wire;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use warden_protocol::frame::{Frame, decode};
use warden_protocol::wire::{MessageType, PayloadType, Sha256};

use capture::Record;
use service::{PATIENCE, Service, certificate};
use wire::{Step, to_lines};

const TOKEN: &str = "AAEAAbearer+secret/of-the-channel==";
const SESSION: &str = "alice-07062cb2023ce1c3a";

/// Started by the script that stands in for the plugin.
#[test]
fn stand_in_plugin() {
    plugin::stand_in();
}

/// A run of `warden record`: where its files are and how it is called.
struct Run {
    folder: TempDir,
    command: Command,
}

impl Run {
    /// Of a session with a service at this URL.
    fn new(url: &str, options: &[&str]) -> Self {
        let cli = "session-manager-plugin --version >/dev/null || exit 9\n\
            session-manager-plugin AWS_SSM_START_SESSION_RESPONSE eu-central-1 StartSession \"$PROFILE\" \
            '{\"Target\":\"i-0123456789abcdef0\",\"DocumentName\":\"SSM-SessionManagerRunShell\"}' https://ssm.example\n";
        let mut run = Self::of(options, &["sh", "-c", cli]);
        let response = json!({"SessionId": SESSION, "TokenValue": TOKEN, "StreamUrl": url});
        run.command.env("AWS_SSM_START_SESSION_RESPONSE", response.to_string()).env("PROFILE", "");
        run
    }

    /// Of any command.
    fn of(options: &[&str], cli: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        program(&folder.path().join("session-manager-plugin"), plugin::SCRIPT);
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_warden"));
        command.arg("record").args(options).arg("--").args(cli);
        command.current_dir(folder.path()).env("PATH", path).env("STAND_IN", std::env::current_exe().unwrap());
        command.env("STAND_IN_FOLDER", folder.path()).stdin(Stdio::null());
        for name in ["AWS_PROFILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE"] {
            command.env_remove(name);
        }
        Self { folder, command }
    }

    fn steps(mut self, steps: &[Step]) -> Self {
        fs::write(self.path("steps"), to_lines(steps)).unwrap();
        self.command.env("STAND_IN_STEPS", self.path("steps"));
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn finish(&mut self) -> (i32, String) {
        let Output { status, stderr, stdout } = self.command.output().unwrap();
        let said = String::from_utf8_lossy(&stderr).into_owned() + &String::from_utf8_lossy(&stdout);
        (status.code().unwrap(), said)
    }

    fn capture(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn plain(service: &Service) -> String {
    format!("ws://127.0.0.1:{}/v1/data-channel/{SESSION}?role=publish_subscribe", service.port)
}

fn open() -> Step {
    let text = json!({"MessageSchemaVersion": "1.0", "RequestId": "r", "TokenValue": TOKEN, "ClientId": "c"});
    Step::client(0x81, text.to_string())
}

fn frame(kind: MessageType, sequence: i64, text: &[u8]) -> Vec<u8> {
    let payload = Bytes::copy_from_slice(text);
    Frame { created_date: 1_732_279_474_000, ..Frame::stream(kind, sequence, PayloadType::OUTPUT, payload) }
        .encode()
        .to_vec()
}

fn typed(sequence: i64, text: &str) -> Step {
    Step::client(0x82, frame(MessageType::INPUT_STREAM_DATA, sequence, text.as_bytes()))
}

fn shown(sequence: i64, text: &str) -> Step {
    Step::service(0x82, frame(MessageType::OUTPUT_STREAM_DATA, sequence, text.as_bytes()))
}

/// A shell in which `id` is typed and a password at a prompt, with pings, fragments and a close.
fn shell() -> Vec<Step> {
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
fn messages(records: &[Record]) -> Vec<(u8, u8, u32, Vec<u8>, bool)> {
    let message = |record: &Record| {
        let (direction, opcode, socket, bytes, masked) = record.message()?;
        Some((direction, opcode, socket, bytes.to_vec(), masked))
    };
    records.iter().filter_map(message).collect()
}

/// The messages of steps as a capture holds them, fragments joined, if nothing is masked and no token replaced.
fn expected(steps: &[Step]) -> Vec<(u8, u8, u32, Vec<u8>)> {
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
fn assert_holds(records: &[Record], steps: &[Step]) -> usize {
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

/// Polls until a file is there.
fn wait_for(path: &Path) -> String {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match fs::read_to_string(path) {
            Ok(text) => return text,
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
    panic!("{} does not come", path.display());
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_shell_is_recorded_and_nothing_of_it_changed() {
    let steps = shell();
    let service = Service::start(steps.clone(), None);
    let mut run = Run::new(&plain(&service), &["-o", "s.warden"]).steps(&steps).env("STAND_IN_CODE", "7");
    let (code, said) = run.finish();
    assert_eq!(code, 7, "the command's exit code: {said}");
    let heads = service.finish();
    assert!(heads[0].starts_with(&format!("GET /v1/data-channel/{SESSION}?role=publish_subscribe HTTP/1.1\r\n")));
    assert!(!heads[0].to_lowercase().contains("authorization"), "what was not signed is not signed");
    let seen = fs::read_to_string(run.path("seen")).unwrap();
    assert!(seen.contains("eu-central-1|StartSession||{\"Target\":"), "{seen}");
    assert!(seen.contains("\"ws://127.0.0.1:") && seen.ends_with("Err(NotPresent)"), "{seen}");
    let bytes = run.capture("s.warden");
    assert_eq!(fs::metadata(run.path("s.warden")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!contains(&bytes, TOKEN.as_bytes()) && !contains(&bytes, b"hunter2"));
    assert!(!contains(&bytes, &Sha256::of(b"hunter2").0) && contains(&bytes, b"*******"));
    let (records, last, rest) = capture::read(&bytes);
    assert_eq!((assert_holds(&records, &steps), rest), (1, 0));
    let header = records[0].json();
    assert_eq!((header["session"].as_str(), header["region"].as_str()), (Some(SESSION), Some("eu-central-1")));
    assert_eq!(
        (&header["target"], &header["masked"]),
        (&json!("i-0123456789abcdef0"), &json!(["token", "no-echo-input"]))
    );
    let closing = records.last().unwrap();
    assert_eq!((closing.kind, closing.json()["masked"].as_u64()), (4, Some(1)));
    assert!(said.contains(&last.to_string()), "{said}");
}

#[test]
fn input_is_kept_when_asked_for() {
    let steps = shell();
    let service = Service::start(steps.clone(), None);
    let mut run = Run::new(&plain(&service), &["-o", "s.warden", "--keep-input"]).steps(&steps);
    assert_eq!(run.finish().0, 0);
    service.finish();
    let (records, ..) = capture::read(&run.capture("s.warden"));
    assert_eq!(assert_holds(&records, &steps), 0);
    assert!(contains(&run.capture("s.warden"), b"hunter2"));
}

#[test]
fn tls_is_verified_and_a_signature_made_anew() {
    let steps = shell();
    let (pem, config) = certificate();
    let service = Service::start(steps.clone(), Some(config));
    let url = format!("wss://localhost:{}/v1/data-channel/{SESSION}?role=publish_subscribe", service.port);
    let mut run = Run::new(&url, &["--ca", "ca.pem"])
        .steps(&steps)
        .env("STAND_IN_SIGNS", "1")
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_SESSION_TOKEN", "temporary");
    fs::write(run.path("ca.pem"), pem).unwrap();
    let (code, said) = run.finish();
    assert_eq!(code, 0, "{said}");
    let heads = service.finish();
    assert!(heads[0].contains("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{}", heads[0]);
    assert!(heads[0].contains("/eu-central-1/ssmmessages/aws4_request") && heads[0].contains("temporary"));
    assert!(!heads[0].contains("PLUGIN") && heads[0].contains(&format!("Host: localhost:{}\r\n", service_port(&url))));
    // Without a name the capture is named after the session.
    let (records, ..) = capture::read(&run.capture(&format!("{SESSION}.warden")));
    assert_holds(&records, &steps);
}

fn service_port(url: &str) -> &str {
    url.split(':').nth(2).unwrap().split('/').next().unwrap()
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (_, config) = certificate();
    let (other, _) = certificate();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::Read as _;
        let (stream, _) = listener.accept().unwrap();
        let connection = tokio_rustls::rustls::ServerConnection::new(config).unwrap();
        let _ = tokio_rustls::rustls::StreamOwned::new(connection, stream).read(&mut [0]);
    });
    let mut run = Run::new(&format!("wss://localhost:{port}/v1"), &["--ca", "ca.pem"]).steps(&shell());
    fs::write(run.path("ca.pem"), other).unwrap();
    let (code, said) = run.finish();
    assert!(code != 0 && said.contains("certificate"), "{code} {said}");
}

#[test]
fn credentials_of_a_profile_come_from_the_cli() {
    let steps = shell();
    let service = Service::start(steps.clone(), None);
    let mut run = Run::new(&plain(&service), &[]).steps(&steps).env("STAND_IN_SIGNS", "1").env("PROFILE", "prod");
    program(
        &run.path("aws"),
        "#!/bin/sh\n[ \"$*\" = 'configure export-credentials --format process --profile prod' ] || exit 1\n\
         echo '{\"Version\":1,\"AccessKeyId\":\"AKIDPROD\",\"SecretAccessKey\":\"s\"}'\n",
    );
    let (code, said) = run.finish();
    assert_eq!(code, 0, "{said}");
    assert!(service.finish()[0].contains("Credential=AKIDPROD/"));
}

#[test]
fn a_second_socket_goes_into_the_same_capture() {
    let mut again = open();
    again.is_new_socket = true;
    let steps = [shell()[..6].to_vec(), vec![again, typed(1, "l"), shown(2, "l")]].concat();
    let service = Service::start(steps.clone(), None);
    let mut run = Run::new(&plain(&service), &["-o", "s.warden"]).steps(&steps);
    let (code, said) = run.finish();
    assert_eq!(code, 0, "{said}");
    assert_eq!(service.finish().len(), 2);
    let (records, ..) = capture::read(&run.capture("s.warden"));
    assert_holds(&records, &steps);
    assert_eq!(messages(&records).last().unwrap().2, 1);
}

#[test]
fn input_and_output_of_ssh_pass_untouched() {
    let input: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let steps = vec![Step::client(0x82, input.clone()), Step::service(0x82, input.clone())];
    let service = Service::start(steps, None);
    let mut run = Run::new(&plain(&service), &["-o", "s.warden"]);
    fs::write(run.path("input"), &input).unwrap();
    run.command.stdin(fs::File::open(run.path("input")).unwrap());
    let output = run.command.output().unwrap();
    service.finish();
    let at = output.stdout.windows(9).position(|window| window == plugin::BEGIN.as_bytes()).unwrap();
    assert!(output.stdout[at + 9..] == input[..]);
}

#[test]
fn a_killed_recorder_leaves_a_readable_capture() {
    let steps = shell();
    let service = Service::start(steps[..6].to_vec(), None);
    let mut run = Run::new(&plain(&service), &["-o", "s.warden"]).steps(&steps[..7]).env("STAND_IN_PAUSE", "5");
    run.command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child: Child = run.command.spawn().unwrap();
    wait_for(&run.path("paused"));
    let recorder = fs::read_to_string(run.path("recorder")).unwrap();
    assert!(Command::new("kill").args(["-9", &recorder]).status().unwrap().success());
    service.finish();
    let (records, ..) = capture::read(&run.capture("s.warden"));
    assert_holds(&records, &steps[..6]);
    assert!(records.iter().all(|record| record.kind != 4));
    // The command ends: the link that it called was killed.
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the capture is not closed"), "{said}");
    assert_eq!(output.status.code(), Some(137));
}

/// A session whose output does not fit into a file of 16 blocks.
fn long() -> Vec<Step> {
    let line = "0123456789abcdef".repeat(60);
    let output = (0..60).flat_map(|n| [typed(n, "\r"), shown(n, &line)]);
    [open()].into_iter().chain(output).collect()
}

fn limited(run: &mut Run) {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 16; exec \"$@\"", "sh"]).arg(run.command.get_program()).args(run.command.get_args());
    limited.current_dir(run.folder.path()).stdin(Stdio::null());
    for (name, value) in run.command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    run.command = limited;
}

#[test]
fn a_full_disk_ends_the_session_or_is_said_aloud() {
    let steps = long();
    // Warn: the session goes on to its end.
    let service = Service::start(steps.clone(), None);
    let mut run = Run::new(&plain(&service), &["-o", "s.warden", "--on-error", "warn"]).steps(&steps);
    limited(&mut run);
    let (code, said) = run.finish();
    service.finish();
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("THIS SESSION IS NOT RECORDED ANY MORE") && said.contains("MESSAGES ARE NOT IN THE CAPTURE"));
    assert!(run.path("done").exists());
    let (records, _, rest) = capture::read(&run.capture("s.warden"));
    let held = messages(&records).len();
    assert!(rest == 0 && held > 5, "{held} messages, {rest} bytes of another");
    let before = &steps[..held];
    assert_holds(&records[..=held], before);

    // Stop: it ends, and the plugin does not get to its end.
    let service = Service::start(steps.clone(), None);
    let mut run = Run::new(&plain(&service), &["-o", "s.warden"]).steps(&steps);
    limited(&mut run);
    let (code, said) = run.finish();
    assert!(code != 0 && said.contains("THE SESSION IS ENDED"), "{code} {said}");
    assert!(!run.path("done").exists());
    let (records, _, rest) = capture::read(&run.capture("s.warden"));
    assert_eq!((messages(&records).len(), rest), (held, 0));
}

#[test]
fn no_file_is_written_over() {
    let mut run = Run::new("ws://127.0.0.1:1/", &["-o", "s.warden"]);
    fs::write(run.path("s.warden"), "evidence").unwrap();
    let (code, said) = run.finish();
    assert_eq!(code, 2);
    assert!(said.contains("exists"), "{said}");
    assert_eq!(run.capture("s.warden"), b"evidence");
}

#[test]
fn a_command_without_a_session_is_told() {
    let mut run = Run::of(&[], &["true"]);
    let (code, said) = run.finish();
    assert_eq!(code, 3);
    assert!(said.contains("nothing is recorded"), "{said}");
    let mut run = Run::of(&[], &["sh", "-c", "exit 5"]);
    assert_eq!(run.finish().0, 5);
}

#[test]
fn an_encrypted_capture_is_an_age_file() {
    let steps = shell();
    let service = Service::start(steps.clone(), None);
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public().to_string();
    let mut run = Run::new(&plain(&service), &["--recipient", &recipient]).steps(&steps);
    let (code, said) = run.finish();
    assert_eq!(code, 0, "{said}");
    service.finish();
    let sealed = run.capture(&format!("{SESSION}.warden.age"));
    let (records, last, rest) = capture::read(&age::decrypt(&identity, &sealed).unwrap());
    assert_eq!((assert_holds(&records, &steps), rest), (1, 0));
    assert!(said.contains(&last.to_string()));
}

/// Real traffic: shells, line editing, resizes, commands without a terminal, forwarded ports, KMS, resumed sessions.
#[test]
fn recorded_sessions_pass_untouched() {
    let Ok(data) = std::env::var("WARDEN_DATA") else {
        eprintln!("skipped: WARDEN_DATA does not name the folder of recorded sessions");
        return;
    };
    for name in [
        "a-simple-shell",
        "e1-noninteractive-separate",
        "f-port-basic",
        "g-port-mux",
        "h-kms-shell",
        "i4-disconnect-resume",
    ] {
        let frames = fs::read_to_string(format!("{data}/made/captures/{name}/frames.jsonl")).unwrap();
        let mut steps: Vec<Step> = frames.lines().map(step).collect();
        for step in steps.iter_mut().skip(1) {
            step.is_new_socket = step.is_from_client && step.first == 0x81;
        }
        let service = Service::start(steps.clone(), None);
        let mut run = Run::new(&plain(&service), &["-o", "s.warden"]).steps(&steps);
        let (code, said) = run.finish();
        assert_eq!(code, 0, "{name}: {said}");
        service.finish();
        let (records, _, rest) = capture::read(&run.capture("s.warden"));
        let masked = assert_holds(&records, &steps);
        assert_eq!((masked, rest), (0, 0), "{name}: everything typed was echoed or is no terminal's");
    }
}

fn step(line: &str) -> Step {
    let line: Value = serde_json::from_str(line).unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(line["b64"].as_str().unwrap()).unwrap();
    let first = 0x80 | u8::try_from(line["opcode"].as_u64().unwrap()).unwrap();
    if line["dir"] == "c2s" { Step::client(first, payload) } else { Step::service(first, payload) }
}

/// The AWS CLI itself, where it is installed, against a made-up SSM.
#[test]
fn the_aws_cli_starts_the_session() {
    let aws = Command::new("aws").arg("--version").output();
    if !aws.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: the AWS CLI is not installed");
        return;
    }
    let steps = shell();
    let service = Service::start(steps.clone(), None);
    let response = json!({"SessionId": SESSION, "TokenValue": TOKEN, "StreamUrl": plain(&service)}).to_string();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let head = wire::head(&mut stream).unwrap();
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{response}",
            response.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let cli = [
        "aws",
        "ssm",
        "start-session",
        "--target",
        "i-0123456789abcdef0",
        "--region",
        "eu-west-1",
        "--endpoint-url",
        &endpoint,
    ];
    let mut run = Run::of(&["-o", "s.warden"], &cli)
        .steps(&steps)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("NO_PROXY", "127.0.0.1");
    let (code, said) = run.finish();
    assert_eq!(code, 0, "{said}");
    service.finish();
    let (records, ..) = capture::read(&run.capture("s.warden"));
    assert_holds(&records, &steps);
    assert_eq!(records[0].json()["target"], "i-0123456789abcdef0");
}

#[test]
fn frames_of_this_test_are_frames() {
    let step = typed(3, "x");
    assert_eq!(decode(Bytes::from(step.payload)).unwrap().frame.sequence_number, 3);
}
