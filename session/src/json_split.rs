//! Cuts a stream of JSON into its records without parsing it.
//!
//! A record is an object: one of several that follow each other (JSON Lines or pretty-printed), an element of an array,
//! or an element of a named list inside one object, such as `Records`. Files of hundreds of megabytes on one line pass
//! through; only one record is held. Where text is no JSON, reading goes on at the next object.

mod nesting;

use std::ops::Range;

use nesting::Nesting;

/// Longest record; a longer one is skipped. Above the largest batch that AWS delivers in one (6 MiB to a Lambda).
pub(crate) const RECORD_LIMIT: usize = 8 * 1024 * 1024;

/// Longest part of an object before its list.
const HEAD_LIMIT: usize = 64 * 1024;

/// A list of records inside one object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    /// Key of the list.
    pub(crate) key: &'static str,
    /// Text that must come before the list in the object, for its elements make no sense without. An object in which
    /// it comes later is one record.
    pub(crate) needs: &'static str,
}

/// What the stream consists of.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    /// One object, and the bytes of the object around it that came before its list.
    Record { bytes: &'a [u8], head: &'a [u8] },
    /// An object longer than [`RECORD_LIMIT`].
    Oversized,
    /// Something that is no JSON.
    Broken,
    /// The stream ends inside an object or list.
    Cut,
}

/// The push machine: bytes in, pieces with their offsets out.
#[derive(Debug)]
pub(crate) struct JsonSplit {
    lists: &'static [List],
    /// Offset of the next byte.
    at: u64,
    nesting: Nesting,
    /// Depth at which records are: 0, 1 in an array, 2 in a named list.
    base: usize,
    record: Option<Record>,
    /// The object around the list.
    head: Vec<u8>,
    /// Whether what is no JSON was reported since the last record.
    reported: bool,
    /// Whether a record on a line of its own was met: then `{` at the start of a line begins another.
    lines: bool,
    line_start: bool,
}

/// The record that is being read.
#[derive(Debug, Default)]
struct Record {
    start: u64,
    bytes: Vec<u8>,
    /// Where the last string at the record's first level starts in `bytes`.
    key: Range<usize>,
    oversized: bool,
    multiline: bool,
}

