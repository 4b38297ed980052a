//! The template: what AWS's and others' linters say of it, and whether it deploys.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

use serde_json::json;
use warden_tests::ministack::{Ministack, TEMPLATE, packaged_template, venv};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/library/aws");

#[test]
fn cfn_lint_has_no_objection() {
    run("cfn-lint", &[TEMPLATE]);
}

#[test]
fn sam_has_no_objection() {
    run("sam", &["validate", "--lint", "--region", "eu-west-1", "--template", TEMPLATE]);
}

/// What checkov is told to skip is argued in the template, beside the resource.
#[test]
fn checkov_has_no_objection() {
    run("checkov", &["--framework", "cloudformation", "--skip-download", "--compact", "--quiet", "--file", TEMPLATE]);
}

#[test]
fn api_calls_of_the_shipped_rules_are_handed_over() {
    run("python", &[concat!(env!("CARGO_MANIFEST_DIR"), "/src/patterns.py"), TEMPLATE, RULES]);
}

#[test]
fn own_output_is_refused_as_input() {
    let Some(ministack) = Ministack::start(None) else { return };
    let account = ministack.account("444444444444");
    account.make_bucket("code");
    account.put("code", "template.yaml", packaged_template("code"));
    let url = format!("http://{}/code/template.yaml", ministack.address);
    let validate = |name: &str, value: &str| {
        let fields = [
            ("Action", "CreateChangeSet"),
            ("StackName", "refused"),
            ("ChangeSetName", "refused"),
            ("ChangeSetType", "CREATE"),
            ("TemplateURL", &url),
            ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
            ("Capabilities.member.2", "CAPABILITY_AUTO_EXPAND"),
            ("Parameters.member.1.ParameterKey", name),
            ("Parameters.member.1.ParameterValue", value),
        ];
        account.try_query("cloudformation", &fields)
    };
    for (name, value) in [
        ("LogGroup1", "/session-warden/session-warden/logs"),
        ("LogGroup2", "/aws/lambda/anything"),
        ("LogGroup3", "/aws/vendedlogs/states/anything"),
        ("CloudTrailLogGroup", "/session-warden/session-warden/cloudtrail"),
        ("ExistingTranscriptBucket", "session-warden-results-444444444444-eu-west-1"),
        ("ExistingTranscriptBucket", "session-warden-rules-444444444444-eu-west-1"),
        ("CloudTrailBucket", "session-warden-transcripts-444444444444-eu-west-1"),
    ] {
        let refused = validate(name, value).unwrap_err();
        assert!(refused.contains(name), "{name}={value}: {refused}");
    }
}

/// With everything that exists already named by parameters: nothing of it may be made, or changed, by the stack.
#[test]
fn what_exists_already_is_used() {
    let Some(ministack) = Ministack::start(None) else { return };
    let account = ministack.account("444444444444");
    account.make_bucket("transcripts");
    account.make_bucket("trail");
    account.json("Logs_20140328.CreateLogGroup", &json!({"logGroupName": "/ssm/sessions"}));
    account.json("Logs_20140328.CreateLogGroup", &json!({"logGroupName": "/trail"}));
    let topic = |name: &str| {
        account.query("sns", &[("Action", "CreateTopic"), ("Name", name)]);
        format!("arn:aws:sns:eu-west-1:444444444444:{name}")
    };
    let (machine, human, chat) = (topic("machine"), topic("human"), topic("chat"));
    let sessions = json!({"Type": "AWS::Kinesis::Stream", "Properties": {"Name": "sessions", "ShardCount": 1}});
    let template = json!({"Resources": {"Sessions": sessions}}).to_string();
    account.query("cloudformation", &[("Action", "CreateStack"), ("StackName", "stream"), ("TemplateBody", &template)]);
    let stream = "arn:aws:kinesis:eu-west-1:444444444444:stream/sessions";
    let keys = ["transcripts", "stream"].map(|key| format!("arn:aws:kms:eu-west-1:444444444444:key/{key}")).join(",");
    let stack = ministack.deploy(
        "444444444444",
        &[
            ("ExistingTranscriptBucket", "transcripts"),
            ("CloudTrailBucket", "trail"),
            ("LogGroup1", "/ssm/sessions"),
            ("StreamArn", stream),
            ("CloudTrailLogGroup", "/trail"),
            ("ForeignKeyArns", &keys),
            ("MachineTopicArn", &machine),
            ("HumanTopicArn", &human),
            ("ChatTopicArn", &chat),
            ("EventBusName", "default"),
            ("ResponseMode", "on"),
        ],
    );
    let topics = stack.account.query("sns", &[("Action", "ListTopics")]);
    assert_eq!(topics.matches("<TopicArn>").count(), 3, "{topics}");
    assert!(!stack.account.buckets().contains(&stack.bucket("transcripts")));
    for group in ["/ssm/sessions", "/trail"] {
        let filters = stack.account.json("Logs_20140328.DescribeSubscriptionFilters", &json!({"logGroupName": group}));
        assert_eq!(filters["subscriptionFilters"].as_array().unwrap().len(), 1, "{group}");
    }
}

/// Runs a program of the virtual environment, which has to find nothing to complain of.
fn run(program: &str, arguments: &[&str]) {
    let Some(bin) = venv() else { return };
    let output = Command::new(bin.join(program))
        .args(arguments)
        .env("SAM_CLI_TELEMETRY", "0")
        .current_dir(Path::new(TEMPLATE).parent().unwrap())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}:\n{out}\n{err}");
}
