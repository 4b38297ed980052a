//! Case folding: Unicode's simple folding, one character to one character.
//!
//! Sigma compares without regard to case. Folding only ASCII would let `ſudo` or the Kelvin sign through where a
//! case-insensitive file system or shell sees `sudo` or `k`, so both the patterns and the values pass through here.
//! Source: Unicode `CaseFolding.txt`, statuses C and S.

use std::borrow::Cow;

/// The text with every character folded; borrowed where nothing changes.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    if text.is_ascii() {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Owned(text.chars().map(fold_char).collect())
}

/// One representative of all characters that differ from `c` in case only.
pub(crate) fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    match c {
        // The dotless i is equal to i in Turkic languages only.
        'ı' => c,
        // Pairs whose upper case is more than one character, so that it does not join them.
        '\u{1fd3}' => '\u{390}',
        '\u{1fe3}' => '\u{3b0}',
        '\u{fb05}' => '\u{fb06}',
        'ᾀ'..='ᾯ' | 'ᾳ' | 'ᾼ' | 'ῃ' | 'ῌ' | 'ῳ' | 'ῼ' => single(c.to_lowercase()).unwrap_or(c),
        _ => {
            let upper = single(c.to_uppercase()).unwrap_or(c);
            single(upper.to_lowercase()).unwrap_or(upper)
        }
    }
}

/// Byte offset in `raw` of the character that begins at byte `folded` of its folded copy.
pub(crate) fn raw_offset(raw: &str, folded: usize) -> usize {
    let mut at = 0;
    for (offset, c) in raw.char_indices() {
        if at >= folded {
            return offset;
        }
        at += fold_char(c).len_utf8();
    }
    raw.len()
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

    use super::*;

    /// The regex crate carries Unicode's folding table: every character must fold as its orbit there does.
    #[test]
    fn folds_as_unicode_says() {
        // The standard library may know a later Unicode than the regex crate.
        let unassigned = regex::Regex::new(r"^\p{Unassigned}$").unwrap();
        let mut wrong = Vec::new();
        for c in '\0'..=char::MAX {
            let mut orbit = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
            orbit.case_fold_simple();
            let members: Vec<char> = orbit.iter().flat_map(|range| range.start()..=range.end()).collect();
            let differs =
                members.iter().any(|&other| fold_char(other) != fold_char(c)) || !members.contains(&fold_char(c));
            if differs && !unassigned.is_match(c.encode_utf8(&mut [0; 4])) {
                wrong.push((c, fold_char(c), members));
            }
        }
        assert!(wrong.is_empty(), "{} wrong: {wrong:?}", wrong.len());
    }

    #[test]
    fn maps_offsets_back() {
        let raw = "a\u{212a}é\u{17f}X";
        assert_eq!(fold(raw), "akésx");
        let at: Vec<usize> = (0..=6).map(|offset| raw_offset(raw, offset)).collect();
        assert_eq!(at, [0, 1, 4, 6, 6, 8, 9]);
    }
}
