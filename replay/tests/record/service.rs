//! A service on the loopback that plays its side of a session, with or without TLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::wire::{Step, head, receive, send};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Service {
    pub(crate) port: u16,
    /// The heads of the requests, and at which step it ended early.
    done: JoinHandle<(Vec<String>, Option<usize>)>,
}

trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

impl Service {
    pub(crate) fn start(steps: Vec<Step>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { port, done: std::thread::spawn(move || play(&listener, &steps, tls.as_ref())) }
    }

    /// Waits until everything was played; the heads of the requests.
    pub(crate) fn finish(self) -> Vec<String> {
        let (heads, ended_at) = self.done.join().unwrap();
        assert_eq!(ended_at, None, "the session ended early");
        heads
    }
}

fn play(listener: &TcpListener, steps: &[Step], tls: Option<&Arc<ServerConfig>>) -> (Vec<String>, Option<usize>) {
    let mut heads = Vec::new();
    let mut socket = None;
    for (n, step) in steps.iter().enumerate() {
        if step.is_new_socket || n == 0 {
            let (stream, head) = accept(listener, tls.cloned());
            heads.push(head);
            socket = Some(stream);
        }
        let socket = socket.as_mut().unwrap();
        if step.is_from_client {
            let Ok((first, is_masked, payload)) = receive(socket) else { return (heads, Some(n)) };
            assert!(is_masked, "a client masks");
            assert_eq!((first, &payload), (step.first, &step.payload), "step {n}");
        } else {
            send(socket, false, step.first, &step.payload).unwrap();
        }
    }
    (heads, None)
}

fn accept(listener: &TcpListener, tls: Option<Arc<ServerConfig>>) -> (Box<dyn Duplex>, String) {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = secure(stream, tls);
    let head = head(&mut stream).unwrap();
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(answer.as_bytes()).unwrap();
    stream.flush().unwrap();
    (stream, head)
}

fn secure(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Box<dyn Duplex> {
    match tls {
        None => Box::new(stream),
        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
    }
}

/// A certificate for `localhost`, in PEM, and what serves with it.
pub(crate) fn certificate() -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (made.cert.pem(), Arc::new(config))
}
