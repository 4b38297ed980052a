//! Walks the JSON of a HAR in pieces: entries, their URLs, their WebSocket messages.

/// What the walk meets.
#[derive(Debug, PartialEq)]
pub(super) enum Step<'a> {
    /// An element of `log.entries` begins.
    Entry,
    /// `request.url` of the entry: the string with its quotes.
    Url(&'a [u8]),
    /// An element of the entry's `_webSocketMessages`.
    Message {
        /// Offset of its first byte.
        offset: u64,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A message longer than the limit.
    Long {
        /// Offset of its first byte.
        offset: u64,
    },
    /// What is no JSON from here on; the walk goes on at the next message.
    Broken {
        /// Offset of the first byte that is none.
        offset: u64,
    },
}

/// Deepest nesting that is followed; HAR needs 6.
const MAX_DEPTH: usize = 512;
/// Longest key that is compared.
const MAX_KEY: usize = 32;
/// Longest URL that is kept, with its quotes.
const MAX_URL: usize = 8194;

/// The push machine.
#[derive(Debug)]
pub(super) struct Walk {
    /// Most bytes of a message.
    limit: usize,
    /// Offset of the next byte.
    at: u64,
    levels: Vec<Level>,
    string: Option<Text>,
    escape: bool,
    /// Bytes of the string that is being read, if it is a key or the URL.
    text: Vec<u8>,
    /// The message that is being read: offset and bytes.
    message: Option<(u64, Vec<u8>)>,
    is_long: bool,
    /// While the JSON is broken: how much of `{"type"` was met.
    search: Option<usize>,
}

#[derive(Debug)]
struct Level {
    is_object: bool,
    /// The key whose value comes, in an object.
    key: Vec<u8>,
    /// Whether a key is expected next.
    wants_key: bool,
}

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Key,
    Url,
    Other,
}

const MESSAGES: &[u8] = b"_webSocketMessages";
const NEEDLE: &[u8] = b"{\"type\"";

