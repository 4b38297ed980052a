//! The seal on a session that a KMS key encrypts: AES-256-GCM, no associated data.
//!
//! KMS gives the client a data key of 64 bytes, which the agent has KMS decrypt. Each end seals with its own half
//! (`P: src/encryption/encrypter.go` @ 61cf1288, `A: agent/session/crypto/` @ 1c217c89; seen on the wire):
//!
//! | data key | seals | payload types |
//! |---|---|---|
//! | bytes 0..32 | agent to client | 1, 11, 12, and the challenge inside 8 |
//! | bytes 32..64 | client to agent | 1, and the challenge inside 9 |
//!
//! | offset | size | field of a sealed payload |
//! |---|---|---|
//! | 0 | 12 | nonce |
//! | 12 | n | ciphertext |
//! | 12 + n | 16 | tag |
//!
//! A client nonce is random. An agent nonce starts at random and then counts: a little-endian 96-bit number, one up for
//! each sealing, the challenge included. So agent nonces are consecutive, and a jump says that something is missing or was
//! put in ([`NonceWatch`]). PayloadDigest covers the sealed bytes.
//!
//! ```
//! use warden_protocol::seal::{Nonce, SessionKey};
//! use warden_protocol::wire::Side;
//!
//! let data_key: Vec<u8> = (0..64).collect();
//! let key = SessionKey::new(&data_key)?;
//! let sealed = key.seal(Side::Agent, Nonce([7; 12]), b"sh-5.2$ ")?;
//! assert_eq!(key.open(Side::Agent, &sealed)?, b"sh-5.2$ "[..]);
//! // The other half does not open it.
//! assert!(key.open(Side::Client, &sealed).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use aws_lc_rs::aead::{self, AES_256_GCM, Aad, LessSafeKey, UnboundKey};
use bytes::Bytes;
use thiserror::Error;

use crate::frame::Frame;
use crate::payload::EncryptionChallenge;
use crate::wire::{MessageId, Side};

/// Bytes of the data key.
pub const DATA_KEY_LENGTH: usize = 64;
/// Bytes of a nonce.
pub const NONCE_LENGTH: usize = 12;
/// What sealing adds: nonce and tag.
pub const OVERHEAD: usize = NONCE_LENGTH + 16;

/// Both halves of a session's data key.
pub struct SessionKey {
    agent: LessSafeKey,
    client: LessSafeKey,
}

/// A data key that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not [`DATA_KEY_LENGTH`] bytes.
    #[error("a data key has {DATA_KEY_LENGTH} bytes, this one {length}")]
    Length {
        /// Bytes that were given.
        length: usize,
    },
    /// Not hex digits.
    #[error("no hex digit at offset {offset}")]
    Hex {
        /// Offset of the first character that is no hex digit.
        offset: usize,
    },
}

/// Why bytes were not opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// Shorter than nonce and tag: never sealed. The upstream client panics on less than 12 bytes.
    #[error("{length} bytes are too few for nonce and tag")]
    TooShort {
        /// Bytes that were given.
        length: usize,
    },
    /// The tag does not fit: wrong key, wrong half, or changed bytes.
    #[error("{length} bytes do not open with this key")]
    Authentication {
        /// Bytes that were given.
        length: usize,
    },
    /// The service seals nothing.
    #[error("the service has no key half")]
    NoHalf,
    /// More bytes than one nonce may seal.
    #[error("{length} bytes are too many to seal")]
    TooLong {
        /// Bytes that were given.
        length: usize,
    },
}

/// A frame that did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("frame {sequence_number} of the {side} (message {message_id}): {reason}")]
pub struct OpenFrameError {
    /// Who sealed it.
    pub side: Side,
    /// Its sequence number.
    pub sequence_number: i64,
    /// Its identity.
    pub message_id: MessageId,
    /// Why not.
    pub reason: SealError,
}

impl SessionKey {
    /// Takes the plaintext data key as KMS gave it.
    ///
    /// # Errors
    /// When it has not [`DATA_KEY_LENGTH`] bytes.
    pub fn new(data_key: &[u8]) -> Result<Self, KeyError> {
        let wrong_length = || KeyError::Length { length: data_key.len() };
        let (agent, client) = data_key.split_at_checked(DATA_KEY_LENGTH / 2).ok_or_else(wrong_length)?;
        let half = |bytes| UnboundKey::new(&AES_256_GCM, bytes).map(LessSafeKey::new).map_err(|_| wrong_length());
        Ok(Self { agent: half(agent)?, client: half(client)? })
    }

