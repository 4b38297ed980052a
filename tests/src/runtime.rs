//! The Lambda Runtime API on loopback, with the real `bootstrap` behind it.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::http::{Request, Response, Server};
use crate::{aws::REGION, bootstrap};

/// One execution environment of a function.
#[derive(Debug)]
pub struct Runtime {
    /// From the start of the process until it asked for its first event.
    pub init: Duration,
    /// The function's timeout.
    time: Duration,
    /// What it wrote to its log.
    log: Arc<Mutex<String>>,
    child: Child,
    events: Sender<String>,
    answers: Receiver<Answer>,
    _api: Server,
}

/// What a function reports instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `errorType`.
    pub error_type: String,
    /// `errorMessage`.
    pub message: String,
}

#[derive(Debug)]
enum Answer {
    Ready,
    Value(Value),
    Failure(Failure),
}

impl Runtime {
    /// Starts the `bootstrap` for a handler. `time` is the function's timeout.
    ///
    /// # Errors
    /// What it reports while it starts.
    pub fn start(handler: &str, environment: &[(String, String)], time: Duration) -> Result<Self, Failure> {
        let (events, next) = channel::<String>();
        let (told, answers) = channel();
        let next = Arc::new(Mutex::new(next));
        let api = Server::start(move |request, stream| answer(&request, time, &next, &told).write(stream));
        let mut command = Command::new(bootstrap::executable());
        command
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .env("_HANDLER", handler)
            .env("AWS_LAMBDA_FUNCTION_NAME", format!("session-warden-{handler}"))
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/session-warden/session-warden/test")
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "111111111111")
            .env("AWS_SECRET_ACCESS_KEY", "none")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let log = gathered(child.stdout.take().unwrap());
        let mut runtime = Self { init: Duration::ZERO, time, log, child, events, answers, _api: api };
        loop {
            match runtime.answers.recv_timeout(Duration::from_millis(100)) {
                Ok(Answer::Failure(failure)) => return Err(failure),
                Ok(_) => break,
                Err(RecvTimeoutError::Timeout) if started.elapsed() < Duration::from_mins(1) => {
                    let ended = runtime.child.try_wait().unwrap();
                    assert!(ended.is_none(), "the bootstrap of {handler} ended: {ended:?}");
                }
                Err(error) => panic!("the bootstrap of {handler} asks for no event: {error}"),
            }
        }
        runtime.init = started.elapsed();
        Ok(runtime)
    }

    /// Hands an event over and waits for what becomes of it.
    ///
    /// # Errors
    /// What the function reports.
    pub fn invoke(&self, event: &Value) -> Result<Value, Failure> {
        self.events.send(event.to_string()).unwrap();
        loop {
            match self.answers.recv_timeout(self.time + Duration::from_mins(2)).unwrap() {
                Answer::Ready => {}
                Answer::Value(value) => return Ok(value),
                Answer::Failure(failure) => return Err(failure),
            }
        }
    }

    /// Hands an event over, and does not wait.
    pub fn begin(&self, event: &Value) {
        self.events.send(event.to_string()).unwrap();
    }

    /// Takes what it has written to its log.
    pub fn take_log(&self) -> String {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// The most memory that the process has held, in bytes (`VmHWM`).
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Kills the process, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process writes, line by line.
fn gathered(out: ChildStdout) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&log);
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            kept.lock().unwrap().extend([line.as_str(), "\n"]);
        }
    });
    log
}

/// One call of the Runtime API. The thread that serves `next` waits until a test has an event.
fn answer(request: &Request, time: Duration, next: &Mutex<Receiver<String>>, told: &Sender<Answer>) -> Response {
    let path = request.target.as_str();
    let done = || Response::new(202, "application/json", "{}");
    let failure = || {
        let error: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        Answer::Failure(Failure { error_type: text("errorType"), message: text("errorMessage") })
    };
    // The test may have ended before its function did.
    if path.ends_with("/invocation/next") {
        let _ = told.send(Answer::Ready);
        let Ok(event) = next.lock().unwrap().recv() else { return Response::new(410, "text/plain", "") };
        let mut response = Response::new(200, "application/json", event);
        let deadline = SystemTime::now() + time;
        let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let function = format!("arn:aws:lambda:{REGION}:111111111111:function:session-warden");
        let headers = [
            ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
            ("lambda-runtime-deadline-ms", deadline.to_string()),
            ("lambda-runtime-invoked-function-arn", function),
        ];
        response.headers.extend(headers.map(|(name, value)| (name.to_owned(), value)));
        response
    } else if path.ends_with("/response") {
        let _ = told.send(Answer::Value(serde_json::from_slice(&request.body).unwrap_or_default()));
        done()
    } else {
        let _ = told.send(failure());
        done()
    }
}
