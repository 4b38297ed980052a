//! A proxy in front of a stand-in for AWS that answers as AWS does on a bad day, and stands in for what no stand-in has: sessions of
//! Systems Manager.

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Request, Response, Server};

/// The proxy, until it is dropped.
#[derive(Debug)]
pub struct Faults {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// How a request is answered in place of AWS.
#[derive(Clone, Debug)]
pub enum Fault {
    /// With this answer.
    Answer(Response),
    /// Never: the connection stays open for this long, then ends.
    Hang(Duration),
    /// The connection ends without an answer.
    Reset,
    /// AWS's own answer, of which the last part never comes.
    Truncated,
    /// AWS's own answer, with a `Content-Length` that is smaller by this.
    TooShort(u64),
    /// AWS's own answer, its body in sixteen pieces with a pause behind each.
    Slow(Duration),
    /// AWS's own answer, of which the second half comes after this long.
    Stall(Duration),
    /// AWS does it, but its answer is lost.
    DoneButLost,
    /// An object of this many bytes, made of this line.
    Large(u64, &'static str),
}

/// A call that reached the proxy.
#[derive(Clone, Debug)]
pub struct Call {
    /// Service, from the signature's scope: `s3`, `sns`, `dynamodb`, `ssm`.
    pub service: String,
    /// Operation: `Publish`, `UpdateItem`; of S3 the method.
    pub operation: String,
    /// Body.
    pub body: String,
}

#[derive(Default)]
struct State {
    upstream: Option<SocketAddr>,
    faults: Vec<Planned>,
    calls: Vec<Call>,
    sessions: Vec<Value>,
}

#[derive(Clone)]
struct Planned {
    service: &'static str,
    /// What the operation, or for S3 the path, holds.
    part: String,
    times: usize,
    fault: Fault,
}

impl Faults {
    /// Starts one; it answers "service unavailable" until it knows where AWS is.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request, stream| serve(&request, stream, &shared));
        Self { server, state }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Hands on what is not answered here.
    pub fn forward_to(&self, upstream: SocketAddr) {
        self.state.lock().unwrap().upstream = Some(upstream);
    }

    /// Answers the next `times` calls of a service whose operation (for S3: path) holds `part` with a fault.
    pub fn plan(&self, service: &'static str, part: &str, times: usize, fault: Fault) {
        self.state.lock().unwrap().faults.push(Planned { service, part: part.into(), times, fault });
    }

    /// Forgets planned faults and seen calls.
    pub fn clear(&self) {
        let mut state = self.state.lock().unwrap();
        state.faults.clear();
        state.calls.clear();
    }

    /// The calls of an operation so far.
    pub fn calls(&self, service: &str, operation: &str) -> Vec<Call> {
        let state = self.state.lock().unwrap();
        let all = state.calls.iter().filter(|call| call.service == service && call.operation == operation);
        all.cloned().collect()
    }

    /// What `DescribeSessions` shows: objects with `SessionId`, `Target`, `Status`, `StartDate` and so on.
    pub fn show_sessions(&self, sessions: Vec<Value>) {
        self.state.lock().unwrap().sessions = sessions;
    }
}

impl Fault {
    /// An error of S3.
    pub fn s3(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{code}</Message><RequestId>1</RequestId></Error>"
        );
        Self::Answer(Response::new(status, "application/xml", body))
    }

    /// An error of a service that speaks forms and XML, such as SNS.
    pub fn xml(status: u16, code: &str) -> Self {
        let fault = if status < 500 { "Sender" } else { "Receiver" };
        let body = format!(
            "<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code><Message>{code}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
        );
        Self::Answer(Response::new(status, "text/xml", body))
    }

