//! What comes in, and what goes out of it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use warden_tests::aws::Account;
use warden_tests::ministack::{Stack, venv};
use warden_tests::sessions::Operated;
use warden_tests::wait_for;

use crate::{command, is_initial, ministack};

const ATTACK: &str = "cat /etc/shadow";

#[test]
fn a_transcript_becomes_an_alert() {
    let Some(ministack) = ministack() else { return };
    let stack = ministack.deploy("100000000001", &[]);
    let wanted = stack.alerts("wanted", Some(&json!({"level": ["high", "critical"], "account": ["100000000001"]})));
    let unwanted = stack.alerts("unwanted", Some(&json!({"level": ["informational"]})));
    let session = Operated::new("100000000001", 1, &["uptime", ATTACK]);
    stack.account.invoke("session-warden-cloudtrail", &session.started()).unwrap();

    // Keys of notifications are encoded.
    let key = format!("of the year+1/über/{}", session.key());
    stack.account.put(&stack.bucket("transcripts"), &key, session.transcript());

    let alerts = stack.account.take_until(&wanted, "the alert", |alert| is_initial(alert, ATTACK));
    let alert = alerts.iter().find(|alert| is_initial(alert, ATTACK)).unwrap();
    assert_eq!(alert["session"]["id"], json!(session.id));
    assert_eq!(alert["session"]["principal"], json!(session.principal));
    assert_eq!(alert["session"]["target"], json!(session.target));
    assert_eq!(alert["finding"]["source"]["kind"], "transcript");
    assert_eq!(alert["evidence"]["path"], json!(format!("s3://{}/{key}", stack.bucket("transcripts"))));
    assert!(alert["evidence"]["version"].is_string(), "{alert}");
    assert_eq!(stack.account.take(&unwanted), Vec::<String>::new());
}

#[test]
fn log_events_become_an_alert() {
    let Some(ministack) = ministack() else { return };
    ministack.account("100000000002").json("Logs_20140328.CreateLogGroup", &json!({"logGroupName": "/ssm/sessions"}));
    let stack = ministack.deploy("100000000002", &[("LogGroup1", "/ssm/sessions")]);
    let queue = stack.alerts("alerts", None);
    let session = Operated::new("100000000002", 1, &["uptime", ATTACK, "id"]);
    stream(&stack.account, &session);
    let alerts = stack.account.take_until(&queue, "the alert", |alert| is_initial(alert, ATTACK));
    let alert = alerts.iter().find(|alert| is_initial(alert, ATTACK)).unwrap();
    assert_eq!(alert["session"]["id"], json!(session.id));
    assert_eq!(alert["finding"]["source"]["kind"], "log-stream");
    assert_eq!(alert["evidence"]["path"], json!(format!("cloudwatch:///ssm/sessions/{}", session.id)));
}

#[test]
fn a_started_session_is_alerted_about_and_kept() {
    let Some(ministack) = ministack() else { return };
    let stack = ministack.deploy("100000000003", &[]);
    let queue = stack.alerts("alerts", None);
    let session = Operated::new("100000000003", 1, &[]);
    let mut event = session.started();
    event["detail"]["requestParameters"]["documentName"] = json!("AWS-StartInteractiveCommand");
    event["detail"]["requestParameters"]["parameters"] = json!({"command": [ATTACK]});
    stack.account.deliver("session-warden-cloudtrail", &event);
    let alerts = stack.account.take_until(&queue, "the alert", |alert| is_initial(alert, ATTACK));
    let alert = alerts.iter().find(|alert| is_initial(alert, ATTACK)).unwrap();
    assert_eq!(alert["session"]["principal"], json!(session.principal));
    assert_eq!(alert["session"]["target"], json!(session.target));
    assert_eq!(alert["finding"]["source"]["trust"], "service");
    assert!(rows(&stack).iter().any(|row| row.to_string().contains(&session.id)));
}

