//! Sessions as AWS would tell of them: a transcript, log events and the API call that started them, all of now.

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::aws::{REGION, Stored};

/// A session of an operator on a managed node.
#[derive(Clone, Debug)]
pub struct Operated {
    /// Account.
    pub account: String,
    /// Session id.
    pub id: String,
    /// Managed node.
    pub target: String,
    /// ARN of the operator.
    pub principal: String,
    /// What was run.
    pub commands: Vec<String>,
}

impl Operated {
    /// A session of an operator called `alice` in an account; `n` makes the id.
    pub fn new(account: &str, n: u32, commands: &[&str]) -> Self {
        Self {
            account: account.into(),
            id: format!("alice-{n:017x}"),
            target: format!("i-{n:017x}"),
            principal: format!("arn:aws:sts::{account}:assumed-role/Operator/alice"),
            commands: commands.iter().map(|&command| command.into()).collect(),
        }
    }

    /// Key of the transcript.
    pub fn key(&self) -> String {
        format!("{}.log", self.id)
    }

    /// The transcript, as the agent stores it. Source: `script` of util-linux, and the agent's
    /// `agent/session/plugins/shell/shell.go`.
    pub fn transcript(&self) -> Vec<u8> {
        let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S+00:00");
        let Self { id, target, .. } = self;
        let mut text = format!(
            "Script started on {now} [COMMAND=\"cat /var/lib/amazon/ssm/{target}/session/orchestration/{id}/Standard_Stream/ipcTempFile.log\" <not executed on terminal>]\n"
        );
        for command in &self.commands {
            let line = format!("\u{1b}[?2004h[ssm-user@ip-10-0-0-1 bin]$ {command}\r\r\n\u{1b}[?2004l\r");
            text.push_str(&line);
        }
        let end = format!(
            "\u{1b}[?2004h[ssm-user@ip-10-0-0-1 bin]$ exit\r\r\n\u{1b}[?2004l\rexit\r\r\n\nScript done on {now} [COMMAND_EXIT_CODE=\"0\"]\n"
        );
        (text + &end).into_bytes()
    }

    /// Messages of its log stream, as the agent streams them: a batch of one command each.
    pub fn messages(&self) -> Vec<String> {
        let line = |command: &String| {
            json!({
                "eventVersion": "1.0", "eventTime": Timestamp::now().to_string(), "awsRegion": REGION,
                "target": {"id": self.target}, "userIdentity": {"arn": self.principal}, "runAsUser": "ssm-user",
                "sessionId": self.id, "sessionData": [format!("[ssm-user@ip-10-0-0-1 bin]$ {command}")],
            })
            .to_string()
        };
        self.commands.iter().map(line).collect()
    }

    /// StartSession, as EventBridge hands it over.
    pub fn started(&self) -> Value {
        let at = (Timestamp::now() - 30.seconds()).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let Self { account, id, target, principal, .. } = self;
        json!({
            "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "source": "aws.ssm", "account": account,
            "detail-type": "AWS API Call via CloudTrail", "time": at, "region": REGION, "resources": [],
            "detail": {
                "eventVersion": "1.10", "eventTime": at, "eventSource": "ssm.amazonaws.com", "eventName": "StartSession",
                "awsRegion": REGION, "sourceIPAddress": "203.0.113.7", "userAgent": "aws-cli/2.17.20",
                "userIdentity": {
                    "type": "AssumedRole", "arn": principal, "accountId": account, "principalId": "AROAEXAMPLE:alice",
                    "sessionContext": {
                        "sessionIssuer": {"type": "Role", "userName": "Operator", "accountId": account,
                            "arn": format!("arn:aws:iam::{account}:role/Operator"), "principalId": "AROAEXAMPLE"},
                        "attributes": {"creationDate": at, "mfaAuthenticated": "false"},
                    },
                },
                "requestParameters": {"target": target, "reason": "INC-4100"},
                "responseElements": {"sessionId": id, "tokenValue": "Value hidden due to security reasons.",
                    "streamUrl": format!("wss://ssmmessages.{REGION}.amazonaws.com/v1/data-channel/{id}?role=publish_subscribe")},
                "requestID": format!("request-of-{id}"), "eventID": format!("start-of-{id}"), "readOnly": false,
                "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": account, "eventCategory": "Management",
            },
        })
    }

    /// A notification of S3 for its transcript, in a message of SQS.
    pub fn notification(&self, transcript: &Stored, message_id: &str) -> Value {
        let Stored { bucket, key, size, etag, version } = transcript;
        let body = json!({"Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": REGION, "eventName": "ObjectCreated:Put",
            "eventTime": Timestamp::now().to_string(),
            "userIdentity": {"principalId": format!("AWS:AROAEXAMPLE:{}", self.target)},
            "requestParameters": {"sourceIPAddress": "192.0.2.1"},
            "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
            "s3": {
                "s3SchemaVersion": "1.0", "configurationId": "transcripts",
                "bucket": {"name": bucket, "ownerIdentity": {"principalId": "A3NL1KOZZKExample"}, "arn": format!("arn:aws:s3:::{bucket}")},
                "object": {"key": key, "size": size, "eTag": etag, "versionId": version, "sequencer": "0055AED6DCD90281E5"},
            },
        }]});
        message(message_id, &body.to_string())
    }
}

/// A message of SQS, as Lambda is handed it.
pub fn message(id: &str, body: &str) -> Value {
    json!({"messageId": id, "receiptHandle": id, "body": body, "attributes": {}, "messageAttributes": {}, "md5OfBody": "",
        "eventSource": "aws:sqs", "eventSourceARN": format!("arn:aws:sqs:{REGION}:111111111111:session-warden-transcripts"),
        "awsRegion": REGION})
}