    /// Takes the data key as 128 hex digits; white space around them is ignored.
    ///
    /// # Errors
    /// When a character is no hex digit or the length is wrong.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().char_indices().map(|(offset, char)| char.to_digit(16).ok_or(KeyError::Hex { offset }));
        let digits: Vec<u32> = digits.take(2 * DATA_KEY_LENGTH + 2).collect::<Result<_, _>>()?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .filter_map(|pair| u8::try_from(pair.iter().fold(0, |byte, digit| byte * 16 + digit)).ok())
            .collect();
        if digits.len() % 2 == 1 {
            return Err(KeyError::Length { length: digits.len() / 2 });
        }
        Self::new(&bytes)
    }

    /// Opens what `side` sealed.
    ///
    /// # Errors
    /// When it is too short, or the tag does not fit.
    pub fn open(&self, side: Side, sealed: &[u8]) -> Result<Bytes, SealError> {
        let length = sealed.len();
        let (nonce, ciphertext) = Nonce::of(sealed).ok_or(SealError::TooShort { length })?;
        if length < OVERHEAD {
            return Err(SealError::TooShort { length });
        }
        let mut plaintext = ciphertext.to_vec();
        let opened = self.half(side)?.open_in_place(nonce.unique(), Aad::empty(), &mut plaintext);
        let length = opened.map_err(|_| SealError::Authentication { length })?.len();
        plaintext.truncate(length);
        Ok(Bytes::from(plaintext))
    }

    /// Opens the payload of a frame that `side` made; `None` if `side` never seals its payload type.
    ///
    /// # Errors
    /// When the payload does not open; the error says which frame it was.
    pub fn open_frame(&self, side: Side, frame: &Frame) -> Result<Option<Bytes>, OpenFrameError> {
        if !frame.message_type.is_stream() || !frame.payload_type.is_sealed_by(side) {
            return Ok(None);
        }
        self.open(side, &frame.payload).map(Some).map_err(|reason| OpenFrameError {
            side,
            sequence_number: frame.sequence_number,
            message_id: frame.message_id,
            reason,
        })
    }

    /// Whether the client's answer to the challenge holds the agent's random bytes.
    ///
    /// # Errors
    /// When one of the two does not open.
    pub fn answers(&self, request: &EncryptionChallenge, response: &EncryptionChallenge) -> Result<bool, SealError> {
        Ok(self.open(Side::Agent, &request.sealed)? == self.open(Side::Client, &response.sealed)?)
    }

    /// Seals as `side` would. A nonce must never be used twice with one key.
    ///
    /// # Errors
    /// For the service, which has no key half, and for more bytes than the cipher takes.
    pub fn seal(&self, side: Side, nonce: Nonce, plaintext: &[u8]) -> Result<Bytes, SealError> {
        let mut ciphertext = plaintext.to_vec();
        let half = self.half(side)?;
        let sealed = half.seal_in_place_append_tag(nonce.unique(), Aad::empty(), &mut ciphertext);
        sealed.map_err(|_| SealError::TooLong { length: plaintext.len() })?;
        Ok([&nonce.0[..], &ciphertext].concat().into())
    }

    fn half(&self, side: Side) -> Result<&LessSafeKey, SealError> {
        match side {
            Side::Agent => Ok(&self.agent),
            Side::Client => Ok(&self.client),
            Side::Service => Err(SealError::NoHalf),
        }
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// The first 12 bytes of a sealed payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; NONCE_LENGTH]);

impl Nonce {
    /// Splits a sealed payload; `None` if it has less than 12 bytes.
    pub fn of(sealed: &[u8]) -> Option<(Self, &[u8])> {
        sealed.split_first_chunk().map(|(nonce, rest)| (Self(*nonce), rest))
    }

    /// How many sealings lie between `self` and `later` by the agent's counter: 1 for consecutive nonces.
    pub fn steps_to(self, later: Self) -> u128 {
        const WRAP: u128 = 1 << 96;
        (later.number() + WRAP - self.number()) % WRAP
    }

    fn number(self) -> u128 {
        self.0.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
    }

    fn unique(self) -> aead::Nonce {
        aead::Nonce::assume_unique_for_key(self.0)
    }
}

/// Follows the agent's nonces in the order of its sequence numbers.
#[derive(Clone, Debug, Default)]
pub struct NonceWatch {
    last: Option<Nonce>,
}

/// Agent nonces that are not consecutive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceJump {
    /// The nonce before.
    pub from: Nonce,
    /// The nonce after.
    pub to: Nonce,
    /// Sealings between the two that the missing messages cannot account for; `None` when the counter went back or
    /// stood still, which the agent's cannot.
    pub unaccounted: Option<u128>,
}

impl NonceWatch {
    /// Takes the next nonce. `missing` messages before it are known to be lost; each may have used a nonce.
    pub fn follow(&mut self, nonce: Nonce, missing: u64) -> Option<NonceJump> {
        let from = self.last.replace(nonce)?;
        let steps = from.steps_to(nonce);
        let went_back = steps == 0 || steps >= 1 << 95;
        let unaccounted = (!went_back).then(|| (steps - 1).saturating_sub(u128::from(missing)));
        (unaccounted != Some(0)).then_some(NonceJump { from, to: nonce, unaccounted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(first: u8) -> Nonce {
        Nonce([first, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    #[test]
    fn agent_nonces_count_little_endian_with_carry() {
        let next = Nonce([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(nonce(0xff).steps_to(next), 1);
        assert_eq!(Nonce([0xff; 12]).steps_to(Nonce([0; 12])), 1);
    }

    #[test]
    fn a_jump_is_reported_unless_missing_messages_explain_it() {
        let mut watch = NonceWatch::default();
        assert_eq!(watch.follow(nonce(1), 0), None);
        assert_eq!(watch.follow(nonce(2), 0), None);
        assert_eq!(watch.follow(nonce(5), 2), None);
        assert_eq!(watch.follow(nonce(8), 1).unwrap().unaccounted, Some(1));
        assert_eq!(watch.follow(nonce(8), 0).unwrap().unaccounted, None);
        assert_eq!(watch.follow(nonce(7), 0).unwrap().unaccounted, None);
    }

    #[test]
    fn a_key_is_64_bytes() {
        assert_eq!(SessionKey::new(&[0; 63]).unwrap_err(), KeyError::Length { length: 63 });
        assert_eq!(SessionKey::from_hex(&"0".repeat(129)).unwrap_err(), KeyError::Length { length: 64 });
        assert_eq!(SessionKey::from_hex("0x").unwrap_err(), KeyError::Hex { offset: 1 });
        let key = SessionKey::from_hex(&format!("{}\n", "aB".repeat(64))).unwrap();
        assert!(!format!("{key:?}").contains("ab"));
    }
}
