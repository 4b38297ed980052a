//! URLs of data channels.

use super::Socket;

/// What a URL, or the path of a request, says of a data channel; `None` if it is that of something else.
///
/// The client takes the URL from StartSession, in practice
/// `wss://ssmmessages.REGION.amazonaws.com/v1/data-channel/SESSION-ID?role=publish_subscribe`; the agent builds the same
/// (`A: agent/session/communicator/websocketchannel.go` @ 1c217c89). Only the path is judged.
pub(super) fn data_channel(url: &str) -> Option<Socket> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_at(rest.find('/')?);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (_, id) = path.split_once("/v1/data-channel/")?;
    let id = percent_decode(id.trim_end_matches('/'));
    let host = (!host.is_empty()).then(|| host.to_owned());
    Some(Socket { session: (!id.is_empty()).then_some(id), host })
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        rest = after;
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_channels_are_named() {
        let rows = [
            (
                "wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/a-1?role=x",
                Some(("a-1", "ssmmessages.eu-west-1.amazonaws.com")),
            ),
            ("/v1/data-channel/a%40b-1", Some(("a@b-1", ""))),
            ("/v1/data-channel/100%", Some(("100%", ""))),
            ("wss://host/v1/control-channel/i-1", None),
            ("no url", None),
        ];
        for (url, expected) in rows {
            let named = data_channel(url).map(|named| (named.session.unwrap(), named.host.unwrap_or_default()));
            assert_eq!(named, expected.map(|(id, host)| (id.to_owned(), host.to_owned())), "{url}");
        }
    }
}