type Sink<'s> = &'s mut dyn FnMut(Step<'_>);

impl Walk {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            at: 0,
            levels: Vec::new(),
            string: None,
            escape: false,
            text: Vec::new(),
            message: None,
            is_long: false,
            search: None,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], sink: Sink<'_>) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            if self.string.is_some() && !self.escape {
                let run = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                if run > 0 {
                    let (inside, after) = rest.split_at(run);
                    self.keep(inside);
                    self.at += run as u64;
                    rest = after;
                    continue;
                }
            }
            match self.search {
                Some(matched) => self.seek(byte, matched),
                None => self.byte(byte, sink),
            }
            self.at += 1;
            rest = rest.get(1..).unwrap_or_default();
        }
    }

    /// Where the JSON is cut, if it is.
    pub(super) fn cut(&self) -> Option<u64> {
        let open = !self.levels.is_empty() || self.string.is_some() || self.search.is_some();
        open.then(|| self.message.as_ref().map_or(self.at, |(offset, _)| *offset))
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some((_, message)) = &mut self.message {
            if message.len() + bytes.len() > self.limit {
                self.is_long = true;
                *message = Vec::new();
            } else if !self.is_long {
                message.extend_from_slice(bytes);
            }
        }
        let room = match self.string {
            Some(Text::Key) => MAX_KEY,
            Some(Text::Url) => MAX_URL,
            Some(Text::Other) | None => 0,
        };
        if self.text.len() < room {
            self.text.extend_from_slice(bytes);
        }
    }

    fn byte(&mut self, byte: u8, sink: Sink<'_>) {
        if self.string.is_some() {
            return self.string_byte(byte, sink);
        }
        match byte {
            b'{' | b'[' => return self.opens(byte, sink),
            b'}' | b']' => {
                let is_object = self.levels.pop().map(|level| level.is_object);
                if is_object != Some(byte == b'}') {
                    return self.broken(sink);
                }
                self.keep(&[byte]);
                self.closes(sink);
                return;
            }
            b'"' => {
                self.text.clear();
                self.string = Some(self.kind_of_string());
            }
            b',' => self.expect_key(true),
            b':' => self.expect_key(false),
            // White space, numbers, true, false and null.
            b' '
            | b'\t'
            | b'\r'
            | b'\n'
            | b'0'..=b'9'
            | b'-'
            | b'+'
            | b'.'
            | b'E'
            | b'a'
            | b'e'
            | b'f'
            | b'l'
            | b'n'
            | b'r'
            | b's'
            | b't'
            | b'u' => {}
            0xef | 0xbb | 0xbf if self.at < 3 => {}
            _ => return self.broken(sink),
        }
        self.keep(&[byte]);
    }

    fn expect_key(&mut self, wants: bool) {
        if let Some(level) = self.levels.last_mut() {
            level.wants_key = wants && level.is_object;
        }
    }

    fn string_byte(&mut self, byte: u8, sink: Sink<'_>) {
        self.keep(&[byte]);
        if std::mem::take(&mut self.escape) {
            return;
        }
        if byte == b'\\' {
            self.escape = true;
            return;
        }
        let kind = self.string.take();
        if kind == Some(Text::Key) {
            if let Some(level) = self.levels.last_mut() {
                // Without its quotes.
                level.key = self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or_default().to_vec();
            }
        } else if kind == Some(Text::Url) {
            sink(Step::Url(&self.text));
        }
    }

    fn kind_of_string(&self) -> Text {
        match self.levels.last() {
            Some(level) if level.is_object && level.wants_key => Text::Key,
            Some(level) if level.key == b"url" && self.is_at(&[b"log", b"entries", b"", b"request", b"url"]) => {
                Text::Url
            }
            _ => Text::Other,
        }
    }

    fn opens(&mut self, byte: u8, sink: Sink<'_>) {
        if self.levels.len() >= MAX_DEPTH {
            return self.broken(sink);
        }
        let is_object = byte == b'{';
        if is_object && self.is_at(&[b"log", b"entries", b""]) {
            sink(Step::Entry);
        }
        if is_object && self.message.is_none() && self.is_at(&[b"log", b"entries", b"", MESSAGES, b""]) {
            self.message = Some((self.at, Vec::new()));
            self.is_long = false;
        }
        self.keep(&[byte]);
        self.levels.push(Level { is_object, key: Vec::new(), wants_key: is_object });
    }

    fn closes(&mut self, sink: Sink<'_>) {
        if self.message.is_none() || !self.is_at(&[b"log", b"entries", b"", MESSAGES, b""]) {
            return;
        }
        if let Some((offset, bytes)) = self.message.take() {
            if self.is_long {
                sink(Step::Long { offset });
            } else {
                sink(Step::Message { offset, bytes: &bytes });
            }
        }
    }

    /// Whether the next value is at this path; an empty name is an element of an array.
    fn is_at(&self, path: &[&[u8]]) -> bool {
        self.levels.len() == path.len()
            && self
                .levels
                .iter()
                .zip(path)
                .all(|(level, name)| level.is_object != name.is_empty() && level.key == *name)
    }

    /// Gives up the structure: reading goes on at the next object whose first key is `type`, as a message of this entry.
    fn broken(&mut self, sink: Sink<'_>) {
        let offset = self.message.take().map_or(self.at, |(offset, _)| offset);
        sink(Step::Broken { offset });
        self.string = None;
        self.escape = false;
        self.search = Some(0);
    }

    fn seek(&mut self, byte: u8, matched: usize) {
        let expected = NEEDLE.get(matched).copied();
        let skips = byte.is_ascii_whitespace() && matched == 1;
        if !skips {
            self.search = Some(match (expected == Some(byte), byte == b'{') {
                (true, _) => matched + 1,
                (false, true) => 1,
                (false, false) => 0,
            });
        }
        if byte == b'{' {
            self.message = Some((self.at, Vec::new()));
        }
        if self.search == Some(NEEDLE.len()) {
            self.search = None;
            self.is_long = false;
            let offset = self.message.take().map_or(self.at, |(offset, _)| offset);
            self.message = Some((offset, NEEDLE.to_vec()));
            let object = |key: &[u8]| Level { is_object: true, key: key.to_vec(), wants_key: false };
            let array = || Level { is_object: false, key: Vec::new(), wants_key: false };
            self.levels = vec![object(b"log"), object(b"entries"), array(), object(MESSAGES), array(), object(b"type")];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(text: &[u8], piece: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut walk = Walk::new(100);
        for bytes in text.chunks(piece) {
            walk.feed(bytes, &mut |step| {
                all.push(match step {
                    Step::Entry => "entry".to_owned(),
                    Step::Url(url) => String::from_utf8_lossy(url).into_owned(),
                    Step::Message { offset, bytes } => {
                        let start = usize::try_from(offset).unwrap();
                        assert!(text[start..].starts_with(bytes), "{offset}");
                        format!("message {}", bytes.len())
                    }
                    Step::Long { .. } => "long".to_owned(),
                    Step::Broken { offset } => format!("broken at {offset}"),
                });
            });
        }
        all.extend(walk.cut().map(|offset| format!("cut at {offset}")));
        all
    }

    #[test]
    fn entries_urls_and_messages_are_met_in_any_order() {
        let message = r#"{"type":"send","data":"}\"]"}"#;
        let long = format!(r#"{{"type":"send","data":"{}"}}"#, "x".repeat(200));
        let broken =
            format!(r#"{{"log":{{"entries":[{{"_webSocketMessages":[{message},{{"type":oops"}},{message}]}}]}}}}"#);
        let table: &[(&str, String, &[&str])] = &[
            ("nothing", String::new(), &[]),
            (
                "whole",
                format!(
                    r#"{{"log":{{"x":[{{}}],"entries":[{{"_webSocketMessages":[{message}, {message}],"request":{{"url":"u"}}}},{{}}]}}}}"#
                ),
                &["entry", "message 29", "message 29", "\"u\"", "entry"],
            ),
            (
                "url first",
                format!(r#"{{"log":{{"entries":[{{"request":{{"url":"u"}},"_webSocketMessages":[{message}]}}]}}}}"#),
                &["entry", "\"u\"", "message 29"],
            ),
            ("elsewhere", r#"{"log":{"url":"u","_webSocketMessages":[{}]},"entries":[{}]}"#.to_owned(), &[]),
            (
                "long",
                format!(r#"{{"log":{{"entries":[{{"_webSocketMessages":[{long},{message}]}}]}}}}"#),
                &["entry", "long", "message 29"],
            ),
            ("broken", broken, &["entry", "message 29", "broken at 72", "message 29"]),
            (
                "cut",
                format!(r#"{{"log":{{"entries":[{{"_webSocketMessages":[{message},{{"ty"#),
                &["entry", "message 29", "cut at 72"],
            ),
        ];
        for (name, text, expected) in table {
            for piece in [1, 5, 4096] {
                assert_eq!(walk(text.as_bytes(), piece), *expected, "{name} in pieces of {piece}");
            }
        }
    }
}