impl Record {
    fn extend(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > RECORD_LIMIT {
            self.oversized = true;
            self.bytes = Vec::new();
        }
        if !self.oversized {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

type Sink<'s> = &'s mut dyn FnMut(Range<u64>, Piece<'_>);

impl JsonSplit {
    /// A splitter that looks into these lists.
    pub(crate) fn new(lists: &'static [List]) -> Self {
        Self {
            lists,
            at: 0,
            nesting: Nesting::default(),
            base: 0,
            record: None,
            head: Vec::new(),
            reported: false,
            lines: false,
            line_start: true,
        }
    }

    /// A splitter that goes on at this offset, between two records.
    pub(crate) fn resumed(lists: &'static [List], at: u64) -> Self {
        Self { at, ..Self::new(lists) }
    }

    /// Offset of the next byte, if no record or list is open.
    pub(crate) fn between_records(&self) -> Option<u64> {
        (self.nesting.depth() == 0).then_some(self.at)
    }

    /// Reads the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: Sink<'_>) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let run = self.nesting.run(rest);
            if run > 0 {
                let (inside, after) = rest.split_at(run.min(rest.len()));
                self.keep(inside);
                self.at += inside.len() as u64;
                self.line_start = false;
                rest = after;
                continue;
            }
            self.byte(byte, sink);
            self.at += 1;
            self.line_start = byte == b'\n';
            rest = rest.get(1..).unwrap_or_default();
        }
    }

    /// The stream ends here.
    pub(crate) fn finish(mut self, sink: Sink<'_>) {
        if self.nesting.depth() > 0 {
            let start = self.record.take().map_or(self.at, |record| record.start);
            sink(start..self.at, Piece::Cut);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some(record) = &mut self.record {
            record.extend(bytes);
        }
    }

    fn byte(&mut self, byte: u8, sink: Sink<'_>) {
        let depth = self.nesting.depth();
        let begins_line = byte == b'{' && self.line_start && self.lines && self.base == 0 && depth > 0;
        if begins_line || !self.nesting.accepts(byte) {
            self.broken(sink);
            if byte != b'{' {
                return;
            }
        }
        let depth = self.nesting.depth();
        let key = depth == 1 && self.base == 0 && byte == b'"';
        if depth == self.base && byte == b'{' {
            self.record = Some(Record { start: self.at, ..Record::default() });
        } else if depth == self.base && self.record.is_none() {
            self.outside(byte, sink);
        }
        let closes_string = self.nesting.in_string();
        self.nesting.step(byte);
        self.keep(&[byte]);
        if let Some(record) = &mut self.record {
            record.multiline |= byte == b'\n';
            match (key, closes_string) {
                (true, false) => record.key = record.bytes.len()..record.bytes.len(),
                (true, true) => record.key.end = record.bytes.len().saturating_sub(1),
                (false, _) => {}
            }
        }
        match byte {
            b'[' if !closes_string => self.list_begins(depth),
            b']' if !closes_string && self.base > 0 && depth == self.base => self.base = 0,
            b'}' if !closes_string && self.nesting.depth() == self.base => self.record_ends(sink),
            _ => {}
        }
    }

    /// A byte between records.
    fn outside(&mut self, byte: u8, sink: Sink<'_>) {
        let expected = matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}' | 0xef | 0xbb | 0xbf);
        let opens = byte == b'[' && self.base == 0;
        if !expected && !opens && !std::mem::replace(&mut self.reported, true) {
            sink(self.at..self.at + 1, Piece::Broken);
        }
    }

    fn list_begins(&mut self, depth: usize) {
        if depth == 0 {
            self.base = 1;
            return;
        }
        let Some(record) = self.record.as_ref().filter(|_| depth == 1 && self.base == 0) else { return };
        let key = record.bytes.get(record.key.clone()).unwrap_or_default();
        let named = self.lists.iter().find(|list| list.key.as_bytes() == key);
        let list = named.is_some_and(|list| memchr::memmem::find(&record.bytes, list.needs.as_bytes()).is_some());
        if list && record.bytes.len() <= HEAD_LIMIT {
            self.base = 2;
            self.head = self.record.take().map(|record| record.bytes).unwrap_or_default();
        }
    }

    fn record_ends(&mut self, sink: Sink<'_>) {
        let Some(record) = self.record.take() else {
            self.head = Vec::new(); // The object around a list ends.
            return;
        };
        self.reported = false;
        self.lines |= self.base == 0 && !record.multiline;
        let piece =
            if record.oversized { Piece::Oversized } else { Piece::Record { bytes: &record.bytes, head: &self.head } };
        sink(record.start..self.at + 1, piece);
    }

    /// What was read is no JSON: the next object is taken for a record.
    fn broken(&mut self, sink: Sink<'_>) {
        let start = self.record.take().map_or(self.at, |record| record.start);
        if !std::mem::replace(&mut self.reported, true) {
            sink(start..self.at, Piece::Broken);
        }
        self.nesting = Nesting::default();
        self.base = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LISTS: &[List] = &[List { key: "Records", needs: "" }, List { key: "logEvents", needs: "\"logStream\"" }];

    fn split(text: &str, piece: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut sink = |offset: Range<u64>, piece: Piece<'_>| {
            let inside = |at: u64| usize::try_from(at).unwrap();
            all.push(match piece {
                Piece::Record { bytes, head } => {
                    assert_eq!(bytes, &text.as_bytes()[inside(offset.start)..inside(offset.end)]);
                    format!("{}{}", String::from_utf8_lossy(head), String::from_utf8_lossy(bytes))
                }
                other => format!("{other:?}"),
            });
        };
        let mut splitter = JsonSplit::new(LISTS);
        for bytes in text.as_bytes().chunks(piece) {
            splitter.feed(bytes, &mut sink);
        }
        splitter.finish(&mut sink);
        all
    }

    #[test]
    fn records_are_found_in_every_arrangement() {
        let table: &[(&str, &str, &[&str])] = &[
            ("nothing", "", &[]),
            ("one", "{}", &["{}"]),
            ("lines", "{\"a\":1}\n{\"b\":[2]}\r\n\n", &["{\"a\":1}", "{\"b\":[2]}"]),
            ("byte order mark", "\u{feff}{}", &["{}"]),
            ("pretty", "{\n \"a\": {\n}\n}\n{\n}", &["{\n \"a\": {\n}\n}", "{\n}"]),
            ("array", "[{\"a\":1}, {}]", &["{\"a\":1}", "{}"]),
            (
                "list",
                r#"{"Records":[{"a":1},{}],"x":{"Records":[{}]}}{"y":0}"#,
                &[r#"{"Records":[{"a":1}"#, r#"{"Records":[{}"#, "{\"y\":0}"],
            ),
            ("list too deep", r#"{"x":{"Records":[{}]}}"#, &[r#"{"x":{"Records":[{}]}}"#]),
            ("not a list", r#"{"Records":{"a":1}}"#, &[r#"{"Records":{"a":1}}"#]),
            ("needs", r#"{"logStream":"s","logEvents":[{}]}"#, &[r#"{"logStream":"s","logEvents":[{}"#]),
            ("needed later", r#"{"logEvents":[{}],"logStream":"s"}"#, &[r#"{"logEvents":[{}],"logStream":"s"}"#]),
            ("strings", r#"{"a":"}\"]\\"}{"b":"\\\""}"#, &[r#"{"a":"}\"]\\"}"#, r#"{"b":"\\\""}"#]),
            ("cut", r#"{"Records":[{"a":1},{"b"#, &[r#"{"Records":[{"a":1}"#, "Cut"]),
            ("cut list", r#"{"Records":[{"a":1},"#, &[r#"{"Records":[{"a":1}"#, "Cut"]),
        ];
        for (name, text, expected) in table {
            for piece in [1, 3, 1000] {
                assert_eq!(split(text, piece), *expected, "{name}");
            }
        }
    }

    #[test]
    fn what_is_broken_is_skipped_alone() {
        let table: &[(&str, &str, &[&str])] = &[
            ("text", "hello {\"a\":1} there {}", &["Broken", "{\"a\":1}", "Broken", "{}"]),
            ("open string", "{\"a\":1}\n{\"b\":\"\n{\"c\":1}\n", &["{\"a\":1}", "Broken", "{\"c\":1}"]),
            ("open object", "{\"a\":1}\n{\"b\":\n{\"c\":1}\n", &["{\"a\":1}", "Broken", "{\"c\":1}"]),
            ("first line open", "{\"b\":1,\n{\"c\":1}\n", &["Broken", "{\"c\":1}"]),
            ("wrong closer", "{\"a\":[}\n{\"c\":1}\n", &["Broken", "{\"c\":1}"]),
            (
                "in a list",
                r#"{"Records":[{"a":}, {"b":1}, {"c":2}]}"#,
                &["Broken", r#"{"Records":[{"b":1}"#, r#"{"Records":[{"c":2}"#],
            ),
            ("scalars in a list", r#"{"Records":[1,"x",{"b":1}]}"#, &["Broken", r#"{"Records":[{"b":1}"#]),
        ];
        for (name, text, expected) in table {
            for piece in [1, 1000] {
                assert_eq!(split(text, piece), *expected, "{name}");
            }
        }
    }

    #[test]
    fn a_record_beyond_the_limit_is_skipped_alone() {
        let text = format!(r#"{{"Records":[{{"a":"{}"}},{{"b":1}}]}}"#, "x".repeat(RECORD_LIMIT));
        assert_eq!(split(&text, 60_000), ["Oversized", r#"{"Records":[{"b":1}"#]);
        let deep = format!("{}{}\n{{}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert_eq!(split(&deep, 60_000).len(), 2);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            parts in prop::collection::vec(prop::sample::select(vec!["{", "}", "[", "]", "\"", "\\", ",", ":", "1", "\n", "{\"Records\":[", "{\"a\":1}", " "]), 0..60),
            piece in 1_usize..20,
        ) {
            let text = parts.concat();
            prop_assert_eq!(split(&text, 1000), split(&text, piece));
        }
    }
}
