//! A service on loopback that answers as a closure says: operation and request in, status and JSON out.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use serde_json::Value;

/// Operations and requests, in order.
pub(crate) type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Starts a service that lives as long as the test's process; a configuration for its clients, and what it was asked.
pub(crate) async fn service(answer: impl Fn(&str, &Value) -> (u16, Value) + Send + 'static) -> (SdkConfig, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Calls::default();
    let noted = calls.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = serve(&stream.unwrap(), &answer, &noted);
        }
    });
    let credentials = aws_sdk_ssm::config::Credentials::new("key", "secret", None, None, "test");
    let loader = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(url).credentials_provider(credentials);
    (loader.region(Region::new("us-east-1")).load().await, calls)
}

fn serve(stream: &TcpStream, answer: &dyn Fn(&str, &Value) -> (u16, Value), calls: &Calls) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => value.rsplit('.').next().unwrap_or_default().clone_into(&mut operation),
            "content-length" => length = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = serde_json::from_slice(&body).unwrap_or_default();
    let (status, body) = answer(&operation, &request);
    calls.lock().unwrap().push((operation, request));
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\n");
    (&mut &*stream).write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
}
