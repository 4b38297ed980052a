//! Which names announce a secret, and which values are none.

use super::lexer::Word;

/// What kind of secret a name announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A password: whatever follows is it.
    Password,
    /// A key or token: a path or an ARN in its place only says where it is.
    Key,
}

/// Whether a flag, variable, header or field of this name holds a secret. Names are split at signs and capitals; the
/// last part decides, so that `--password-file` and `SECRET_ID` hold none.
pub(super) fn kind(name: &str) -> Option<Kind> {
    if name.len() > MAX_NAME {
        return None;
    }
    let parts = parts(name.trim());
    let (last, before) = parts.split_last()?;
    let last = last.trim_end_matches(|c: char| c.is_ascii_digit());
    let previous = before.last().map_or("", String::as_str);
    if NOT_SECRET.contains(&last) {
        return None;
    }
    if PASSWORDS.iter().any(|word| last.ends_with(word)) || matches!(last, "pw" | "psk" | "psw" | "passcode" | "otp") {
        return Some(Kind::Password);
    }
    if KEYS.iter().any(|word| last.ends_with(word)) {
        return Some(Kind::Key);
    }
    let qualified = match last {
        "key" | "keys" => !before.is_empty() && !PUBLIC_KEYS.contains(&previous),
        "string" | "value" | "binary" | "text" | "data" => {
            matches!(previous, "secret" | "password" | "connection") && (last != "data" || previous == "secret")
        }
        "code" => previous == "token",
        "auth" => {
            let environment = name.contains('_') && !name.bytes().any(|b| b.is_ascii_lowercase());
            name.starts_with('_') || name.contains(":_") || environment
        }
        "authorization" | "cookie" | "cookies" | "sas" => true,
        "pat" => !before.is_empty(),
        _ => false,
    };
    qualified.then_some(Kind::Key)
}

const MAX_NAME: usize = 96;

const PASSWORDS: [&str; 6] = ["password", "passwd", "passphrase", "pass", "pwd", "passwort"];

const KEYS: [&str; 13] = [
    "secret",
    "secrets",
    "token",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
    "authkey",
    "credential",
    "jwt",
    "bearer",
    "connectionstring",
    "masterauth",
];

const NOT_SECRET: [&str; 12] = [
    "bypass",
    "compass",
    "encompass",
    "overpass",
    "underpass",
    "surpass",
    "trespass",
    "oldpwd",
    "authpass",
    "cwpass",
    "nopasswd",
    "nopass",
];

/// What may stand before `key` without making it a secret.
const PUBLIC_KEYS: [&str; 46] = [
    "public",
    "pub",
    "primary",
    "foreign",
    "sort",
    "partition",
    "host",
    "kms",
    "hot",
    "registry",
    "no",
    "s3",
    "object",
    "cache",
    "range",
    "hash",
    "foreground",
    "index",
    "with",
    "group",
    "by",
    "ssh",
    "idempotency",
    "bucket",
    "policy",
    "unique",
    "label",
    "row",
    "section",
    "inner",
    "map",
    "dict",
    "data",
    "join",
    "tag",
    "field",
    "column",
    "config",
    "locate",
    "recv",
    "list",
    "search",
    "export",
    "import",
    "edit",
    "refresh",
];

/// `dbMasterPassword`, `db-master.password` -> `db`, `master`, `password`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        let boundary = !c.is_alphanumeric();
        if boundary || (lower && c.is_uppercase()) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| !boundary) {
            part.extend(c.to_lowercase());
        }
        lower = c.is_lowercase();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Whether a value (a part of a word) is a secret itself, not a reference to one, an empty value or a placeholder.
pub(super) fn is_secret(word: &Word, start: usize, value: &str, kind: Kind) -> bool {
    let literal = word.is_literal(start);
    if value.is_empty()
        || value.starts_with("[masked ")
        || value == "[masked"
        || (!literal && is_reference(value))
        || is_blank(value)
    {
        return false;
    }
    kind == Kind::Password || !is_location(value)
}

/// Whether a text without its quotes is a secret.
pub(super) fn is_secret_text(value: &str, kind: Kind) -> bool {
    is_secret(&Word::default(), 0, value, kind)
}

/// `$X`, `${X}`, `$(…)`, `%X%`, `{{ x }}`, `file://x`: the secret is elsewhere.
fn is_reference(value: &str) -> bool {
    let inside = |open: &str, close: char| {
        value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|rest| !rest.contains(close))
    };
    let variable = value.strip_prefix('$').map(|name| name.trim_start_matches("env:"));
    let named = variable.is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_@*#?!".contains(&b)));
    let elsewhere =
        ["file:", "fileb:", "env:", "fd:", "arn:", "op://", "vault:", "ssm:", "{{", "@/", "@./", "@~", "$((", "$("];
    let stands = ["stdin", "-", "prompt", "ask", "\"", "'"];
    named
        || inside("${", '}')
        || inside("<", '>')
        || (inside("%", '%') && value.len() > 2)
        || (inside("#{", '}'))
        || elsewhere.iter().any(|prefix| value.starts_with(prefix))
        || stands.contains(&value)
}

/// `***`, `xxxx`, `...`, `true`.
fn is_blank(value: &str) -> bool {
    let first = value.chars().next();
    let same = first.is_some_and(|c| "*xX._-#".contains(c)) && value.chars().all(|c| Some(c) == first);
    (same && value.len() > 1)
        || matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "none" | "nil" | "undefined" | "yes" | "no"
        )
}

fn is_location(value: &str) -> bool {
    let lower = value.contains('/') && !value.bytes().any(|b| b.is_ascii_uppercase() || b"=+%$".contains(&b));
    let path =
        lower || value.starts_with(['/', '~']) || value.starts_with("./") || value.starts_with("../") || drive(value);
    let file =
        [".pem", ".key", ".json", ".txt", ".crt", ".cer", ".pub", ".jks", ".p12", ".pfx", ".yml", ".yaml", ".env"];
    (path && !value.ends_with('=') && !value.contains('+')) || file.iter().any(|end| value.ends_with(end))
}

fn drive(value: &str) -> bool {
    matches!(value.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic())
}
