//! Tasks of AWS's own engines: what they ask for, and what they are answered. No I/O.
//!
//! S3 Batch Operations invokes with schema 1.0 or 2.0 (S3 user guide, "Invoke AWS Lambda function"); keys are URL-encoded. A Step
//! Functions distributed Map hands batches of the items that it listed, `{"BatchInput":{…},"Items":[{"Key":…}]}` (developer guide,
//! `ItemBatcher`); those of an inventory name their bucket and are URL-encoded too.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use warden_aws::FetchError;

use crate::config::Place;
use crate::dedup::digest;
use crate::source::{ObjectRef, SourceError, decoded};

/// Most objects of one invocation. Batch Operations sends one, a Map what its batcher is told.
pub const TASKS_LIMIT: usize = 1000;

/// What an engine asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How it wants to be answered.
    pub engine: Engine,
    /// Names the run: results of another one lie elsewhere.
    pub run: String,
    /// Objects to read.
    pub tasks: Vec<Task>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// S3 Batch Operations.
    BatchOperations {
        /// Version of its schema.
        schema: String,
        /// Id of the invocation, which the answer repeats.
        invocation: String,
    },
    /// A distributed Map.
    Map,
}

/// One object to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What names it in the answer: the engine's task id, or the key.
    pub id: String,
    /// The object.
    pub object: ObjectRef,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For the engine.
    pub code: Code,
    /// A sentence of ours, without text from the object.
    pub text: String,
    /// Findings.
    pub findings: u64,
    /// Where the results lie.
    pub results: Option<String>,
}

/// Result codes of S3 Batch Operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Code {
    /// Done.
    Succeeded,
    /// Worth another attempt, which the engine makes.
    TemporaryFailure,
    /// Another attempt would come to the same.
    PermanentFailure,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchEvent {
    invocation_schema_version: String,
    invocation_id: String,
    job: Job,
    tasks: Vec<BatchTask>,
}

