//! The upgrade of an HTTP/1.1 connection to a WebSocket (RFC 6455, 4), and CONNECT through a proxy.

use super::Socket;
use super::url::data_channel;

/// Longest head of a request or response.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A WebSocket; what its URL says, if it is that of a data channel.
    Upgrade(Option<Socket>),
    /// A tunnel through a proxy.
    Connect,
    /// Anything else.
    Other,
}

/// What a response grants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// The WebSocket, with these extensions.
    Switched { extensions: String },
    /// Success otherwise: what a proxy says before the tunnel.
    Done,
    /// Anything else.
    Other,
}

/// Length of the head that starts here, with its empty line.
pub(super) fn head_length(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// Whether bytes can be the start of a request.
pub(super) fn is_request(bytes: &[u8]) -> bool {
    [&b"GET "[..], b"CONNECT ", b"POST ", b"PUT ", b"HEAD "].iter().any(|method| bytes.starts_with(method))
}

pub(super) fn request(head: &[u8]) -> Request {
    let head = String::from_utf8_lossy(head);
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_upgrade = field(&head, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"));
    match method {
        "GET" if is_upgrade => {
            let named = data_channel(path).map(|named| Socket { host: field(&head, "host").or(named.host), ..named });
            Request::Upgrade(named)
        }
        "CONNECT" => Request::Connect,
        _ => Request::Other,
    }
}

pub(super) fn response(head: &[u8]) -> Response {
    let head = String::from_utf8_lossy(head);
    match head.split(' ').nth(1) {
        Some("101") => Response::Switched { extensions: field(&head, "sec-websocket-extensions").unwrap_or_default() },
        Some(status) if status.starts_with('2') => Response::Done,
        _ => Response::Other,
    }
}

/// The values of a field, joined.
fn field(head: &str, name: &str) -> Option<String> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let values: Vec<&str> =
        fields.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrades_are_told_from_other_requests() {
        let get = b"GET /v1/data-channel/a-1?role=x HTTP/1.1\r\nhost: h\r\nUPGRADE: WebSocket\r\n\r\n";
        let named = Socket { session: Some("a-1".to_owned()), host: Some("h".to_owned()) };
        assert_eq!(request(get), Request::Upgrade(Some(named)));
        assert_eq!(request(b"GET /x HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), Request::Upgrade(None));
        assert_eq!(request(b"GET /v1/data-channel/a-1 HTTP/1.1\r\n\r\n"), Request::Other);
        assert_eq!(request(b"CONNECT h:443 HTTP/1.1\r\n\r\n"), Request::Connect);
        let switched = b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        assert_eq!(response(switched), Response::Switched { extensions: "permessage-deflate".to_owned() });
        assert_eq!((response(b"HTTP/1.1 200 OK\r\n\r\n"), response(b"junk")), (Response::Done, Response::Other));
    }
}
