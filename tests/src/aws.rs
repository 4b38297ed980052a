//! Calls to a stand-in for AWS, which takes the account from the access key and checks no signature.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::http::{Request, Response};
use crate::wait_for;

/// Region of all tests.
pub const REGION: &str = "eu-west-1";

/// An account, seen by its owner.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its number.
    pub id: String,
    endpoint: SocketAddr,
}

/// An object that was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
    /// Bytes.
    pub size: usize,
    /// `ETag`, without quotes.
    pub etag: String,
    /// Version id, if the bucket has versions.
    pub version: Option<String>,
}

impl Account {
    /// The account with this number at an endpoint.
    pub fn new(endpoint: SocketAddr, id: &str) -> Self {
        Self { id: id.into(), endpoint }
    }

    /// Calls a service that speaks JSON: `json("DynamoDB_20120810.GetItem", …)`.
    pub fn json(&self, target: &str, input: &Value) -> Value {
        let (service, version) = match target.split(['_', '.']).next().unwrap() {
            "DynamoDB" => ("dynamodb", "1.0"),
            "AmazonSQS" => ("sqs", "1.0"),
            "Logs" => ("logs", "1.1"),
            "AWSEvents" => ("events", "1.1"),
            "AWSStepFunctions" => ("states", "1.0"),
            other => panic!("{other} is not known here"),
        };
        let content_type = format!("application/x-amz-json-{version}");
        let headers = [("x-amz-target", target), ("content-type", &content_type)];
        let answer = self.call(service, "POST", "/", &headers, input.to_string().into_bytes());
        if answer.body.is_empty() { Value::Null } else { serde_json::from_slice(&answer.body).unwrap() }
    }

    /// Calls a service that speaks forms and XML.
    pub fn query(&self, service: &str, fields: &[(&str, &str)]) -> String {
        self.try_query(service, fields).unwrap()
    }

    /// The same, of which an error is expected.
    ///
    /// # Errors
    /// What the service answers.
    pub fn try_query(&self, service: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.send(service, "POST", "/", &headers, body.join("&").into_bytes());
        if answer.status < 300 { Ok(answer.text()) } else { Err(answer.text()) }
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, bucket: &str) {
        let region = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        self.call("s3", "PUT", &format!("/{bucket}"), &[], region.into_bytes());
    }

    /// Stores an object.
    pub fn put(&self, bucket: &str, key: &str, body: impl Into<Vec<u8>>) -> Stored {
        let body = body.into();
        let (bucket, key, size) = (bucket.to_owned(), key.to_owned(), body.len());
        let answer = self.call("s3", "PUT", &format!("/{bucket}/{}", encoded_path(&key)), &[], body);
        let header =
            |wanted: &str| answer.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        let etag = header("etag").unwrap_or_default().trim_matches('"').to_owned();
        Stored { bucket, key, size, etag, version: header("x-amz-version-id") }
    }

    /// Fetches an object.
    pub fn fetch(&self, bucket: &str, key: &str) -> Vec<u8> {
        self.call("s3", "GET", &format!("/{bucket}/{}", encoded_path(key)), &[], Vec::new()).body
    }

    /// Names of buckets.
    pub fn buckets(&self) -> Vec<String> {
        elements(&self.call("s3", "GET", "/", &[], Vec::new()).text(), "Name")
    }

