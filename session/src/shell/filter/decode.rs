//! Encodings: `base64`, `base32`, `openssl base64`, `xxd`, `gunzip`.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::MAX_VALUE;

fn decodes(argv: &[&str]) -> bool {
    argv.iter().any(|word| {
        let short = word.starts_with('-') && !word.starts_with("--");
        matches!(*word, "--decode" | "--dec" | "--d") || (short && word.contains(['d', 'D']))
    })
}

pub(super) fn base64(argv: &[&str], input: &[u8]) -> Vec<u8> {
    if !decodes(argv) {
        let mut text = STANDARD.encode(input).into_bytes();
        text.push(b'\n');
        return text;
    }
    bits(input, 6, |byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    })
}

pub(super) fn base32(argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => None,
    };
    decodes(argv).then(|| bits(input, 5, value))
}

/// Joins the bits of digits; stops at padding, skips what is no digit, as `base64 -di` does.
fn bits(input: &[u8], width: u32, value: impl Fn(u8) -> Option<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len());
    let (mut held, mut count) = (0_u32, 0_u32);
    for digit in input.iter().take_while(|byte| **byte != b'=').filter_map(|byte| value(*byte)) {
        held = (held << width) | u32::from(digit);
        count += width;
        if count >= 8 {
            count -= 8;
            out.extend(u8::try_from((held >> count) & 0xff));
            held &= (1 << count) - 1;
        }
    }
    out
}

pub(super) fn openssl(argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let base = argv.iter().any(|word| matches!(*word, "base64" | "-base64" | "-a"));
    let cipher = argv.iter().any(|word| word.starts_with("-aes") || word.starts_with("-des") || *word == "-k");
    (base && !cipher && argv.contains(&"-d")).then(|| base64(&["-d"], input))
}

/// `xxd -r -p`.
pub(super) fn xxd(argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let flags: String = argv.iter().filter_map(|word| word.strip_prefix('-')).collect();
    if !(flags.contains('p') || flags.contains("ps")) {
        return None;
    }
    if !flags.contains('r') {
        let digit = |nibble: u8| b"0123456789abcdef".get(usize::from(nibble)).copied();
        let hex = input.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten();
        return Some(hex.chain([b'\n']).collect());
    }
    Some(bits_of_hex(input))
}

fn bits_of_hex(input: &[u8]) -> Vec<u8> {
    let digits = input.iter().filter_map(|byte| char::from(*byte).to_digit(16));
    let digits: Vec<u8> = digits.filter_map(|digit| u8::try_from(digit).ok()).collect();
    digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect()
}

pub(super) fn gunzip(name: &str, argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    if name == "gzip" && !decodes(argv) {
        return None;
    }
    let limit = u64::try_from(MAX_VALUE).ok()?;
    let mut out = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(input).take(limit).read_to_end(&mut out);
    // A broken checksum at the end still leaves what was read.
    (read.is_ok() || !out.is_empty()).then_some(out)
}
