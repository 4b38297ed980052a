//! How what was typed and what the screen shows agree.

use crate::command::typed::TypedLine;

/// How a line on the screen and typed keys agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The same text, blanks aside.
    Same,
    /// The keys tell how it begins.
    Begun,
    /// The keys tell only that a line was entered.
    Open,
    /// Nearly the same text.
    Close,
    /// Another text.
    Different,
}

/// The text that the shell got. The screen has what programs made of the keys; the keys have tabs, and what the screen has
/// lost: to a resize, to a gap, to what others printed between.
pub(super) fn choose<'a>(shown: &'a str, typed: &'a TypedLine, agreement: Agreement, doubtful: bool) -> &'a str {
    let (seen, keys) = (shown.trim(), typed.text.trim());
    let keys = match agreement {
        Agreement::Same => typed.exact,
        // What stands around it was printed by others, or left where a shell misjudges the width of its prompt.
        Agreement::Close => seen.contains(keys) || (doubtful && seen.len() < keys.len()),
        _ => false,
    };
    if keys && typed.text.chars().all(|c| c == '\t' || !c.is_control()) { &typed.text } else { shown }
}

/// Compares; blanks do not count, for a screen shows neither tabs nor how many there are at a line's end.
pub(super) fn agreement(line: &TypedLine, shown: &str) -> Agreement {
    let typed: String = line.text.chars().filter(|c| !c.is_whitespace()).collect();
    let shown: String = shown.chars().filter(|c| !c.is_whitespace()).collect();
    if typed == shown {
        return Agreement::Same;
    }
    if line.is_masked() {
        return Agreement::Open;
    }
    if !line.exact {
        let sure = line.text.get(..line.sure).unwrap_or_default();
        let sure: String = sure.chars().filter(|c| !c.is_whitespace()).collect();
        return match shown.starts_with(&sure) {
            true if sure.is_empty() => Agreement::Open,
            true => Agreement::Begun,
            false => Agreement::Different,
        };
    }
    // Keys before the line were for a program that has ended since (`q` of a pager).
    if !shown.is_empty() && typed.ends_with(&shown) {
        return Agreement::Open;
    }
    let shared = common_prefix(typed.chars(), shown.chars()) + common_prefix(typed.chars().rev(), shown.chars().rev());
    let longer = typed.chars().count().max(shown.chars().count());
    let inside =
        shown.len() >= MIN_INSIDE && typed.contains(&shown) || typed.len() >= MIN_INSIDE && shown.contains(&typed);
    if inside || shared * 2 >= longer { Agreement::Close } else { Agreement::Different }
}

/// Shortest text whose appearance inside another is no chance, in bytes.
const MIN_INSIDE: usize = 4;

fn common_prefix(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}
