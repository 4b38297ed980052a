//! What programs that only transform text print, when their input is known: the decoders of hidden commands.

mod decode;
mod print;
mod text;

use super::state::{MAX_VALUE, Pipe, Shell};

impl Shell {
    /// Writes the output of a filter, or makes the output unknown.
    pub(super) fn filter(&mut self, name: &str, argv: &[&str], known: bool, pipe: &mut Pipe) {
        if hides(name, argv) {
            pipe.decoder = true;
        }
        let file = argv.iter().skip(1).rev().find_map(|word| self.files.get(*word)).cloned();
        let input = file.or_else(|| pipe.input.take());
        self.budget.spend(input.as_ref().map_or(0, Vec::len) + argv.len());
        let bytes = if known { output(name, argv, input.as_deref()) } else { None };
        let bytes = bytes.filter(|bytes| bytes.len() <= MAX_VALUE);
        pipe.write(bytes.as_deref());
    }
}

/// What a program prints; `None` if that is not known.
pub(super) fn output(name: &str, argv: &[&str], input: Option<&[u8]>) -> Option<Vec<u8>> {
    let rest = argv.get(1..).unwrap_or_default();
    match name {
        "echo" => Some(print::echo(rest)),
        "printf" => print::printf(rest),
        "seq" => print::seq(rest),
        "cat" | "tee" | "pv" | "sponge" => input.map(<[u8]>::to_vec),
        "base64" | "gbase64" => Some(decode::base64(rest, input?)),
        "base32" => decode::base32(rest, input?),
        "openssl" => decode::openssl(rest, input?),
        "xxd" => decode::xxd(rest, input?),
        "gunzip" | "zcat" | "gzip" | "gzcat" => decode::gunzip(name, rest, input?),
        "rev" => Some(text::rev(input?)),
        "tac" => Some(text::tac(input?)),
        "tr" => text::tr(rest, input?),
        "sed" => text::sed(rest, input?),
        "cut" => text::cut(rest, input?),
        "head" | "tail" => text::ends(name, rest, input?),
        _ => None,
    }
}

/// Programs whose output, given to a shell, hides what runs.
fn hides(name: &str, argv: &[&str]) -> bool {
    match name {
        "base64" | "gbase64" | "base32" | "basenc" | "xxd" | "rev" | "gunzip" | "zcat" | "bunzip2" | "bzcat"
        | "xzcat" | "unxz" | "uudecode" | "tr" | "gpg" => true,
        "openssl" => argv.iter().any(|word| matches!(*word, "enc" | "base64" | "-d")),
        "gzip" | "bzip2" | "xz" => argv.iter().any(|word| word.starts_with('-') && word.contains('d')),
        "printf" | "echo" => argv.iter().any(|word| super::escapes::hides(word)),
        _ => false,
    }
}
