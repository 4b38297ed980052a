//! Heads of HTTP messages: the request that opens a WebSocket and the answer to it (RFC 6455, section 4).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest head, in bytes.
pub(super) const MAX_HEAD: usize = 64 * 1024;
/// Most fields of a head.
const MAX_FIELDS: usize = 100;

/// A request that asks for a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upgrade {
    /// Path and query.
    pub(super) target: String,
    /// Names and values, as sent and in their order.
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

/// Reads up to the end of a head; the head, and what came behind it.
///
/// # Errors
/// What the stream says; [`io::ErrorKind::InvalidData`] for a head beyond [`MAX_HEAD`].
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return Ok((head, rest));
        }
        if head.len() > MAX_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of the HTTP message has no end"));
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

impl Upgrade {
    /// Reads a request; `None` if it does not ask for a WebSocket.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let is_whole = request.parse(head).is_ok_and(|status| status.is_complete());
        let target = request.path.filter(|_| is_whole && request.method == Some("GET"))?.to_owned();
        let fields =
            request.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect::<Vec<_>>();
        let upgrade = Self { target, fields };
        upgrade.field("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")).then_some(upgrade)
    }

    /// Whether the client signed the request with `SigV4`, in its header.
    pub(super) fn is_signed(&self) -> bool {
        self.field("authorization").is_some_and(|value| value.starts_with(b"AWS4-HMAC-SHA256"))
    }

    /// The request as it goes to the service: to this target and host, with these fields for the signature.
    ///
    /// The client's key and version of the WebSocket stay, so that the service's answer is the answer to the client.
    /// Extensions are not passed on: what is compressed could not be recorded as it is.
    pub(super) fn to_service(&self, target: &str, host: &str, signature: &[(String, String)]) -> Vec<u8> {
        let mut out = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
        let is_ours = |name: &str| {
            let name = name.to_ascii_lowercase();
            matches!(&*name, "host" | "sec-websocket-extensions")
                || (self.is_signed() && (name == "authorization" || name.starts_with("x-amz-")))
        };
        let mut put = |name: &str, value: &[u8]| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        };
        for (name, value) in self.fields.iter().filter(|(name, _)| !is_ours(name)) {
            put(name, value);
        }
        for (name, value) in signature {
            put(name, value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    }
}

/// The status of an answer; `None` if it is no HTTP.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).ok()?;
    response.code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_signature_are_written_anew_and_the_rest_stays() {
        let head = b"GET /k/v1/data-channel/s-1?role=publish_subscribe HTTP/1.1\r\nHost: 127.0.0.1:9\r\nUpgrade: WebSocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Key: abc\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x\r\n\
            X-Amz-Date: 20261124T000000Z\r\nSec-WebSocket-Extensions: permessage-deflate\r\nUser-Agent: Go\r\n\r\n";
        let upgrade = Upgrade::parse(head).unwrap();
        assert!(upgrade.is_signed());
        let out = upgrade.to_service("/v1", "real.example", &[("authorization".to_owned(), "new".to_owned())]);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET /v1 HTTP/1.1\r\nHost: real.example\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: abc\r\nUser-Agent: Go\r\nauthorization: new\r\n\r\n"
        );
        assert_eq!(Upgrade::parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), None);
        assert_eq!(Upgrade::parse(b"POST / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), None);
        assert_eq!(status(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Some(101));
    }
}
