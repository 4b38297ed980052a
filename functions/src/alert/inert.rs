//! Hostile text made inert.
//!
//! What is replaced is replaced visibly, so that nobody takes the text for what was typed: the evidence holds that.

use std::fmt::Write as _;

/// Most characters of a command, and of any text in a machine form.
pub const TEXT_LIMIT: usize = 2000;
/// Most characters of a name: a principal, a target, a path, a user agent, a reason.
pub const NAME_LIMIT: usize = 300;
/// Most entries of a list: other findings, notes, arguments.
pub const LIST_LIMIT: usize = 64;
/// Most characters of an SNS subject.
pub const SUBJECT_LIMIT: usize = 100;
/// Most bytes of an SNS message with its attributes.
pub const MESSAGE_LIMIT: usize = 256 * 1024;
/// Most bytes of the human form: what a mail program shows without complaint.
pub const HUMAN_LIMIT: usize = 32 * 1024;
/// Most characters of the chat form's description.
pub const CHAT_LIMIT: usize = 8000;

/// One line of plain text: controls, line ends, and characters that hide or reorder text become escapes; links and
/// mentions are broken; at most `limit` characters remain, and the number of those cut off is said.
///
/// ```
/// use warden_functions::alert::inert::line;
/// assert_eq!(line("\u{1b}[2Jcurl http://evil.example\n@here", 100), r"\x1b[2Jcurl http[:]//evil[.]example\n[@]here");
/// assert_eq!(line("aaaaaa", 4), "aaaa…[2 more]");
/// ```
pub fn line(text: &str, limit: usize) -> String {
    let mut kept: String = text.chars().take(limit).collect();
    let cut = text.chars().count().saturating_sub(limit);
    // A link of Markdown is `[text](address)`.
    kept = visible(&kept).replace("](", "] (");
    if cut > 0 {
        let _ = write!(kept, "…[{cut} more]");
    }
    kept
}

/// Several lines of plain text: as [`line()`], but line feeds remain.
pub fn lines(text: &str, limit: usize) -> Vec<String> {
    let kept: String = text.chars().take(limit).collect();
    let cut = text.chars().count().saturating_sub(limit);
    let mut lines: Vec<String> = kept.split('\n').map(|one| line(one, limit)).collect();
    if let (Some(last), true) = (lines.last_mut(), cut > 0) {
        let _ = write!(last, "…[{cut} more]");
    }
    lines
}

/// Text for a chat message: as [`line()`], and nothing that a chat program takes for markup, a mention or an entity.
pub fn chat(text: &str, limit: usize) -> String {
    let inert = |c| match c {
        '*' => '∗',
        '_' => '＿',
        '~' => '∼',
        '|' => '¦',
        '#' => '＃',
        other => entity(other),
    };
    line(text, limit).chars().map(inert).collect()
}

/// Text for a code span of a chat message, which only a backtick ends; entities are read even there.
pub fn code(text: &str, limit: usize) -> String {
    format!("`{}`", line(text, limit).chars().map(entity).collect::<String>())
}

fn entity(c: char) -> char {
    match c {
        '<' => '‹',
        '>' => '›',
        '&' => '＆',
        '`' => '´',
        other => other,
    }
}

/// ASCII for a mail's subject.
pub fn subject(text: &str) -> String {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let ascii: String = line(text, SUBJECT_LIMIT * 2).replace('…', "...").chars().map(printable).collect();
    let ascii = ascii.trim();
    if ascii.len() <= SUBJECT_LIMIT {
        return ascii.to_owned();
    }
    format!("{}...", ascii.get(..SUBJECT_LIMIT - 3).unwrap_or_default().trim_end())
}

/// Characters that are not seen, or that change the order of those that are (UAX 9, TR 36): format characters, blanks of
/// other widths, line separators, fillers, variation selectors, tags, private use.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{115f}' | '\u{1160}'
        | '\u{1680}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{f0000}'..='\u{10ffff}')
}

/// Shows what is not seen, and breaks what programs make clickable: schemes, host names, mentions.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        let before = text.get(..at).unwrap_or_default();
        let behind = text.get(at + c.len_utf8()..).unwrap_or_default();
        let last = before.chars().next_back().filter(|c| is_word(*c));
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => drop(write!(out, "\\x{:02x}", u32::from(c))),
            _ if is_unseen(c) => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
            ':' if is_link(before, last, behind) => out.push_str("[:]"),
            '@' if last.is_none() && behind.starts_with(is_word) => out.push_str("[@]"),
            '.' if (last.is_some() && is_domain_end(behind)) || ends_with_www(before) => out.push_str("[.]"),
            _ => out.push(c),
        }
    }
    out
}

/// Whether a colon makes a link of what stands around it. Nothing opens the schemes of our own paths.
fn is_link(before: &str, last: Option<char>, behind: &str) -> bool {
    if behind.starts_with("//") {
        let own = |scheme: &str| {
            before.strip_suffix(scheme).is_some_and(|start| !start.chars().next_back().is_some_and(is_word))
        };
        return !own("s3") && !own("cloudwatch");
    }
    last.is_some() && is_bare_scheme(before)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Schemes that need no `//`.
fn is_bare_scheme(before: &str) -> bool {
    let lower: String = before.chars().rev().take(10).map(|c| c.to_ascii_lowercase()).collect();
    ["mailto", "tel", "sms", "javascript", "data", "vbscript"]
        .iter()
        .any(|scheme| lower.strip_prefix(&reversed(scheme)).is_some_and(|rest| !rest.starts_with(is_word)))
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

fn ends_with_www(before: &str) -> bool {
    before.len() >= 3 && before.get(before.len() - 3..).is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// Whether a dot in front of this text is the last of a host name that mail programs link: a top-level domain follows, and
/// behind it no letter. Endings that are file names far more often than hosts are left alone unless a path or port follows.
fn is_domain_end(behind: &str) -> bool {
    let label: String = behind.chars().take_while(|c| is_word(*c)).collect();
    let next = behind.get(label.len()..).and_then(|rest| rest.chars().next());
    let lower = label.to_ascii_lowercase();
    let is_name = (2..=24).contains(&lower.len()) && lower.chars().all(char::is_alphabetic);
    let linked = LINKED.contains(&lower.as_str());
    (is_name && next == Some('/')) || (linked && !next.is_some_and(is_word)) || lower.starts_with("xn--")
}

/// Top-level domains that mail and chat programs link without a scheme, and that name no usual kind of file.
const LINKED: &[&str] = &[
    "com",
    "net",
    "org",
    "edu",
    "gov",
    "mil",
    "int",
    "info",
    "biz",
    "io",
    "co",
    "dev",
    "app",
    "ai",
    "xyz",
    "top",
    "site",
    "online",
    "club",
    "shop",
    "store",
    "live",
    "link",
    "click",
    "cloud",
    "tech",
    "me",
    "tv",
    "cc",
    "ws",
    "ru",
    "cn",
    "de",
    "uk",
    "fr",
    "nl",
    "eu",
    "us",
    "ca",
    "au",
    "jp",
    "kr",
    "in",
    "br",
    "it",
    "es",
    "se",
    "no",
    "fi",
    "dk",
    "ch",
    "at",
    "be",
    "cz",
    "ua",
    "ir",
    "tk",
    "ga",
    "gq",
    "cf",
    "example",
    "onion",
    "page",
    "goog",
    "amazonaws",
    "aws",
];
