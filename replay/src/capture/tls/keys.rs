//! Keys of one direction, and records opened with them.

use std::fmt;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};

/// A cipher suite that is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suite {
    aead: &'static aead::Algorithm,
    hkdf: hkdf::Algorithm,
    hmac: hmac::Algorithm,
    /// Whether TLS 1.2 sends half of the nonce with each record (RFC 5288).
    explicit_nonce: bool,
}

impl Suite {
    /// The suite with this number (IANA, TLS Cipher Suites).
    pub(super) fn of(number: u16) -> Option<Self> {
        let aead = match number {
            0x1301 | 0xc02b | 0xc02f | 0x009c | 0x009e => &aead::AES_128_GCM,
            0x1302 | 0xc02c | 0xc030 | 0x009d | 0x009f => &aead::AES_256_GCM,
            0x1303 | 0xcca8 | 0xcca9 | 0xccaa => &aead::CHACHA20_POLY1305,
            _ => return None,
        };
        let is_384 = aead == &aead::AES_256_GCM;
        Some(Self {
            aead,
            hkdf: if is_384 { hkdf::HKDF_SHA384 } else { hkdf::HKDF_SHA256 },
            hmac: if is_384 { hmac::HMAC_SHA384 } else { hmac::HMAC_SHA256 },
            explicit_nonce: aead != &aead::CHACHA20_POLY1305,
        })
    }
}

/// Keys of one direction and the number of its next record.
pub(super) struct Keys {
    suite: Suite,
    key: LessSafeKey,
    iv: Vec<u8>,
    number: u64,
    /// TLS 1.3: the traffic secret, from which the next one follows.
    secret: Option<Vec<u8>>,
}

/// Holds no secret.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys(record {})", self.number)
    }
}

impl Keys {
    /// Keys of TLS 1.3 from a traffic secret (RFC 8446, 7.3).
    pub(super) fn of_13(suite: Suite, secret: &[u8]) -> Option<Self> {
        let key = expand_label(suite, secret, b"key", suite.aead.key_len())?;
        let iv = expand_label(suite, secret, b"iv", aead::NONCE_LEN)?;
        let key = LessSafeKey::new(UnboundKey::new(suite.aead, &key).ok()?);
        Some(Self { suite, key, iv, number: 0, secret: Some(secret.to_vec()) })
    }

    /// Keys of TLS 1.2, the client's and the server's, from the master secret (RFC 5246, 6.3).
    pub(super) fn of_12(suite: Suite, master: &[u8], client: &[u8], server: &[u8]) -> Option<(Self, Self)> {
        let key_length = suite.aead.key_len();
        let iv_length = if suite.explicit_nonce { 4 } else { aead::NONCE_LEN };
        let seed = [b"key expansion", server, client].concat();
        let block = expand_12(suite, master, &seed, 2 * (key_length + iv_length));
        let (keys, ivs) = block.split_at_checked(2 * key_length)?;
        let keys_of = |key: &[u8], iv: &[u8]| {
            let key = LessSafeKey::new(UnboundKey::new(suite.aead, key).ok()?);
            Some(Self { suite, key, iv: iv.to_vec(), number: 0, secret: None })
        };
        let (client_key, server_key) = keys.split_at_checked(key_length)?;
        let (client_iv, server_iv) = ivs.split_at_checked(iv_length)?;
        Some((keys_of(client_key, client_iv)?, keys_of(server_key, server_iv)?))
    }

    /// The number of the next record.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// A record that did not open counts.
    pub(super) fn skip(&mut self) {
        self.number += 1;
    }

    /// The last record is opened again.
    pub(super) fn step_back(&mut self) {
        self.number = self.number.saturating_sub(1);
    }

    /// The sender changes to the next secret (RFC 8446, 7.2).
    pub(super) fn update(&mut self) {
        let Some(secret) = &self.secret else { return };
        let next = expand_label(self.suite, secret, b"traffic upd", secret.len());
        if let Some(next) = next.and_then(|secret| Self::of_13(self.suite, &secret)) {
            *self = next;
        }
    }

