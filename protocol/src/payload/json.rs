use std::borrow::Cow;

use serde_json::Value;
use thiserror::Error;

/// Deepest nesting of arrays and objects that is read. Upstream's own messages reach 5.
pub const MAX_JSON_DEPTH: usize = 64;
/// Longest JSON text that is read, in bytes.
pub const MAX_JSON_LENGTH: usize = crate::frame::MAX_MESSAGE_LENGTH;

/// Why a text is not JSON. Holds positions, never the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON.
    #[error("no JSON at line {line}, column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1; 0 at a line's very start.
        column: usize,
    },
    /// JSON, but neither an object nor `null`.
    #[error("the JSON is no object but {found}")]
    NotAnObject {
        /// Kind of the value.
        found: &'static str,
    },
    /// Nested deeper than [`MAX_JSON_DEPTH`].
    #[error("JSON nested deeper than {MAX_JSON_DEPTH}, at offset {offset}")]
    TooDeep {
        /// Offset of the bracket that goes too deep.
        offset: usize,
    },
    /// Longer than [`MAX_JSON_LENGTH`].
    #[error("{length} bytes of JSON, more than {MAX_JSON_LENGTH}")]
    TooLong {
        /// Bytes of the text.
        length: usize,
    },
}

/// Reads JSON as Go does: bytes that are not UTF-8 and unpaired surrogate escapes become U+FFFD instead of errors.
///
/// # Errors
/// When the text is no JSON, or exceeds a limit.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    if text.len() > MAX_JSON_LENGTH {
        return Err(JsonError::TooLong { length: text.len() });
    }
    let text = pair_surrogates(String::from_utf8_lossy(text));
    limit_depth(&text)?;
    serde_json::from_str(&text).map_err(|error| JsonError::Syntax { line: error.line(), column: error.column() })
}

/// Writes JSON as Go does: compact, with `<`, `>`, `&`, U+2028 and U+2029 escaped.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    for char in value.to_string().chars() {
        match char {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}

/// Name of a value's kind, for errors.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether Go takes `key` for the struct field `name` (ASCII): equal under simple Unicode case folding, which beside
/// ASCII case maps only the Kelvin sign to k and the long s to s.
pub(super) fn folds_to(key: &str, name: &str) -> bool {
    let mut name = name.bytes();
    let all = key.chars().all(|char| {
        let folded = match char {
            '\u{212a}' => 'k',
            '\u{17f}' => 's',
            other => other,
        };
        name.next().is_some_and(|byte| folded.eq_ignore_ascii_case(&char::from(byte)))
    });
    all && name.next().is_none()
}

fn limit_depth(text: &str) -> Result<(), JsonError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' if depth == MAX_JSON_DEPTH => return Err(JsonError::TooDeep { offset }),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Puts `\ufffd` in place of every surrogate escape without its other half: `serde_json` refuses what Go lets pass.
fn pair_surrogates(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains("\\u") && !text.contains("\\U") {
        return text;
    }
    let mut repaired = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        repaired.push_str(before);
        let length = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(Half::High), Some(Half::Low)) => 12,
            (Some(_), _) => {
                repaired.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            // An escape is two characters at least; the second is never the start of another.
            (None, _) => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (escape, behind) = escape.split_at(length);
        repaired.push_str(escape);
        rest = behind;
    }
    repaired.push_str(rest);
    Cow::Owned(repaired)
}

enum Half {
    High,
    Low,
}

fn surrogate(escape: &str) -> Option<Half> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_lets_pass_is_read() {
        let cases: [(&str, &[u8], &str); 6] = [
            ("lone high surrogate", br#"["\ud83dx"]"#, "[\"\u{fffd}x\"]"),
            ("lone low surrogate", br#"["\ude00"]"#, "[\"\u{fffd}\"]"),
            ("pair", br#"["\ud83d\ude00"]"#, "[\"\u{1f600}\"]"),
            ("two high ones and a low one", br#"["\ud83d\ud83d\ude00"]"#, "[\"\u{fffd}\u{1f600}\"]"),
            ("an escaped backslash before u", br#"["\\ud83d"]"#, r#"["\\ud83d"]"#),
            ("not UTF-8", b"[\"\xff\"]", "[\"\u{fffd}\"]"),
        ];
        for (case, text, expected) in cases {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{case}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(deep(MAX_JSON_DEPTH).as_bytes()).is_ok());
        let error = parse(deep(MAX_JSON_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(error, JsonError::TooDeep { offset: MAX_JSON_DEPTH });
        assert!(parse(br#"["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]"#).is_ok());
    }

    #[test]
    fn keys_fold_as_in_go() {
        assert!(folds_to("agentversion", "AgentVersion"));
        assert!(folds_to("Ta\u{17f}\u{212a}Id", "TaskId"));
        assert!(!folds_to("AgentVersio", "AgentVersion"));
        assert!(!folds_to("AgentVersion ", "AgentVersion"));
    }

    #[test]
    fn html_characters_are_escaped_on_write() {
        assert_eq!(write(&Value::from("a<b>&\u{2028}")), r#""a\u003cb\u003e\u0026\u2028""#);
    }
}