#[derive(Deserialize)]
struct Job {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchTask {
    task_id: String,
    s3_key: String,
    s3_version_id: Option<String>,
    s3_bucket: Option<String>,
    s3_bucket_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MapEvent {
    #[serde(default)]
    batch_input: MapInput,
    items: Vec<MapItem>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MapInput {
    bucket: Option<String>,
    run: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MapItem {
    key: String,
    bucket: Option<String>,
    version_id: Option<String>,
}

impl Asked {
    /// Reads an event.
    ///
    /// ```
    /// use warden_functions::backfill::Asked;
    /// let event = br#"{"BatchInput":{"bucket":"logs","run":"r1"},"Items":[{"Key":"eva-0123456789abcdef0.log","Size":7}]}"#;
    /// let asked = Asked::parse(event)?;
    /// assert_eq!((asked.tasks[0].object.bucket.as_str(), asked.run.as_str()), ("logs", "r1"));
    /// # Ok::<(), warden_functions::source::SourceError>(())
    /// ```
    ///
    /// # Errors
    /// What is no event of an engine, or too many tasks.
    pub fn parse(event: &[u8]) -> Result<Self, SourceError> {
        let shape: Value = serde_json::from_slice(event).map_err(|_| SourceError::Malformed("the event"))?;
        let asked = if shape.get("tasks").is_some() {
            batch(shape).ok_or(SourceError::Malformed("an event of S3 Batch Operations"))?
        } else if shape.get("Items").is_some() {
            map(shape).ok_or(SourceError::Malformed("a batch of a distributed Map"))?
        } else {
            return Err(SourceError::UnknownEnvelope);
        };
        if asked.tasks.len() > TASKS_LIMIT {
            return Err(SourceError::LimitReached { limit: "tasks", at: TASKS_LIMIT as u64 });
        }
        Ok(asked)
    }

    /// What the engine is answered.
    pub fn answer(&self, outcomes: &[Outcome]) -> Value {
        let tasks = self.tasks.iter().zip(outcomes);
        match &self.engine {
            Engine::BatchOperations { schema, invocation } => {
                let result = |(task, outcome): (&Task, &Outcome)| json!({ "taskId": task.id, "resultCode": outcome.code, "resultString": outcome.text });
                json!({
                    "invocationSchemaVersion": schema,
                    "treatMissingKeysAs": Code::PermanentFailure,
                    "invocationId": invocation,
                    "results": tasks.map(result).collect::<Vec<_>>(),
                })
            }
            Engine::Map => {
                let result = |(task, outcome): (&Task, &Outcome)| {
                    let Outcome { code, text, findings, results } = outcome;
                    json!({ "key": task.id, "result": code, "text": text, "findings": findings, "output": results })
                };
                let failed = outcomes.iter().filter(|outcome| outcome.code != Code::Succeeded).count();
                let findings: u64 = outcomes.iter().map(|outcome| outcome.findings).sum();
                let results: Vec<Value> = tasks.map(result).collect();
                json!({ "objects": outcomes.len(), "failed": failed, "findings": findings, "results": results })
            }
        }
    }
}

impl Outcome {
    /// A task that failed.
    pub fn failed(code: Code, text: &str) -> Self {
        Self { code, text: text.to_owned(), findings: 0, results: None }
    }

    /// A task whose object could not be fetched, or whose results could not be stored.
    pub fn of_error(error: &FetchError, doing: &str) -> Self {
        let code = if error.is_permanent() { Code::PermanentFailure } else { Code::TemporaryFailure };
        Self::failed(code, &format!("{doing}: {error}"))
    }
}

/// Where the results of an object lie: the same for every attempt of a run.
pub fn results_key(place: &Place, run: &str, object: &ObjectRef) -> String {
    let version = object.version.as_deref().unwrap_or_default();
    let name = digest([object.bucket.as_str(), &object.key, version]);
    // Names of runs come from job ids and executions, or from people.
    let run: String =
        run.chars().take(80).map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let parts = [place.prefix.as_str(), &run, &format!("{name}.jsonl")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn batch(shape: Value) -> Option<Asked> {
    let event: BatchEvent = serde_json::from_value(shape).ok()?;
    let task = |task: BatchTask| {
        let arn = task.s3_bucket_arn.as_deref().and_then(|arn| arn.rsplit_once(":::")).map(|(_, name)| name.to_owned());
        Some(Task {
            id: task.task_id,
            object: ObjectRef {
                bucket: task.s3_bucket.or(arn)?,
                key: decoded(&task.s3_key),
                version: task.s3_version_id.filter(|version| !version.is_empty()),
                ..ObjectRef::default()
            },
        })
    };
    Some(Asked {
        engine: Engine::BatchOperations { schema: event.invocation_schema_version, invocation: event.invocation_id },
        run: event.job.id,
        tasks: event.tasks.into_iter().map(task).collect::<Option<_>>()?,
    })
}

fn map(shape: Value) -> Option<Asked> {
    let event: MapEvent = serde_json::from_value(shape).ok()?;
    let MapInput { bucket, run } = event.batch_input;
    let task = |item: MapItem| {
        let key = if item.bucket.is_some() { decoded(&item.key) } else { item.key };
        let object = ObjectRef {
            bucket: item.bucket.or_else(|| bucket.clone())?,
            key,
            version: item.version_id.filter(|version| !version.is_empty()),
            ..ObjectRef::default()
        };
        Some(Task { id: object.key.clone(), object })
    };
    let tasks = event.items.into_iter().map(task).collect::<Option<_>>()?;
    Some(Asked { engine: Engine::Map, run: run.unwrap_or_else(|| "map".to_owned()), tasks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_understood() {
        let v1 = json!({"invocationSchemaVersion": "1.0", "invocationId": "i", "job": {"id": "j"}, "tasks": [
            {"taskId": "t", "s3Key": "logs/eva%40example.com-0123456789abcdef0.log", "s3VersionId": null, "s3BucketArn": "arn:aws:s3:::audit"}]});
        let v2 = json!({"invocationSchemaVersion": "2.0", "invocationId": "i", "job": {"id": "j", "userArguments": {"a": "b"}}, "tasks": [
            {"taskId": "t", "s3Key": "a+b.log", "s3VersionId": "v", "s3Bucket": "audit"}]});
        let listed = json!({"BatchInput": {"bucket": "audit", "run": "r"}, "Items": [{"Key": "a+b%20.log", "Etag": "\"e\"", "Size": 1}]});
        let inventory = json!({"Items": [{"Bucket": "audit", "Key": "a+b%2B.log", "VersionId": "v"}]});
        let rows = [
            (v1, "logs/eva@example.com-0123456789abcdef0.log", None, "j"),
            (v2, "a b.log", Some("v"), "j"),
            (listed, "a+b%20.log", None, "r"),
            (inventory, "a b+.log", Some("v"), "map"),
        ];
        for (event, key, version, run) in rows {
            let asked = Asked::parse(event.to_string().as_bytes()).unwrap();
            let object = &asked.tasks[0].object;
            assert_eq!(
                (object.bucket.as_str(), object.key.as_str(), object.version.as_deref()),
                ("audit", key, version)
            );
            assert_eq!(asked.run, run);
        }
        assert_eq!(Asked::parse(b"{}"), Err(SourceError::UnknownEnvelope));
        let no_bucket = br#"{"Items":[{"Key":"x"}]}"#;
        assert_eq!(Asked::parse(no_bucket), Err(SourceError::Malformed("a batch of a distributed Map")));
    }

    #[test]
    fn errors_say_whether_to_try_again() {
        let rows = [
            (FetchError::Missing, Code::PermanentFailure),
            (FetchError::Denied, Code::PermanentFailure),
            (FetchError::Throttled, Code::TemporaryFailure),
            (FetchError::Timeout, Code::TemporaryFailure),
            (FetchError::Service { code: "InternalError".to_owned() }, Code::TemporaryFailure),
        ];
        for (error, code) in rows {
            assert_eq!(Outcome::of_error(&error, "reading").code, code, "{error}");
        }
    }

    #[test]
    fn results_lie_where_they_did_before() {
        let place = Place { bucket: "out".to_owned(), prefix: "runs".to_owned() };
        let object = |version: Option<&str>| ObjectRef {
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            version: version.map(str::to_owned),
            ..ObjectRef::default()
        };
        let key = results_key(&place, "r/../1", &object(None));
        assert_eq!(key, results_key(&place, "r/../1", &object(None)));
        assert_ne!(key, results_key(&place, "r/../1", &object(Some("v"))));
        assert!(key.starts_with("runs/r-..-1/"), "{key}");
    }
}
