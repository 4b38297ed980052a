//! Secrets that their own form gives away, wherever they stand: key formats, URLs, headers, JSON, SQL.

use std::ops::Range;

use regex::Regex;

use super::name::{self, Kind};

/// Compiled patterns; each captures the secret in group `s`, and some its name in group `n`.
#[derive(Debug)]
pub(super) struct Formats {
    patterns: Vec<Regex>,
}

impl Formats {
    pub(super) fn new() -> Self {
        let formats = KEY_FORMATS.join("|");
        let keys = format!(r"(?:^|[^A-Za-z0-9_])(?P<s>{formats})");
        let patterns = PATTERNS.iter().copied().chain([keys.as_str()]).filter_map(|text| Regex::new(text).ok());
        Self { patterns: patterns.collect() }
    }

    /// The places of secrets in a text.
    pub(super) fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        // Most texts match none, which is found without room for captures.
        for pattern in self.patterns.iter().filter(|pattern| pattern.is_match(text)) {
            for captures in pattern.captures_iter(text) {
                let Some(secret) = captures.name("s") else { continue };
                let kind = match captures.name("n") {
                    Some(name) => name::kind(name.as_str()),
                    None => Some(Kind::Password),
                };
                let scheme = SCHEMES.iter().any(|scheme| secret.as_str().eq_ignore_ascii_case(scheme));
                if !scheme && kind.is_some_and(|kind| name::is_secret_text(secret.as_str(), kind)) {
                    found.push(secret.range());
                }
            }
        }
        if text.contains("pgpass") {
            pgpass(text, found);
        }
    }
}

/// The last field of `host:port:database:user:password`.
fn pgpass(text: &str, found: &mut Vec<Range<usize>>) {
    let Ok(line) = Regex::new(r#"(?m)[^\s:'"]+:(?:\d+|\*):[^\s:'"]*:[^\s:'"]+:(?P<s>[^\s'"]+)"#) else { return };
    for captures in line.captures_iter(text) {
        let secret = captures.name("s").filter(|secret| name::is_secret_text(secret.as_str(), Kind::Password));
        found.extend(secret.map(|secret| secret.range()));
    }
}

/// Words that stand between `Authorization:` and the secret.
const SCHEMES: [&str; 8] = ["basic", "bearer", "token", "digest", "negotiate", "ntlm", "apikey", "splunk"];

/// Formats that the issuers document for their keys.
const KEY_FORMATS: [&str; 34] = [
    // AWS: access key ids (the secret half has no form of its own) and session tokens.
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{12,}",
    r"(?:FwoGZXIvYXdzE|IQoJb3JpZ2lu|FQoGZXIvYXdzE|AQoDYXdzE)[A-Za-z0-9+/=]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|oas)-[A-Za-z0-9_.\-]{16,}",
    r"xox[abeposr](?:\.xox[bp])?-[A-Za-z0-9\-]{8,}",
    r"xapp-[0-9]-[A-Za-z0-9\-]{8,}",
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}",
    r"whsec_[A-Za-z0-9+/=]{16,}",
    r"npm_[A-Za-z0-9]{20,}",
    r"pypi-[A-Za-z0-9_\-]{16,}",
    r"AIza[A-Za-z0-9_\-]{30,}",
    r"ya29\.[A-Za-z0-9_\-]{10,}",
    r"GOCSPX-[A-Za-z0-9_\-]{10,}",
    r"1//0[A-Za-z0-9_\-]{20,}",
    r"SG\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}",
    r"key-[0-9a-f]{32}",
    r"sk-(?:[a-z]+[0-9]*-)*[A-Za-z0-9_\-]{20,}",
    r"hf_[A-Za-z0-9]{20,}",
    r"do[opr]_v1_[0-9a-f]{32,}",
    r"hv[sbr]\.[A-Za-z0-9_\-]{10,}",
    r"eyJ[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*){0,3}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{20,}",
    r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{16,}",
    r"sq0(?:atp|csp|idp)-[A-Za-z0-9_\-]{16,}",
    r"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{16,}",
    r"tskey-[A-Za-z0-9\-]{8,}",
    r"ATATT3[A-Za-z0-9_\-=]{16,}",
    r"NRAK-[A-Z0-9]{16,}",
    r"glc_[A-Za-z0-9+/=]{16,}|glsa_[A-Za-z0-9_]{16,}",
    r"rubygems_[0-9a-f]{16,}|lin_api_[A-Za-z0-9]{16,}|figd_[A-Za-z0-9_\-]{16,}|ntn_[A-Za-z0-9]{16,}",
    r"dapi[0-9a-f]{32}|dt0[a-z][0-9]{2}\.[A-Z0-9]{20,}\.[A-Z0-9]{20,}",
    r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{20,}",
    // crypt(3) hashes.
    r"\$(?:1|2[abxy]|5|6|7|y|gy|apr1|sha1|argon2(?:id|i|d))\$[A-Za-z0-9./,=+$\-]{8,}",
];

