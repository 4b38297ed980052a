//! Connections to the service: TCP, through the proxy that the environment names, and TLS.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::proxy::{self, Proxy};
use super::upgrade;

/// How long connecting may take, TLS included.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// A stream of bytes to the service.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where a data channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// Whether it is behind TLS (`wss`).
    pub(super) is_tls: bool,
    /// Name or address.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// What the `Host` field says.
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
}

impl Service {
    /// Reads a `StreamUrl`.
    ///
    /// # Errors
    /// When it is no URL of a WebSocket. Its query may hold a signature, so it is not quoted.
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let uri: http::Uri = url.parse().context("the StreamUrl of the session is no URL")?;
        let is_tls = match uri.scheme_str() {
            Some("wss" | "https") => true,
            Some("ws" | "http") => false,
            _ => bail!("the StreamUrl of the session is no WebSocket"),
        };
        let authority = uri.authority().context("the StreamUrl of the session names no host")?;
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let target = uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self { is_tls, host, port, authority: authority.as_str().to_owned(), target })
    }

    /// The URL that is signed for this path and query.
    pub(super) fn url(&self, target: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{target}", self.authority)
    }
}

/// What TLS connections trust: the system's roots (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name), and those of a
/// file.
///
/// # Errors
/// When the file holds no certificate, or nothing would be trusted.
pub(super) fn trust(file: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = file {
        let read = || format!("{}: certificates", path.display());
        for certificate in CertificateDer::pem_file_iter(path).with_context(read)? {
            roots.add(certificate.with_context(read)?).with_context(read)?;
        }
    }
    if roots.is_empty() {
        bail!("this system has no root certificates; name a file with `--ca`");
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects to the service.
///
/// # Errors
/// What the network, the proxy or TLS say, and when it takes longer than [`CONNECT_TIME`].
pub(super) async fn dial(service: &Service, trust: Option<&TlsConnector>) -> anyhow::Result<Box<dyn Stream>> {
    let connecting = async {
        let tcp = match proxy::from_environment(service) {
            Some(proxy) => through(&proxy, service).await?,
            None => TcpStream::connect((&*service.host, service.port)).await?,
        };
        tcp.set_nodelay(true)?;
        match trust {
            Some(trust) if service.is_tls => {
                let name = ServerName::try_from(service.host.clone()).context("the service's host is no name")?;
                Ok(Box::new(trust.connect(name, tcp).await?) as Box<dyn Stream>)
            }
            None if service.is_tls => bail!("TLS is not set up"),
            _ => Ok(Box::new(tcp) as Box<dyn Stream>),
        }
    };
    timeout(CONNECT_TIME, connecting)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        .with_context(|| format!("cannot connect to {}", service.authority))
}

/// Opens a tunnel (RFC 9110, section 9.3.6).
async fn through(proxy: &Proxy, service: &Service) -> anyhow::Result<TcpStream> {
    let mut tcp = TcpStream::connect((&*proxy.host, proxy.port)).await.context("proxy")?;
    tcp.write_all(proxy.connect(service).as_bytes()).await?;
    let (head, rest) = upgrade::read_head(&mut tcp).await.context("proxy")?;
    match upgrade::status(&head) {
        Some(200..=299) if rest.is_empty() => Ok(tcp),
        Some(status) => bail!("the proxy refuses with status {status}"),
        None => bail!("the proxy answers with something that is no HTTP"),
    }
}

/// Both halves of a stream.
pub(super) type Halves = (Pin<Box<dyn AsyncRead>>, Pin<Box<dyn AsyncWrite>>);

/// Splits a stream.
pub(super) fn halves(stream: impl AsyncRead + AsyncWrite + 'static) -> Halves {
    let (read, write) = tokio::io::split(stream);
    (Box::pin(read), Box::pin(write))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_url_says_where_the_service_is() {
        let rows = [
            (
                "wss://ssmmessages.us-east-1.amazonaws.com/v1/data-channel/s-1?role=publish_subscribe",
                Some((true, "ssmmessages.us-east-1.amazonaws.com", 443)),
            ),
            ("ws://127.0.0.1:8080/v1", Some((false, "127.0.0.1", 8080))),
            ("wss://[::1]:9/v1", Some((true, "::1", 9))),
            ("ftp://host/", None),
            ("no url", None),
        ];
        for (url, expected) in rows {
            let service = Service::parse(url).ok();
            assert_eq!(service.as_ref().map(|it| (it.is_tls, &*it.host, it.port)), expected, "{url}");
        }
    }
}
