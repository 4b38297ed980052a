//! The log of TLS secrets that browsers and libraries write (`SSLKEYLOGFILE`, draft-ietf-tls-keylogfile).

use std::collections::HashMap;
use std::fmt;

/// Most connections whose secrets are kept.
const MAX_CONNECTIONS: usize = 1 << 16;
/// Longest secret: 48 bytes of SHA-384 or of a master secret.
const MAX_SECRET: usize = 64;

/// Secrets by the client's random.
#[derive(Clone, Default)]
pub(in crate::capture) struct KeyLog {
    connections: HashMap<[u8; 32], HashMap<String, Vec<u8>>>,
}

impl KeyLog {
    /// Adds lines of `LABEL CLIENT-RANDOM SECRET`; others are ignored.
    pub(in crate::capture) fn add(&mut self, text: &[u8]) {
        for line in text.split(|&byte| byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let mut words = line.split_ascii_whitespace();
            let (Some(label), Some(random), Some(secret)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let random = unhex(random).and_then(|random| <[u8; 32]>::try_from(random).ok());
            let (Some(random), Some(secret)) = (random, unhex(secret)) else { continue };
            let has_room = self.connections.len() < MAX_CONNECTIONS || self.connections.contains_key(&random);
            let is_known =
                label.ends_with("_TRAFFIC_SECRET") || label.ends_with("_TRAFFIC_SECRET_0") || label == "CLIENT_RANDOM";
            if has_room && is_known && secret.len() <= MAX_SECRET && label.len() <= MAX_SECRET {
                self.connections.entry(random).or_default().insert(label.to_owned(), secret);
            }
        }
    }

    /// The secrets of a connection, by their label.
    pub(super) fn of(&self, random: &[u8; 32]) -> Option<&HashMap<String, Vec<u8>>> {
        self.connections.get(random)
    }
}

/// Holds no secret.
impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLog({} connections)", self.connections.len())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().take(256).map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| u8::try_from(high * 16 + low).ok()).collect();
    if rest.is_empty() { bytes } else { None }
}
