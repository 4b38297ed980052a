//! As much of HTTP/1.1 as loopback servers and clients of tests need: one request a connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A request, or what a client wants to send.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, without transfer coding.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Reads one; `None` if the connection ended before it began.
    ///
    /// # Errors
    /// What the socket says.
    pub fn read(stream: &TcpStream) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(stream);
        let Some((line, headers)) = read_head(&mut reader)? else { return Ok(None) };
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if header(&headers, "expect").is_some() {
            (&mut &*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let length = header(&headers, "content-length").map_or(Some(0), |length| length.parse().ok());
        let body = read_body(&mut reader, &headers, length)?;
        Ok(Some(Self { method, target, headers, body }))
    }

    /// Sends it, and reads what is answered.
    ///
    /// # Errors
    /// What the socket says.
    pub fn send(&self, server: SocketAddr) -> io::Result<Response> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_mins(2)))?;
        let host = if self.header("host").is_none() { format!("host: {server}\r\n") } else { String::new() };
        let first = format!("{} {} HTTP/1.1\r\n{host}", self.method, self.target);
        let head = head(&first, &self.headers, &self.body.len().to_string());
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        Response::read(&stream)
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with a body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".into(), content_type.into())], body: body.into() }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// What the socket says.
    pub fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        self.write_head(stream, self.body.len() as u64)?;
        stream.write_all(&self.body)
    }

    /// Writes the head alone, with the length of a body that the caller writes, or does not.
    ///
    /// # Errors
    /// What the socket says.
    pub fn write_head(&self, stream: &mut TcpStream, length: u64) -> io::Result<()> {
        // The answer to HEAD says how long the body would be.
        let promised = self.headers.iter().find(|(name, _)| name == "content-length" && length == 0);
        let length = promised.map_or_else(|| length.to_string(), |(_, length)| length.clone());
        let head = head(&format!("HTTP/1.1 {} -\r\n", self.status), &self.headers, &length);
        stream.write_all(head.as_bytes())
    }

    fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        loop {
            let (line, headers) = read_head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            if status == 100 {
                continue;
            }
            let body = match read_body(&mut reader, &headers, None) {
                // The answer to HEAD names a length that never comes.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Vec::new(),
                other => other?,
            };
            return Ok(Self { status, headers, body });
        }
    }
}

/// A server on loopback, until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one on a free port. `answer` is called for each request, on a thread of its own.
    pub fn start(answer: impl Fn(Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (answer, ending) = (Arc::new(answer), Arc::clone(&stopped));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(mut stream), answer) = (stream, Arc::clone(&answer)) else { continue };
                thread::spawn(move || {
                    // A client that has gone away is its own business.
                    if let Ok(Some(request)) = Request::read(&stream) {
                        let _ = answer(request, &mut stream);
                    }
                });
            }
        });
        Self { address, stopped, thread: Some(thread) }
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// First line and headers, without those that belong to another connection.
fn head(first: &str, headers: &[(String, String)], length: &str) -> String {
    let skipped = ["connection", "content-length", "transfer-encoding", "expect"];
    let kept = headers.iter().filter(|(name, _)| !skipped.contains(&name.as_str()));
    let lines: String = kept.flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    format!("{first}connection: close\r\n{lines}content-length: {length}\r\n\r\n")
}

/// First line and headers.
#[expect(clippy::type_complexity, reason = "read in one place")]
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<(String, String)>)>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        match field.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => return Ok(Some((line.trim_end().to_owned(), headers))),
        }
    }
}

/// A body; one without a length ends with the connection, unless `default` names another length.
fn read_body(reader: &mut impl BufRead, headers: &[(String, String)], default: Option<u64>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if header(headers, "transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
            reader.take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = header(headers, "content-length").and_then(|length| length.parse().ok()).or(default);
    reader.take(length.unwrap_or(u64::MAX)).read_to_end(&mut body)?;
    if length.is_some_and(|length| (body.len() as u64) < length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}