const PATTERNS: [&str; 21] = [
    // Private keys, whole or cut.
    r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?P<s>.+?)(?:-----END|$)",
    r"(?s)Private-Lines: \d+(?P<s>.+?)(?:Private-MAC|$)",
    // URLs: the password of the userinfo, or a token alone in it.
    r#"[A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@'"?#]*:(?P<s>[^\s/'"]+)@"#,
    r#"[A-Za-z][A-Za-z0-9+.\-]*://(?P<s>[^\s/:@'"?#]{12,})@"#,
    r"hooks\.slack\.com/(?:services|workflows)/(?P<s>[A-Za-z0-9/_\-]+)",
    r"(?:discord(?:app)?\.com/api/webhooks/\d+|api\.telegram\.org/bot\d+:?)[/:]?(?P<s>[A-Za-z0-9_\-]{16,})",
    r##"[?&](?:sig|signature|[Xx]-[Aa]mz-(?:[Ss]ignature|[Ss]ecurity-[Tt]oken)|X-Goog-Signature|auth|jwt|key|code)=(?P<s>[^&\s'"#]+)"##,
    r##"[?&](?P<n>[A-Za-z0-9_.\-]{1,64})=(?P<s>[^&\s'"#]+)"##,
    // Headers.
    r#"(?i)\bauthorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|token|digest|negotiate|ntlm|apikey|splunk|aws4-hmac-sha256)\s+)(?P<s>[^"'\r\n]+)"#,
    r#"(?i)\bauthorization["']?\s*:\s*["']?(?P<s>[^\s"']+)(?:["'\s]|$)"#,
    r"(?i)\bbearer\s+(?P<s>[A-Za-z0-9._~+/\-]{16,}=*)",
    r#"(?i)\b(?:set-)?cookie:\s*(?P<s>[^"'\r\n]+)"#,
    r#"(?i)\b(?P<n>(?:[a-z0-9]+-){1,4}(?:token|key|secret|password|auth))\s*:\s?(?P<s>[^\s"'{}\[\],/]{6,})"#,
    // JSON and its like, quotes perhaps escaped.
    r#"\\?["'](?P<n>[A-Za-z0-9_.\-]{1,64})\\?["']\s*(?::|=>)\s*\\?"(?P<s>(?:[^"\\]|\\[^"])+)\\?""#,
    r#"["'](?P<n>[A-Za-z0-9_.\-]{1,64})["']\s*(?::|=>)\s*'(?P<s>[^']+)'"#,
    // Calls: `SetEnvironmentVariable('X', 'y')`, `auth=('user', 'password')`.
    r#"\(\s*\\?["'](?P<n>[A-Za-z0-9_.\-]{1,64})\\?["']\s*,\s*\\?["'](?P<s>[^"'\\]+)"#,
    r#"\b(?:auth|basic_auth)\s*[=(]\s*\(?\s*\\?["'][^"']*["']\s*,\s*\\?["'](?P<s>[^"'\\]+)"#,
    // SQL.
    r#"(?i)\b(?:identified\s+(?:with\s+\S+\s+)?by(?:\s+password)?|(?:user|role|login)\s+\S+\s+(?:with\s+)?(?:(?:superuser|login|createdb|encrypted)\s+)*password\s*=?|set\s+password(?:\s+for\s+\S+)?\s*=|password\s*\()\s*(?:password\s*\()?\s*N?\\?["'](?P<s>[^"'\\]+)"#,
    // netrc, and expect's answer to a password prompt.
    r#"(?i)\b(?:machine|login)\s+\S+\s+(?:login\s+\S+\s+)?password\s+(?P<s>\S+?)(?:["'\s]|\\n|$)"#,
    r#"(?i)assw[^\n]{0,80}?\bsend(?:\s+--)?\s+\\?["{](?P<s>[^"\\}]+)"#,
    r"(?i)\bAccountKey=(?P<s>[A-Za-z0-9+/=]+)",
];