#[test]
fn only_the_poison_message_ends_in_the_dead_letter_queue() {
    let Some(ministack) = ministack() else { return };
    let stack = ministack.deploy("100000000004", &[]);
    let queue = stack.alerts("alerts", None);
    let input = stack.queue("transcripts");
    hurry(&stack, 15, 2);
    let good: Vec<_> = (1..=2).map(|n| Operated::new("100000000004", n, &[ATTACK])).collect();
    let bucket = stack.bucket("transcripts");
    for session in &good {
        stack.account.put(&bucket, &session.key(), session.transcript());
    }
    stack.account.json("AmazonSQS.SendMessage", &json!({"QueueUrl": input, "MessageBody": "poison"}));
    let mut told = BTreeSet::new();
    wait_for("both alerts", || {
        for body in stack.account.take(&queue) {
            let alert: Value = serde_json::from_str(&body).unwrap();
            told.extend(alert["session"]["id"].as_str().map(str::to_owned));
        }
        good.iter().all(|session| told.contains(&session.id)).then_some(())
    });
    let dead = stack.queue("transcripts-dlq");
    let mut letters = Vec::new();
    wait_for("the dead letter", || {
        letters.extend(stack.account.take(&dead));
        (!letters.is_empty()).then_some(())
    });
    assert_eq!(letters, ["poison"]);
    assert_eq!(waiting(&stack, &input), 0);
}

#[test]
fn two_accounts_are_apart() {
    let Some(ministack) = ministack() else { return };
    let stacks = ["100000000005", "100000000006"].map(|account| ministack.deploy(account, &[]));
    let queues: Vec<_> = stacks.iter().map(|stack| stack.alerts("alerts", None)).collect();
    let mut ids = Vec::new();
    for (stack, queue) in stacks.iter().zip(&queues) {
        // The same id: what tells them apart is the account.
        let session = Operated::new(&stack.account.id, 7, &[ATTACK]);
        stack.account.invoke("session-warden-cloudtrail", &session.started()).unwrap();
        stack.account.put(&stack.bucket("transcripts"), &session.key(), session.transcript());
        let alerts = stack.account.take_until(queue, "the alert", |alert| is_initial(alert, ATTACK));
        for alert in &alerts {
            assert_eq!(alert["session"]["account"], json!(stack.account.id), "{alert}");
        }
        ids.extend(alerts.iter().filter(|alert| is_initial(alert, ATTACK)).map(|alert| alert["alert_id"].to_string()));
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 2, "{ids:?}");
}

