//! The relay: the plugin's WebSocket on the loopback, the service's behind it, and the recorder in between.
//!
//! Once both have agreed on the WebSocket the relay passes bytes on as they are, frames, masking and all: nothing that it
//! understands or not can change what arrives. What passes is looked at on the way ([`Tap`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use warden_protocol::wire::Direction;

use super::dial::{Halves, Service, dial, halves};
use super::recorder::{Recorder, Stop};
use super::sign;
use super::upgrade::{self, Upgrade};
use super::websocket::Tap;
use crate::report::warn;

/// How long the service may go on when the plugin has gone: nothing of it reaches anybody.
const SERVICE_LINGER: Duration = Duration::from_secs(1);
/// How long the plugin may go on when the service has ended.
const LINGER: Duration = Duration::from_secs(5);
/// How long a client may take to ask.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Bytes read at a time.
const PIECE: usize = 32 * 1024;

/// What the connections of one session share.
pub(super) struct Relay {
    pub(super) service: Service,
    pub(super) trust: Option<TlsConnector>,
    pub(super) region: String,
    pub(super) profile: String,
    /// What the path of the loopback URL begins with: other programs of this machine cannot know it.
    pub(super) secret: String,
    /// Without one messages are only passed on.
    pub(super) recorder: RefCell<Option<Recorder>>,
    /// Sockets that were opened.
    pub(super) sockets: Cell<u32>,
    /// Woken when the session is to end.
    pub(super) stop: Notify,
}

impl Relay {
    /// The `StreamUrl` for the plugin.
    pub(super) fn url(&self, port: u16) -> String {
        format!("ws://127.0.0.1:{port}/{}{}", self.secret, self.service.target)
    }

    /// Serves one connection of the plugin to its end. What goes wrong is said.
    pub(super) async fn serve(self: Rc<Self>, mut client: TcpStream) {
        match self.open(&mut client).await {
            Ok(Some((service, to_service, to_client))) => self.pass(client, service, to_service, to_client).await,
            Ok(None) => {}
            Err(error) => {
                warn(&format!("recording: {error:#}"));
                let _ = client
                    .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
            }
        }
    }

    /// Opens the WebSocket on both sides. The service, and what came behind the heads: `None` if the service refused, or the client
    /// is not the plugin.
    async fn open(&self, client: &mut TcpStream) -> anyhow::Result<Option<(Halves, Vec<u8>, Vec<u8>)>> {
        client.set_nodelay(true)?;
        let asking = timeout(REQUEST_TIME, upgrade::read_head(client)).await;
        let Ok(Ok((head, to_service))) = asking else { return Ok(None) };
        let prefix = format!("/{}", self.secret);
        let upgrade = Upgrade::parse(&head);
        let Some((upgrade, target)) =
            upgrade.as_ref().and_then(|upgrade| Some((upgrade, upgrade.target.strip_prefix(&prefix)?)))
        else {
            client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
            return Ok(None);
        };
        let signature = if upgrade.is_signed() { self.signature(target).await? } else { Vec::new() };
        let mut service = dial(&self.service, self.trust.as_ref()).await?;
        service.write_all(&upgrade.to_service(target, &self.service.authority, &signature)).await?;
        service.flush().await?;
        let (answer, to_client) =
            upgrade::read_head(&mut service).await.context("the service does not answer as HTTP does")?;
        client.write_all(&answer).await?;
        if upgrade::status(&answer) != Some(101) {
            warn(&format!("recording: the service refuses the connection with status {:?}", upgrade::status(&answer)));
            client.write_all(&to_client).await?;
            let _ = timeout(LINGER, tokio::io::copy(&mut service, client)).await;
            return Ok(None);
        }
        Ok(Some((halves(service), to_service, to_client)))
    }

    async fn signature(&self, target: &str) -> anyhow::Result<Vec<(String, String)>> {
        let credentials = sign::credentials(&self.profile).await?;
        sign::signature(&self.service.url(target), &self.region, credentials, SystemTime::now())
    }

    async fn pass(&self, client: TcpStream, service: Halves, to_service: Vec<u8>, to_client: Vec<u8>) {
        let socket = self.sockets.replace(self.sockets.get() + 1);
        let (client, service) = (halves(client), service);
        let up = self.copy(socket, Direction::ClientToService, client.0, service.1, to_service);
        let down = self.copy(socket, Direction::ServiceToClient, service.0, client.1, to_client);
        tokio::pin!(up, down);
        let stopped = tokio::select! {
            ended = &mut up => ended.is_err() || matches!(timeout(SERVICE_LINGER, down).await, Ok(Err(Stop))),
            ended = &mut down => ended.is_err() || matches!(timeout(LINGER, up).await, Ok(Err(Stop))),
        };
        if stopped {
            self.stop.notify_one();
        }
    }

    /// Passes one direction on to its end; an error of the network is its end as well.
    async fn copy(
        &self,
        socket: u32,
        direction: Direction,
        mut from: std::pin::Pin<Box<dyn tokio::io::AsyncRead>>,
        mut to: std::pin::Pin<Box<dyn tokio::io::AsyncWrite>>,
        mut piece: Vec<u8>,
    ) -> Result<(), Stop> {
        let mut tap = Some(Tap::default());
        loop {
            if !piece.is_empty() {
                self.look(&mut tap, socket, direction, &piece)?;
                if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
                    return Ok(());
                }
                piece.clear();
            }
            piece.reserve(PIECE);
            match from.read_buf(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let _ = to.shutdown().await;
        Ok(())
    }

    /// Records what a piece completes. Behind bytes that are no WebSocket nothing more is seen.
    fn look(&self, tap: &mut Option<Tap>, socket: u32, direction: Direction, piece: &[u8]) -> Result<(), Stop> {
        let mut recorder = self.recorder.borrow_mut();
        let (Some(recorder), Some(open)) = (recorder.as_mut(), tap.as_mut()) else { return Ok(()) };
        let at = Timestamp::now();
        let mut seen = Ok(());
        let fed = open.feed(piece, &mut |message| seen = seen.and(recorder.see(socket, direction, at, message)));
        seen?;
        if let Err(error) = fed {
            *tap = None;
            recorder.unreadable(at, &error.to_string())?;
        }
        Ok(())
    }
}