    /// Keys in a bucket.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        elements(&self.call("s3", "GET", &format!("/{bucket}?list-type=2"), &[], Vec::new()).text(), "Key")
    }

    /// Configuration of a function.
    pub fn function(&self, name: &str) -> Value {
        let path = format!("/2015-03-31/functions/{name}/configuration");
        serde_json::from_slice(&self.call("lambda", "GET", &path, &[], Vec::new()).body).unwrap()
    }

    /// Invokes a function and returns what it answered; an error is what the function reported.
    ///
    /// # Errors
    /// `errorType` and `errorMessage`, as JSON.
    pub fn invoke(&self, function: &str, event: &Value) -> Result<Value, Value> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let mut attempts = 0;
        loop {
            let answer = self.call("lambda", "POST", &path, &[], event.to_string().into_bytes());
            let failed = answer.headers.iter().any(|(name, _)| name == "x-amz-function-error");
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
            attempts += 1;
            // A process that ended between two events is started again by the next one, as Lambda does.
            if !failed || body["errorType"] != "Runtime.ExitError" || attempts == 3 {
                return if failed { Err(body) } else { Ok(body) };
            }
            println!("{function}: {body}");
        }
    }

    /// Invokes a function as a service does, which does not wait.
    pub fn deliver(&self, function: &str, event: &Value) {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.call("lambda", "POST", &path, &[("x-amz-invocation-type", "Event")], event.to_string().into_bytes());
    }

    /// Subscribes a new queue to a topic, raw, with a filter policy on message attributes; returns the queue's URL.
    pub fn subscribe(&self, topic: &str, queue: &str, filter: Option<&Value>) -> String {
        let made = self.json("AmazonSQS.CreateQueue", &json!({ "QueueName": queue }));
        let url = made["QueueUrl"].as_str().unwrap().to_owned();
        let endpoint = format!("arn:aws:sqs:{REGION}:{}:{queue}", self.id);
        let filter = filter.map(Value::to_string);
        let mut fields = vec![
            ("Action", "Subscribe"),
            ("TopicArn", topic),
            ("Protocol", "sqs"),
            ("Endpoint", &endpoint),
            ("Attributes.entry.1.key", "RawMessageDelivery"),
            ("Attributes.entry.1.value", "true"),
        ];
        if let Some(filter) = &filter {
            fields.extend([("Attributes.entry.2.key", "FilterPolicy"), ("Attributes.entry.2.value", filter)]);
        }
        self.query("sns", &fields);
        url
    }

    /// URL of a queue.
    pub fn queue(&self, name: &str) -> String {
        let found = self.json("AmazonSQS.GetQueueUrl", &json!({ "QueueName": name }));
        found["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// Takes the bodies of the messages that wait in a queue now.
    pub fn take(&self, queue_url: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let input = json!({"QueueUrl": queue_url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0});
            let received = self.json("AmazonSQS.ReceiveMessage", &input);
            let Some(messages) = received["Messages"].as_array().filter(|messages| !messages.is_empty()) else {
                return bodies;
            };
            for message in messages {
                let input = json!({"QueueUrl": queue_url, "ReceiptHandle": message["ReceiptHandle"]});
                self.json("AmazonSQS.DeleteMessage", &input);
                bodies.push(message["Body"].as_str().unwrap().to_owned());
            }
        }
    }

    /// Takes alerts from a queue until one is what is asked for; returns all that were taken.
    pub fn take_until(&self, queue_url: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut taken: Vec<Value> = Vec::new();
        wait_for(what, || {
            taken.extend(self.take(queue_url).iter().map(|body| serde_json::from_str(body).unwrap()));
            taken.iter().any(&is_it).then_some(())
        });
        taken
    }

    fn call(&self, service: &str, method: &str, target: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
        let answer = self.send(service, method, target, headers, body);
        assert!(answer.status < 300, "{method} {target} of {service}: {} {}", answer.status, answer.text());
        answer
    }

    fn send(&self, service: &str, method: &str, target: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
        let scope = format!("{}/20260101/{REGION}/{service}/aws4_request", self.id);
        let signed = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00");
        let mut request = Request { method: method.into(), target: target.into(), body, ..Request::default() };
        request.headers.push(("authorization".into(), signed));
        request.headers.extend(headers.iter().map(|&(name, value)| (name.into(), value.into())));
        request.send(self.endpoint).unwrap()
    }
}

/// Texts of the elements of this name.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let begin = format!("<{name}>");
    xml.split(&begin).skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

/// Percent-encoded, slashes too.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn encoded_path(key: &str) -> String {
    key.split('/').map(encoded).collect::<Vec<_>>().join("/")
}