/// Every event of a session three times, and both sources of it: one initial alert for each key.
#[test]
fn redelivery_makes_no_second_alert() {
    let Some(ministack) = ministack() else { return };
    let account = "100000000007";
    ministack.account(account).json("Logs_20140328.CreateLogGroup", &json!({"logGroupName": "/ssm/sessions"}));
    let stack = ministack.deploy(account, &[("LogGroup1", "/ssm/sessions"), ("FollowUp", "1s")]);
    let queue = stack.alerts("alerts", None);
    let session = Operated::new(
        account,
        1,
        &["uptime", ATTACK, "sudo setenforce 0", "echo ssh-ed25519 AAAATEST >> ~/.ssh/authorized_keys"],
    );
    let bucket = stack.bucket("transcripts");
    let stored = stack.account.put(&bucket, &session.key(), session.transcript());
    let input = stack.queue("transcripts");
    hurry(&stack, 2, 20);
    for _ in 0..3 {
        stream(&stack.account, &session);
        stack.account.invoke("session-warden-cloudtrail", &session.started()).unwrap();
        let message = session.notification(&stored, "");
        stack.account.json("AmazonSQS.SendMessage", &json!({"QueueUrl": input, "MessageBody": message["body"]}));
    }
    wait_for("the queue to run empty", || (waiting(&stack, &input) == 0).then_some(()));
    let mut alerts = stack.account.take_until(&queue, "the alerts", |alert| is_initial(alert, "sudo setenforce 0"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    alerts.extend(stack.account.take(&queue).iter().map(|body| serde_json::from_str::<Value>(body).unwrap()));
    let initial: Vec<_> = alerts.iter().filter(|alert| alert["kind"] == "initial").collect();
    let keys: BTreeSet<_> = initial.iter().map(|alert| alert["dedup_key"].to_string()).collect();
    let told: Vec<_> = initial.iter().map(|alert| (command(alert), &alert["finding"]["rule"]["title"])).collect();
    assert_eq!(initial.len(), keys.len(), "{told:#?}");
    for attack in &session.commands[1..] {
        assert!(initial.iter().any(|alert| command(alert) == attack), "{attack} is missing in {told:#?}");
    }
}

/// A harmless command first, then twenty attacks under the same rule and key.
#[test]
fn a_decoy_hides_nothing() {
    let Some(ministack) = ministack() else { return };
    let stack = ministack.deploy("100000000008", &[("FollowUp", "1s")]);
    let queue = stack.alerts("alerts", None);
    let attacks: Vec<String> = (1..=20).map(|n| format!("head -n {n} /etc/shadow")).collect();
    let commands: Vec<&str> = std::iter::once(ATTACK).chain(attacks.iter().map(String::as_str)).collect();
    let session = Operated::new("100000000008", 1, &commands);
    stack.account.put(&stack.bucket("transcripts"), &session.key(), session.transcript());
    let mut seen = BTreeSet::new();
    let mut collect = |bodies: Vec<Value>| {
        for alert in bodies {
            let others = alert["others"].as_array().cloned().unwrap_or_default();
            let texts = others.iter().map(|other| other["command"]["text"].as_str().unwrap_or_default());
            seen.extend(texts.chain([command(&alert)]).map(str::to_owned));
        }
        attacks.iter().filter(|attack| !seen.contains(*attack)).count()
    };
    collect(stack.account.take_until(&queue, "the decoy", |alert| is_initial(alert, ATTACK)));
    wait_for("all twenty", || {
        // A process that ended between two events is started again by the next one.
        if let Err(error) = stack.account.invoke("session-warden-reconcile", &json!({"run": "frequent"})) {
            println!("reconcile: {error}");
            return None;
        }
        let bodies = stack.account.take(&queue);
        let missing = collect(bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect());
        (missing == 0).then_some(())
    });
}

/// A rule that the CI of a git repository has put into the rule bucket.
#[test]
fn a_rule_from_git_is_used() {
    let Some(ministack) = ministack() else { return };
    let stack = ministack.deploy("100000000010", &[("RulesInBucket", "yes")]);
    let queue = stack.alerts("alerts", None);
    let rule = "title: Own\nid: 0f7a5a4e-0000-4000-8000-000000000001\nlevel: high\nlogsource: {product: aws, service: session-manager, category: command}\ndetection:\n  run:\n    CommandLine: own-tool --now\n  condition: run\n";
    let bucket = stack.bucket("rules");
    stack.account.put(&bucket, "rules/linux/own.yml", rule);
    stack.account.put(&bucket, "rules/manifest.json", manifest_of("linux/own.yml", rule));
    let session = Operated::new("100000000010", 1, &["own-tool --now"]);
    stack.account.put(&stack.bucket("transcripts"), &session.key(), session.transcript());
    stack.account.take_until(&queue, "the alert", |alert| {
        is_initial(alert, "own-tool --now") && alert["finding"]["rule"]["title"] == "Own"
    });
}

#[test]
fn a_backfill_publishes_nothing() {
    let Some(ministack) = ministack() else { return };
    let stack = ministack.deploy("100000000009", &[]);
    let queue = stack.alerts("alerts", None);
    let session = Operated::new("100000000009", 1, &[ATTACK]);
    let bucket = stack.bucket("transcripts");
    stack.account.put(&bucket, &session.key(), session.transcript());
    stack.account.take_until(&queue, "the alert", |alert| is_initial(alert, ATTACK));
    let task = |id: &str, key: &str| json!({"taskId": id, "s3Key": key, "s3VersionId": null, "s3BucketArn": format!("arn:aws:s3:::{bucket}")});
    let event = json!({
        "invocationSchemaVersion": "1.0", "invocationId": "one", "job": {"id": "job-1"},
        "tasks": [task("there", &session.key()), task("gone", "gone.log")],
    });
    let answer = stack.account.invoke("session-warden-backfill", &event).unwrap();
    let codes: Vec<_> =
        answer["results"].as_array().unwrap().iter().map(|result| result["resultCode"].as_str().unwrap()).collect();
    assert_eq!(codes, ["Succeeded", "PermanentFailure"], "{answer}");
    let results = stack.bucket("results");
    let found: String = stack
        .account
        .keys(&results)
        .iter()
        .map(|key| String::from_utf8(stack.account.fetch(&results, key)).unwrap())
        .collect();
    assert!(found.contains(ATTACK), "{found}");
    assert_eq!(stack.account.take(&queue), Vec::<String>::new());
}

/// The state machine of the stack: every transcript of a bucket, in batches.
#[test]
fn a_distributed_map_reads_every_transcript() {
    let Some(ministack) = ministack() else { return };
    // What is stored under another prefix is read by the backfill alone.
    let stack = ministack.deploy("100000000011", &[("TranscriptPrefix", "live/")]);
    let bucket = stack.bucket("transcripts");
    // More than one batch holds, and something that is no transcript.
    let sessions: Vec<_> = (0..60).map(|n| Operated::new("100000000011", n, &["uptime", ATTACK])).collect();
    for session in &sessions {
        stack.account.put(&bucket, &format!("2026/{}", session.key()), session.transcript());
    }
    stack.account.put(&bucket, "2026/picture.png", vec![0x89, b'P', b'N', b'G', 0, 1, 2, 3]);
    stack.account.put(&bucket, "2025/other.log", sessions[0].transcript());
    let machine = "arn:aws:states:eu-west-1:100000000011:stateMachine:session-warden-backfill";
    let input = json!({"stateMachineArn": machine, "name": "run-1", "input": "{\"prefix\": \"2026/\"}"});
    let begun = stack.account.json("AWSStepFunctions.StartExecution", &input);
    wait_for("the state machine", || {
        let input = json!({"executionArn": begun["executionArn"]});
        let execution = stack.account.json("AWSStepFunctions.DescribeExecution", &input);
        assert!(!["FAILED", "TIMED_OUT", "ABORTED"].contains(&execution["status"].as_str().unwrap()), "{execution}");
        (execution["status"] == "SUCCEEDED").then_some(())
    });
    let results = stack.bucket("results");
    let found: Vec<_> = stack.account.keys(&results).into_iter().filter(|key| key.contains("run-1")).collect();
    assert_eq!(found.len(), sessions.len(), "{found:?}");
    for key in &found {
        let lines = String::from_utf8(stack.account.fetch(&results, key)).unwrap();
        assert!(lines.contains(ATTACK) && lines.contains("\"type\":\"summary\""), "{key}: {lines}");
    }
}

/// The manifest that the published workflow writes for a repository with one rule.
fn manifest_of(path: &str, rule: &str) -> Vec<u8> {
    let workflow = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../functions/rules-workflow.yml"));
    let script = workflow.split_once("<<'PYTHON'\n").unwrap().1.split_once("PYTHON\n").unwrap().0;
    let indent = script.len() - script.trim_start().len();
    let script: Vec<_> = script.lines().map(|line| line.get(indent..).unwrap_or_default()).collect();
    let repository = TempDir::new().unwrap();
    let file = repository.path().join("rules").join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, rule).unwrap();
    let python = venv().unwrap().join("python");
    let made = Command::new(python).arg("-c").arg(script.join("\n")).current_dir(repository.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

/// Puts the messages of a session into its log stream. The second time they are new events with the old text.
fn stream(account: &Account, session: &Operated) {
    let place = json!({"logGroupName": "/ssm/sessions", "logStreamName": session.id});
    let found = account.json(
        "Logs_20140328.DescribeLogStreams",
        &json!({"logGroupName": "/ssm/sessions", "logStreamNamePrefix": session.id}),
    );
    if found["logStreams"].as_array().is_none_or(Vec::is_empty) {
        account.json("Logs_20140328.CreateLogStream", &place);
    }
    let now = Timestamp::now().as_millisecond();
    let events: Vec<_> =
        session.messages().iter().map(|message| json!({"timestamp": now, "message": message})).collect();
    let mut input = place;
    input["logEvents"] = json!(events);
    account.json("Logs_20140328.PutLogEvents", &input);
}

/// Failed messages come again after so many seconds, so often at most.
fn hurry(stack: &Stack, seconds: u32, times: u32) {
    let dead = format!("arn:aws:sqs:eu-west-1:{}:session-warden-transcripts-dlq", stack.account.id);
    let redrive = json!({"deadLetterTargetArn": dead, "maxReceiveCount": times}).to_string();
    let attributes = json!({"VisibilityTimeout": seconds.to_string(), "RedrivePolicy": redrive});
    let input = json!({"QueueUrl": stack.queue("transcripts"), "Attributes": attributes});
    stack.account.json("AmazonSQS.SetQueueAttributes", &input);
}

/// Messages in a queue, also those that are being worked on.
fn waiting(stack: &Stack, queue_url: &str) -> u64 {
    let input = json!({"QueueUrl": queue_url, "AttributeNames": ["All"]});
    let attributes = stack.account.json("AmazonSQS.GetQueueAttributes", &input);
    let number =
        |name: &str| attributes["Attributes"][name].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    number("ApproximateNumberOfMessages") + number("ApproximateNumberOfMessagesNotVisible")
}

/// Rows of the ledger.
fn rows(stack: &Stack) -> Vec<Value> {
    let found = stack.account.json("DynamoDB_20120810.Scan", &json!({"TableName": "session-warden-ledger"}));
    found["Items"].as_array().cloned().unwrap_or_default()
}
