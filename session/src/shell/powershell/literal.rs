//! Literal strings of PowerShell and what joins them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest expression in parentheses that is computed, in bytes.
const MAX_EXPRESSION: usize = 16 * 1024;

/// A `'…'` string at the start of a text, and its length there.
pub(super) fn single(text: &str) -> (String, usize) {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
                out.push('\'');
            }
            '\'' => return (out, at + 1),
            c => out.push(c),
        }
    }
    (out, text.len())
}

/// A `"…"` string at the start of a text; variables stay as written.
pub(super) fn double(text: &str) -> (String, usize) {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                out.push('"');
            }
            '"' => return (out, at + 1),
            '`' => out.extend(chars.next().map(|(_, c)| escaped(c))),
            c => out.push(c),
        }
    }
    (out, text.len())
}

fn escaped(c: char) -> char {
    match c {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '0' => '\0',
        'a' => '\u{7}',
        'e' => '\u{1b}',
        c => c,
    }
}

/// The value of an expression of literals: strings, `+`, `-f`, `-join`, `[char]N`, `-replace`.
pub(super) fn value(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > MAX_EXPRESSION || !text.starts_with(['\'', '"', '[', '(']) {
        return None;
    }
    let (mut items, mut rest) = operands(text)?;
    loop {
        rest = rest.trim_start();
        let lower = rest.get(..9).unwrap_or(rest).to_ascii_lowercase();
        if rest.is_empty() {
            return Some(items.concat()).filter(|_| items.len() == 1);
        } else if lower.starts_with("-f") {
            let (arguments, after) = operands(rest.get(2..)?)?;
            items = vec![format(items.first()?, &arguments)];
            rest = after;
        } else if lower.starts_with("-join") {
            let (separator, after) = operands(rest.get(5..)?)?;
            items = vec![items.join(separator.first()?)];
            rest = after;
        } else if lower.starts_with("-replace") {
            let (pair, after) = operands(rest.get(8..)?)?;
            let with = pair.get(1).map_or("", String::as_str);
            items = items.iter().map(|item| item.replace(pair.first().map_or("\0", String::as_str), with)).collect();
            rest = after;
        } else {
            return None;
        }
    }
}

/// Strings joined by `+`, several separated by `,`.
fn operands(text: &str) -> Option<(Vec<String>, &str)> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let (mut item, after) = operand(rest)?;
        rest = after.trim_start();
        while let Some(after) = rest.strip_prefix('+') {
            let (more, after) = operand(after.trim_start())?;
            item.push_str(&more);
            rest = after.trim_start();
        }
        items.push(item);
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None => return Some((items, rest)),
        }
    }
}

fn operand(text: &str) -> Option<(String, &str)> {
    if text.starts_with('\'') {
        let (value, len) = single(text);
        return Some((value, text.get(len..)?));
    }
    if text.starts_with('"') {
        let (value, len) = double(text);
        return Some((value, text.get(len..)?)).filter(|(value, _)| !value.contains('$'));
    }
    let lower = text.get(..6)?.to_ascii_lowercase();
    let number = text.get(6..)?.trim_start();
    if lower != "[char]" {
        return None;
    }
    let len = number.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let digits = number.get(..len)?;
    let code = match digits.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some((char::from_u32(code)?.to_string(), number.get(len..)?))
}

/// `{0}{1}` with its arguments put in.
fn format(template: &str, arguments: &[String]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((index, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        out.extend(index.trim().parse::<usize>().ok().and_then(|at| arguments.get(at)).map(String::as_str));
        rest = after;
    }
    out + rest
}

/// The text of `-EncodedCommand`: base64 of UTF-16LE.
pub(super) fn utf16_base64(text: &str) -> Option<String> {
    let padded =
        format!("{}{}", text.trim_end_matches('='), "=".repeat((4 - text.trim_end_matches('=').len() % 4) % 4));
    let bytes = STANDARD.decode(padded).ok()?;
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| pair.iter().rev().fold(0, |u, b| (u << 8) | u16::from(*b))).collect();
    Some(String::from_utf16_lossy(&units))
}
