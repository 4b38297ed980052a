use std::ops::Range;

/// Something in the output that a reader of the terminal did not see, or did not see for what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Bytes of the output that did it.
    pub offset: Range<u64>,
    /// Row of the cursor at that time.
    pub row: u16,
    /// What it is.
    pub kind: NoteKind,
    /// The text in question, cut at [`MAX_NOTE`]; controls included, so escape it before it is shown.
    pub text: String,
}

/// What a [`Note`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NoteKind {
    /// Text printed so that a terminal shows nothing (SGR 8).
    Concealed,
    /// Text on the primary screen that was erased.
    Erased,
    /// Text on the primary screen that other text took the place of.
    Overwritten,
    /// The window's title was set.
    Title,
    /// The clipboard was set or asked for (OSC 52).
    Clipboard,
    /// What follows is a link to this place (OSC 8), whatever it says.
    Link,
    /// A character that reorders or hides text: bidi control, zero-width character, tag.
    Invisible,
    /// The body of a sequence that no terminal shows (DCS, APC, PM, SOS, or an unknown OSC).
    Unshown,
}

impl NoteKind {
    /// `concealed`, `erased`, `overwritten`, `title`, `clipboard`, `link`, `invisible` or `unshown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Concealed => "concealed",
            Self::Erased => "erased",
            Self::Overwritten => "overwritten",
            Self::Title => "title",
            Self::Clipboard => "clipboard",
            Self::Link => "link",
            Self::Invisible => "invisible",
            Self::Unshown => "unshown",
        }
    }
}

/// Characters of text that a note keeps.
pub const MAX_NOTE: usize = 512;

/// The beginning of a text, as much of it as a note keeps.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(MAX_NOTE).collect()
}

/// Bidi controls, zero-width characters, line separators, tags (UAX 9, TR 36).
pub(super) fn hides(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What an OSC amounts to, of what a reader should know; `None` for what only moves no text (colours, prompt marks).
pub(super) fn of_osc(text: &[u8]) -> Option<(NoteKind, String)> {
    let text = String::from_utf8_lossy(text);
    let (number, rest) = text.split_once(';').unwrap_or((&text, ""));
    let kind = match number {
        "0" | "1" | "2" => NoteKind::Title,
        "52" => NoteKind::Clipboard,
        "8" => NoteKind::Link,
        // Colours, the working directory, prompt marks: shells and programs set them all the time.
        "4" | "7" | "9" | "10" | "11" | "12" | "104" | "110" | "111" | "112" | "133" | "633" | "1337" | "3008" => {
            return None;
        }
        _ => return Some((NoteKind::Unshown, cut(&text))),
    };
    let rest = if kind == NoteKind::Link { rest.split_once(';').map_or("", |(_, url)| url) } else { rest };
    if kind == NoteKind::Link && rest.is_empty() {
        return None;
    }
    Some((kind, cut(rest)))
}