    /// An error of a service that speaks JSON, such as DynamoDB.
    pub fn json(status: u16, code: &str) -> Self {
        let body = json!({"__type": format!("com.amazonaws.v1#{code}"), "message": code});
        Self::Answer(Response::new(status, "application/x-amz-json-1.0", body.to_string()))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults planned, {} calls seen", self.faults.len(), self.calls.len())
    }
}

fn serve(request: &Request, stream: &mut TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let call = call(request);
    let (fault, upstream) = {
        let mut state = state.lock().unwrap();
        state.calls.push(call.clone());
        (state.next_fault(&call, &request.target), state.upstream)
    };
    let forward = || match upstream {
        Some(upstream) => request.send(upstream),
        None => Ok(Response::new(503, "text/plain", "")),
    };
    match fault {
        None if call.service == "ssm" => ssm(&call, state).write(stream),
        None => forward()?.write(stream),
        Some(Fault::Answer(answer)) => answer.write(stream),
        Some(Fault::Hang(time)) => {
            thread::sleep(time);
            Ok(())
        }
        Some(Fault::Reset) => Ok(()),
        Some(Fault::DoneButLost) => forward().map(|_| ()),
        Some(Fault::Truncated) => {
            let answer = forward()?;
            answer.write_head(stream, answer.body.len() as u64)?;
            stream.write_all(&answer.body[..answer.body.len() / 2])
        }
        Some(Fault::TooShort(missing)) => {
            let answer = forward()?;
            answer.write_head(stream, (answer.body.len() as u64).saturating_sub(missing))?;
            stream.write_all(&answer.body)
        }
        Some(Fault::Slow(pause)) => in_pieces(stream, &forward()?, 16, pause),
        Some(Fault::Stall(pause)) => in_pieces(stream, &forward()?, 2, pause),
        Some(Fault::Large(size, line)) => large(stream, size, line),
    }
}

impl State {
    fn next_fault(&mut self, call: &Call, target: &str) -> Option<Fault> {
        let place = if call.service == "s3" { target } else { &call.operation };
        let holds = |planned: &&mut Planned| {
            planned.times > 0 && planned.service == call.service && place.contains(planned.part.as_str())
        };
        let planned = self.faults.iter_mut().find(holds)?;
        planned.times -= 1;
        Some(planned.fault.clone())
    }
}

fn call(request: &Request) -> Call {
    let scope = request.header("authorization").and_then(|signed| signed.split_once("Credential="));
    let service = scope.and_then(|(_, scope)| scope.split('/').nth(3)).unwrap_or_default();
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let operation = match request.header("x-amz-target") {
        Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
        None => {
            body.strip_prefix("Action=").and_then(|rest| rest.split('&').next()).unwrap_or(&request.method).to_owned()
        }
    };
    Call { service: service.into(), operation, body }
}

fn ssm(call: &Call, state: &Mutex<State>) -> Response {
    let input: Value = serde_json::from_str(&call.body).unwrap_or_default();
    let mut state = state.lock().unwrap();
    let answer = match call.operation.as_str() {
        "DescribeSessions" => {
            let ended = input["State"] == "History";
            let gone = |session: &&Value| session["Status"] == "Terminated" || session["Status"] == "Failed";
            let shown: Vec<_> = state.sessions.iter().filter(|session| gone(session) == ended).collect();
            json!({ "Sessions": shown })
        }
        "TerminateSession" => {
            for session in &mut state.sessions {
                if session["SessionId"] == input["SessionId"] {
                    session["Status"] = "Terminated".into();
                }
            }
            json!({ "SessionId": input["SessionId"] })
        }
        _ => return Response::new(400, "application/x-amz-json-1.1", json!({"__type": "InvalidDocument"}).to_string()),
    };
    Response::new(200, "application/x-amz-json-1.1", answer.to_string())
}

fn in_pieces(stream: &mut TcpStream, answer: &Response, pieces: usize, pause: Duration) -> io::Result<()> {
    answer.write_head(stream, answer.body.len() as u64)?;
    for piece in answer.body.chunks(answer.body.len().div_ceil(pieces).max(1)) {
        stream.write_all(piece)?;
        stream.flush()?;
        thread::sleep(pause);
    }
    Ok(())
}

/// Written in pieces: neither side of the test holds it.
fn large(stream: &mut TcpStream, size: u64, line: &str) -> io::Result<()> {
    let answer = Response::new(200, "binary/octet-stream", Vec::new());
    answer.write_head(stream, size)?;
    let piece: Vec<u8> = line.bytes().cycle().take(1 << 20).collect();
    let mut left = size;
    while left > 0 {
        let now = left.min(piece.len() as u64);
        stream.write_all(&piece[..usize::try_from(now).unwrap_or(piece.len())])?;
        left -= now;
    }
    Ok(())
}
