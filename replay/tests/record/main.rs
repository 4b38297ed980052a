//! `warden record` end to end on the loopback: a stand-in for the AWS CLI, one for its plugin, and a service.

#![allow(clippy::unwrap_used, clippy::exit, clippy::decimal_bitwise_operands, clippy::format_collect, reason = "tests")]

mod capture;
mod plugin;
mod run;
mod service;
mod session;
mod wire;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use serde_json::json;
use warden_protocol::frame::decode;
use warden_protocol::wire::Sha256;

use run::{Run, contains, limited, plain, program, verify, wait_for};
use service::{Service, certificate};
use session::{SESSION, TOKEN, assert_holds, long, messages, open, shell, shown, step, typed};
use wire::Step;

/// Started by the script that stands in for the plugin.
#[test]
fn stand_in_plugin() {
    plugin::stand_in();
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
    let (code, report) = verify(&run, &["s.warden"]);
    assert_eq!((code, &report["chain"], &report["session"]), (0, &json!("ok"), &json!(SESSION)), "{report}");
    assert_eq!((&report["bad_digests"], &report["undecodable"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(report["masked_messages"], 1);
    let frames = Command::new(env!("CARGO_BIN_EXE_warden"))
        .args(["frames", "--format", "json", "s.warden"])
        .current_dir(run.folder.path())
        .output()
        .unwrap();
    let frames = String::from_utf8(frames.stdout).unwrap();
    let masked: Vec<&str> = frames.lines().filter(|line| line.contains("\"masked\":7")).collect();
    assert!(
        matches!(masked[..], [line] if line.contains("\"digest\":null") && line.contains("\"status\":\"ok\"")),
        "{frames}"
    );
    let mut altered = bytes;
    let at = altered.windows(4).rposition(|window| window == b"uid=").unwrap();
    altered[at] ^= 1;
    fs::write(run.path("altered.warden"), altered).unwrap();
    let (code, report) = verify(&run, &["altered.warden"]);
    let broken = records.iter().rposition(|record| contains(&record.body, b"uid=")).unwrap();
    assert_eq!((code, &report["chain"]), (1, &json!(format!("broken at {broken}"))), "{report}");
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
    assert!(said.contains(&format!("terminate-session --session-id {SESSION}")), "{said}");
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
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    fs::write(run.path("key.txt"), secret).unwrap();
    let name = format!("{SESSION}.warden.age");
    let (code, report) = verify(&run, &[&name, "--identity", "key.txt"]);
    assert_eq!((code, &report["chain"]), (0, &json!("ok")), "{report}");
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
        let stored = run.capture("s.warden");
        let (records, _, rest) = capture::read(&stored);
        let masked = assert_holds(&records, &steps);
        let sent: usize = steps.iter().map(|step| step.payload.len()).sum();
        eprintln!("{name}: {} messages, {sent} bytes, {} in the capture", steps.len(), stored.len());
        assert_eq!((masked, rest), (0, 0), "{name}: everything typed was echoed or is no terminal's");
    }
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

/// Signals of the terminal reach the command as well; those for `warden` alone are handed on to it.
#[test]
fn signals_end_nothing_that_they_are_not_meant_for() {
    for (signal, expected) in [("-INT", 4), ("-QUIT", 4), ("-TSTP", 4), ("-TERM", 143)] {
        let mut run = Run::of(&[], &["sh", "-c", "touch begun; until [ -e go ]; do sleep 0.05; done; exit 4"]);
        let mut child = run.command.stderr(Stdio::null()).spawn().unwrap();
        wait_for(&run.path("begun"));
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        if signal != "-TERM" {
            fs::write(run.path("go"), "").unwrap();
        }
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{signal}");
    }
}