    /// Opens a record, under its number or one of the next `tries`: its content type and plaintext.
    pub(super) fn open<'a>(&mut self, header: [u8; 5], body: &'a mut [u8], tries: u64) -> Option<(u8, &'a [u8])> {
        for ahead in 0..=tries {
            let number = self.number.checked_add(ahead)?;
            let mut copy = if tries > 0 { body.to_vec() } else { Vec::new() };
            let record = if tries > 0 { &mut copy[..] } else { &mut *body };
            let (kind, range) = match self.open_as(number, header, record) {
                Some(found) => found,
                None if tries == 0 => return None,
                None => continue,
            };
            if tries > 0 {
                body.copy_from_slice(&copy);
            }
            self.number = number + 1;
            return body.get(range).map(|plaintext| (kind, plaintext));
        }
        None
    }

    fn open_as(&self, number: u64, header: [u8; 5], body: &mut [u8]) -> Option<(u8, std::ops::Range<usize>)> {
        if self.secret.is_some() { self.open_13(number, header, body) } else { self.open_12(number, header, body) }
    }

    fn open_13(&self, number: u64, header: [u8; 5], body: &mut [u8]) -> Option<(u8, std::ops::Range<usize>)> {
        let plaintext = self.key.open_in_place(self.nonce(number)?, Aad::from(header), body).ok()?;
        // Zeros pad the plaintext behind its content type.
        let last = plaintext.iter().rposition(|byte| *byte != 0)?;
        let kind = *plaintext.get(last)?;
        Some((kind, 0..last))
    }

    fn open_12(&self, number: u64, header: [u8; 5], body: &mut [u8]) -> Option<(u8, std::ops::Range<usize>)> {
        let [kind, major, minor, ..] = header;
        let explicit = if self.suite.explicit_nonce { 8 } else { 0 };
        let (nonce, sealed) = body.split_at_mut_checked(explicit)?;
        let nonce = if explicit > 0 {
            let nonce = [&self.iv[..], nonce].concat();
            Nonce::try_assume_unique_for_key(&nonce).ok()?
        } else {
            self.nonce(number)?
        };
        let length = u16::try_from(sealed.len().checked_sub(self.suite.aead.tag_len())?).ok()?;
        let mut aad = [0; 13];
        let fields = number.to_be_bytes().into_iter().chain([kind, major, minor]).chain(length.to_be_bytes());
        aad.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        let length = self.key.open_in_place(nonce, Aad::from(aad), sealed).ok()?.len();
        Some((kind, explicit..explicit + length))
    }

    /// The number of the record, mixed into the IV (RFC 8446, 5.3; RFC 7905).
    fn nonce(&self, number: u64) -> Option<Nonce> {
        let mut nonce = <[u8; aead::NONCE_LEN]>::try_from(&self.iv[..]).ok()?;
        nonce.iter_mut().skip(4).zip(number.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

/// A length for HKDF.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
fn expand_label(suite: Suite, secret: &[u8], label: &[u8], length: usize) -> Option<Vec<u8>> {
    let wanted = u16::try_from(length).ok()?.to_be_bytes();
    let label_length = [u8::try_from(label.len() + 6).ok()?];
    let info = [&wanted[..], &label_length, b"tls13 ", label, &[0]];
    let secret = hkdf::Prk::new_less_safe(suite.hkdf, secret);
    let mut out = vec![0; length];
    secret.expand(&info, Length(length)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

/// `P_hash` of TLS 1.2 (RFC 5246, 5).
fn expand_12(suite: Suite, secret: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
    let key = hmac::Key::new(suite.hmac, secret);
    let mut out = Vec::with_capacity(length + 48);
    let mut round = hmac::sign(&key, seed);
    while out.len() < length {
        out.extend_from_slice(hmac::sign(&key, &[round.as_ref(), seed].concat()).as_ref());
        round = hmac::sign(&key, round.as_ref());
    }
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 8448, section 3: the server's handshake keys.
    #[test]
    fn keys_of_the_simple_handshake() {
        let secret = unhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        let suite = Suite::of(0x1301).unwrap();
        assert_eq!(expand_label(suite, &secret, b"key", 16).unwrap(), unhex("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(Keys::of_13(suite, &secret).unwrap().iv, unhex("5d313eb2671276ee13000b30"));
    }

    /// A record as the sender would write it.
    fn seal(keys: &Keys, number: u64, plaintext: &[u8]) -> ([u8; 5], Vec<u8>) {
        let mut body = [plaintext, &[23, 0, 0]].concat();
        let length = u16::try_from(body.len() + 16).unwrap().to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        keys.key.seal_in_place_append_tag(keys.nonce(number).unwrap(), Aad::from(header), &mut body).unwrap();
        (header, body)
    }

    #[test]
    fn keys_follow_updates_and_lost_records() {
        for number in [0x1301, 0x1302, 0x1303] {
            let suite = Suite::of(number).unwrap();
            let length = if number == 0x1302 { 48 } else { 32 };
            let (mut ours, mut theirs) =
                (Keys::of_13(suite, &vec![7; length]).unwrap(), Keys::of_13(suite, &vec![7; length]).unwrap());
            let (header, mut body) = seal(&theirs, 0, b"one");
            assert_eq!(ours.open(header, &mut body, 0), Some((23, &b"one"[..])));
            let (header, body) = seal(&theirs, 5, b"six");
            assert_eq!(ours.open(header, &mut body.clone(), 0), None);
            assert_eq!(ours.open(header, &mut body.clone(), 10), Some((23, &b"six"[..])));
            assert_eq!(ours.number(), 6);
            ours.update();
            theirs.update();
            let (header, mut body) = seal(&theirs, 0, b"anew");
            assert_eq!(ours.open(header, &mut body, 0), Some((23, &b"anew"[..])));
        }
    }
}
