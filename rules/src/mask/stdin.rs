//! Secrets that reach a program through its input: `echo X | sudo -S`, `chpasswd <<< user:X`, here-documents.

use std::ops::Range;

use super::lexer::{Piece, Word};
use super::name::{Kind, is_secret, is_secret_text, kind};
use super::tool::basename;

/// A secret in the source, with its text.
pub(super) type Found = (Range<usize>, String);

/// How a program reads secrets from its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// The input is the secret.
    Whole,
    /// Lines of `user:secret`.
    Pairs,
}

fn reads(piece: &Piece) -> Option<Reads> {
    let has = |words: &[&str]| piece.words.iter().any(|word| words.contains(&basename(&word.text)));
    let flag = |letter: char| {
        piece.words.iter().any(|word| {
            word.text.starts_with('-')
                && !word.text.starts_with("--")
                && word.text.len() < 6
                && word.text.contains(letter)
        })
    };
    if has(&["chpasswd", "newusers"]) {
        return Some(Reads::Pairs);
    }
    let whole = (has(&["sudo"]) && (flag('S') || has(&["--stdin"])))
        || has(&[
            "passwd",
            "--password-stdin",
            "--with-token",
            "--passphrase-fd",
            "cryptsetup",
            "kinit",
            "smbpasswd",
            "vncpasswd",
            "tightvncpasswd",
            "su",
            "saslpasswd2",
            "--pinentry-mode",
            "-stdin",
            "pdbedit",
            "openvpn",
            "gocryptfs",
            "--stdin",
            "--store-password",
            "x11vnc",
            "mkpasswd",
            "unix_chkpwd",
            "veracrypt",
            "sshfs",
            "password_stdin",
            "davfs2",
        ])
        || (has(&["stdin"]) && has(&["openssl"]))
        || (has(&["htpasswd"]) && flag('i'))
        || (has(&["docker", "podman"]) && has(&["secret"]) && has(&["create"]))
        || (has(&["gcloud"]) && has(&["secrets"]))
        || (has(&["vault"]) && has(&["login", "-"]) && has(&["-"]))
        || (has(&["tee", "dd"]) && piece.words.iter().skip(1).any(|word| holds_secrets(&word.text)))
        || (has(&["gh", "wrangler", "pass", "fly", "flyctl"]) && has(&["secret", "secrets", "insert"]));
    let named = has(&["read"]) && piece.words.iter().any(|word| kind(&word.text).is_some());
    (whole || named).then_some(Reads::Whole)
}

/// A file whose name says that it holds a secret.
fn holds_secrets(path: &str) -> bool {
    let name = basename(path.trim_start_matches("of=")).to_ascii_lowercase();
    let stem = name.trim_start_matches('.').split('.').next().unwrap_or_default();
    let system = path.starts_with("/etc/passwd") || path.starts_with("/dev/");
    let known =
        ["pgpass", "vault_pass", "vault-token", "smbcredentials", "chap-secrets", "passwd-s3fs", "git-credentials"];
    !system && (known.iter().any(|known| name.contains(known)) || kind(stem) == Some(Kind::Password) || stem == "token")
}

/// Finds what the pieces feed to each other.
pub(super) fn find(text: &str, pieces: &[Piece], found: &mut Vec<Found>) {
    // Bodies are read once, however many here-documents claim them.
    let mut read = 0;
    for (n, piece) in pieces.iter().enumerate() {
        let from = n + group_end(pieces.get(n..).unwrap_or_default());
        let consumers = pieces.iter().skip(from).take(MAX_GROUP).take_while(|piece| piece.piped).count();
        let reader = pieces.get(from + 1..from + 1 + consumers).unwrap_or_default().iter().find_map(reads);
        let stored = piece.targets.iter().any(|target| holds_secrets(&target.text)).then_some(Reads::Whole);
        if let Some(reads) = reader.or(stored) {
            printed(piece, reads, found);
        } else if !piece.targets.is_empty() || has_tee(pieces.get(n + 1)) {
            setting(piece, found);
        }
        if let Some(reads) = reads(piece) {
            for word in &piece.here_strings {
                add(word, 0, reads, found);
            }
        }
        if !piece.here_docs.is_empty() {
            let line = pieces.iter().skip(n).take(MAX_GROUP).find(|piece| piece.ends_line);
            let line_end = line.map(|piece| piece.end).filter(|end| *end >= read);
            let reader = reads(piece).or(reader).or(stored_body(piece));
            if let (Some(start), Some(reads)) = (line_end, reader) {
                read = body(text, start, &piece.here_docs, reads, found);
            }
        }
    }
}

