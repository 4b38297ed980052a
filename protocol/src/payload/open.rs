use std::fmt;

use serde_json::Value;

use super::field::{Fault, Field, json_message};
use super::json::{folds_to, parse, write};
use crate::wire::Sha256;

json_message! {
    /// The first message on every socket: one text frame of JSON, never acknowledged. After a reconnect it comes again with
    /// a new token on the new socket, while sequence numbers go on (`P: src/service/service.go` @ 61cf1288,
    /// `A: agent/session/service/service.go` @ 1c217c89).
    OpenDataChannel {
        /// `1.0`.
        message_schema_version: String = "MessageSchemaVersion",
        /// A UUID.
        request_id: String = "RequestId",
        /// The bearer secret of the channel.
        token: Token = "TokenValue",
        /// Agent only: the managed node.
        client_instance_id: Option<String> = "ClientInstanceId",
        /// A UUID; both ends send it.
        client_id: String = "ClientId",
        /// Client only, and only newer ones.
        client_version: Option<String> = "ClientVersion",
    }
}

/// The bearer secret of a channel. Every printable form of it is its SHA-256; [`Token::reveal`] is the one way to it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a secret.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself, for a relay that must present it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What stands in its place: tells equal tokens from different ones.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(self.0.as_bytes())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest().fmt(f)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(sha256 {self})")
    }
}

/// Reads the secret, writes its digest.
impl Field for Token {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        Self(String::read(value, key, faults))
    }

    fn write(&self) -> Value {
        Value::from(self.to_string())
    }
}

/// The text of a text frame, fit to be shown: every `TokenValue`, however spelt and nested, is replaced by the SHA-256 of
/// its value in hex.
///
/// A text that is no JSON and could hold the key is replaced as a whole by its length and digest.
pub fn redact(text: &[u8]) -> String {
    if let Ok(mut value) = parse(text) {
        redact_value(&mut value);
        return write(&value);
    }
    let shown = String::from_utf8_lossy(text);
    // An escape could spell the key.
    if shown.to_ascii_lowercase().contains("token") || shown.contains('\\') {
        return format!("[{} bytes, sha256 {}]", text.len(), Sha256::of(text));
    }
    shown.into_owned()
}

/// Nesting is at most [`super::MAX_JSON_DEPTH`] here.
fn redact_value(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(redact_value),
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                if !folds_to(key, "TokenValue") {
                    redact_value(value);
                } else if !value.is_null() {
                    let secret = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                    *value = Value::from(Sha256::of(secret.as_bytes()).to_string());
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_printable_form_holds_the_token() {
        let text = br#"{"MessageSchemaVersion":"1.0","tokenvalue":"S3CRET","ClientId":"c"}"#;
        let nested = br#"{"N":[{"TokenValue":"S3CRET"},{"TokenValue":["S3CRET"]}]}"#;
        let open = OpenDataChannel::parse(text).unwrap().value;
        assert_eq!(open.token.reveal(), "S3CRET");
        let cut = b"{\"TokenValue\":\"S3CRET";
        for shown in [format!("{open:?} {}", open.token), open.to_json(), redact(text), redact(nested), redact(cut)] {
            assert!(!shown.contains("S3CRET"), "{shown}");
        }
        assert!(redact(text).contains(&Sha256::of(b"S3CRET").to_string()));
        assert_eq!(redact(b"no json"), "no json");
    }
}
