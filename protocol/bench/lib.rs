//! Decoding speed; see `benches/decode.rs`.