/// How many pieces on the pipe stands that takes the output of a group: `(a; b) | c`, `{ a; b; } | c`.
fn group_end(pieces: &[Piece]) -> usize {
    let closes =
        |piece: &Piece| piece.piped && piece.words.first().is_none_or(|word| word.text == "}" || word.text == "done");
    pieces.iter().take(MAX_GROUP).position(closes).unwrap_or(0)
}

/// Longest group whose output is followed, and longest pipeline, in commands.
const MAX_GROUP: usize = 16;

/// A here-document into a file of passwords is lines of pairs or of secrets.
fn stored_body(piece: &Piece) -> Option<Reads> {
    piece.targets.iter().any(|target| basename(&target.text).contains("vault_pass")).then_some(Reads::Whole)
}

fn has_tee(piece: Option<&Piece>) -> bool {
    piece.is_some_and(|piece| piece.words.iter().any(|word| word.text == "tee"))
}

/// `echo 'password: X' >> c.yml`: a line of configuration that is written to a file.
fn setting(piece: &Piece, found: &mut Vec<Found>) {
    for word in piece.words.iter().skip(1) {
        let Some((name, value)) = word.text.split_once(": ") else { continue };
        let secret = value.trim().trim_matches(['"', '\'']);
        let from = word.text.len() - value.len() + value.find(secret).unwrap_or(0);
        let Some(kind) = kind(name.trim()).filter(|_| !secret.contains(' ')) else { continue };
        if is_secret(word, from, secret, kind) {
            found.extend(word.source(&(from..from + secret.len())).map(|range| (range, secret.to_owned())));
        }
    }
}

/// The arguments of `echo` and `printf`.
fn printed(piece: &Piece, reads: Reads, found: &mut Vec<Found>) {
    let Some(at) =
        piece.words.iter().position(|word| matches!(word.text.as_str(), "echo" | "printf" | "print" | "yes"))
    else {
        return;
    };
    let words = piece.words.get(at + 1..).unwrap_or_default();
    let flags =
        words.iter().take_while(|word| matches!(word.text.as_str(), "-n" | "-e" | "-ne" | "-en" | "-E" | "--")).count();
    let words = words.get(flags..).unwrap_or_default();
    let template = words.len() > 1 && words.first().is_some_and(|word| word.text.contains('%'));
    for word in words.get(usize::from(template)..).unwrap_or_default() {
        add(word, 0, reads, found);
    }
}

fn add(word: &Word, start: usize, reads: Reads, found: &mut Vec<Found>) {
    let mut at = start;
    for line in word.text.get(start..).unwrap_or_default().split_inclusive('\n') {
        let trimmed = line.trim_end_matches('\n').trim_end_matches("\\n");
        let colon = trimmed.find(':').map_or(0, |colon| colon + 1);
        let from = at + if reads == Reads::Pairs { colon } else { 0 };
        let to = at + trimmed.len();
        let value = word.text.get(from..to).unwrap_or_default();
        if is_secret(word, from, value, Kind::Password) {
            found.extend(word.source(&(from..to)).map(|range| (range, value.to_owned())));
        }
        at += line.len();
    }
}

fn body(text: &str, start: usize, delimiters: &[String], reads: Reads, found: &mut Vec<Found>) -> usize {
    let mut at = start;
    for line in text.get(start..).unwrap_or_default().split_inclusive('\n') {
        let trimmed = line.trim_end_matches(['\n', '\r']);
        if delimiters.iter().any(|delimiter| trimmed.trim_start_matches('\t') == delimiter) {
            return at;
        }
        let colon = trimmed.find(':').map_or(0, |colon| colon + 1);
        let from = if reads == Reads::Pairs { colon } else { 0 };
        let value = trimmed.get(from..).unwrap_or_default();
        if is_secret_text(value, Kind::Password) {
            found.push((at + from..at + trimmed.len(), value.to_owned()));
        }
        at += line.len();
    }
    at
}

/// `name: value` and `name = value` lines of configuration after the first line of a text.
pub(super) fn configuration(text: &str, found: &mut Vec<Found>) {
    let mut at = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let trimmed = line.trim_end_matches(['\n', '\r']);
        let sign = trimmed.find([':', '=']).filter(|_| n > 0);
        if let Some(sign) = sign {
            let name =
                trimmed.get(..sign).unwrap_or_default().trim().trim_start_matches("- ").trim_matches(['"', '\'']);
            let value = trimmed.get(sign + 1..).unwrap_or_default();
            let secret = value.trim().trim_matches(['"', '\'', ',']);
            let named = !name.contains([' ', '$', '(']);
            if let Some(kind) = kind(name).filter(|kind| named && is_secret_text(secret, *kind)) {
                let _ = kind;
                let from = at + sign + 1 + value.find(secret).unwrap_or(0);
                found.push((from..from + secret.len(), secret.to_owned()));
            }
        }
        at += line.len();
    }
}
