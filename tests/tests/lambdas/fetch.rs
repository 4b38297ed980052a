//! `warden` over what lies in AWS.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};
use warden_tests::aws::REGION;
use warden_tests::ministack::Ministack;
use warden_tests::sessions::Operated;

use crate::ministack;

const ACCOUNT: &str = "100000000020";

#[test]
fn warden_reads_objects_and_log_streams() {
    let Some(ministack) = ministack() else { return };
    let account = ministack.account(ACCOUNT);
    let session = Operated::new(ACCOUNT, 1, &["uptime", "cat /etc/shadow"]);
    account.make_bucket("archive");
    account.put("archive", &format!("logs/{}", session.key()), session.transcript());
    account.put("archive", "logs/trail.json", session.started()["detail"].to_string());
    account.put("archive", "logs/picture.png", vec![0x89, b'P', b'N', b'G', 0, 1, 2, 3]);
    let place = json!({"logGroupName": "/archive", "logStreamName": session.id});
    account.json("Logs_20140328.CreateLogGroup", &json!({"logGroupName": "/archive"}));
    account.json("Logs_20140328.CreateLogStream", &place);
    let now = Timestamp::now().as_millisecond();
    let events: Vec<_> = session.messages().iter().map(|text| json!({"timestamp": now, "message": text})).collect();
    let mut input = place;
    input["logEvents"] = json!(events);
    account.json("Logs_20140328.PutLogEvents", &input);

    let warden = warden();
    let run = |path: &str| scan(&warden, ministack, path);
    let (code, findings, _) = run("s3://archive/logs/");
    assert_eq!(code, 1);
    let found: Vec<&Value> = findings.iter().filter(|line| line["source"]["kind"] == "transcript").collect();
    assert!(!found.is_empty());
    for finding in found {
        assert_eq!(finding["source"]["path"], json!(format!("s3://archive/logs/{}", session.key())));
        assert_eq!(finding["principal"], json!(session.principal), "StartSession lies beside it");
    }
    let (code, findings, _) = run(&format!("cloudwatch:///archive/{}", session.id));
    assert_eq!((code, &findings[0]["session"]), (1, &json!(session.id)));
    for (path, word) in [("s3://archive/none", "nothing there"), ("s3://archive/logs/picture.png", "--kind")] {
        let (code, _, errors) = run(path);
        assert!(code == 2 && errors.contains(word), "{path}: {code} {errors}");
    }
}

/// Exit code, findings, and what stood on stderr.
fn scan(warden: &PathBuf, ministack: &Ministack, path: &str) -> (i32, Vec<Value>, String) {
    let output = Command::new(warden)
        .args(["scan", "--format", "json", path])
        .env("AWS_ENDPOINT_URL", format!("http://{}", ministack.address))
        .envs([("AWS_ACCESS_KEY_ID", ACCOUNT), ("AWS_SECRET_ACCESS_KEY", "none"), ("AWS_REGION", REGION)])
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let findings = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    let findings = findings.filter(|line: &Value| line["type"] == "finding").collect();
    (output.status.code().unwrap(), findings, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// `warden` with its feature `aws`, in a build folder's corner of its own: the plain one stays what it is.
fn warden() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--workspace", "--features", "warden/aws", "--bin", "warden", "--locked"])
        .args(["--message-format", "json", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "warden does not build with its feature aws");
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut built =
        messages.filter(|message| message["target"]["name"] == "warden" && message["executable"].is_string());
    let built: PathBuf = built.find_map(|message| Some(message["executable"].as_str()?.into())).unwrap();
    // The next build puts the plain one in its place.
    let kept = built.with_file_name("warden-aws");
    std::fs::copy(built, &kept).unwrap();
    kept
}
