//! YAML with the place of every node: scalars stay text, every duplicate key is found.
//!
//! Built on the parser's events instead of a ready-made tree for three reasons: `010`, `1.10` and `no` must stay what
//! the author wrote, `a:` and `"a":` are one key, and an error in a later document must not hide those of an earlier.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks};

/// Deepest nesting of a rule file.
const MAX_DEPTH: usize = 64;
/// Most nodes of a rule file, after aliases are replaced by what they stand for.
const MAX_NODES: usize = 200_000;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// In characters; 0 if it goes on after the line's end.
    pub(crate) length: usize,
    /// Whether it is a plain scalar's or quoted text, so that offsets within the text are offsets within the line.
    pub(crate) inline: Option<usize>,
}

impl Span {
    /// The part of this scalar from character `start` of its text, `length` characters long.
    pub(crate) fn within(self, start: usize, length: usize) -> Self {
        match self.inline {
            Some(quote) => Self { column: self.column + quote + start, length, ..self },
            None => self,
        }
    }
}

/// One node of a document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) data: Data,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// A scalar's text; `plain` = written without quotes and not as a block.
    Scalar { text: String, plain: bool },
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in the file's order, without duplicates.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a scalar that is not null.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Whether it is the null of YAML's core schema.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a plain `true` or `false`.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match &self.data {
            Data::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub(crate) fn as_mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.data {
            Data::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a list.
    pub(crate) fn as_sequence(&self) -> Option<&[Node]> {
        match &self.data {
            Data::Sequence(elements) => Some(elements),
            _ => None,
        }
    }
}

/// One document of a file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    /// Character offset at which it begins.
    pub(crate) start: usize,
    /// Duplicate keys: place and name.
    pub(crate) duplicates: Vec<(Span, String)>,
}

/// What keeps the rest of a file from being read.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) span: Span,
    pub(crate) why: String,
}

/// Reads every document up to the first syntax error.
pub(crate) fn parse(text: &str) -> (Vec<Document>, Option<Broken>) {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, marks) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = error.marker();
                let span = Span { line: at.line(), column: at.col() + 1, length: 1, inline: None };
                return (builder.documents, Some(Broken { span, why: error.info().to_owned() }));
            }
        };
        if let Err(why) = builder.accept(event, marks) {
            let span = span(marks, None);
            return (builder.documents, Some(Broken { span, why: why.to_owned() }));
        }
    }
    (builder.documents, None)
}

#[derive(Default)]
struct Builder {
    documents: Vec<Document>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    duplicates: Vec<(Span, String)>,
    start: usize,
    nodes: usize,
}

/// A list or mapping that has not ended yet.
struct Open {
    span: Span,
    anchor: usize,
    mapping: bool,
    children: Vec<Node>,
}

impl Builder {
    fn accept(&mut self, event: Event<'_>, marks: Marks) -> Result<(), &'static str> {
        match event {
            Event::DocumentStart(_) => {
                self.start = marks.start.index();
                self.anchors.clear();
            }
            Event::SequenceStart(anchor, _) => self.begin(marks, anchor, false)?,
            Event::MappingStart(anchor, _) => self.begin(marks, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let inline = match style {
                    ScalarStyle::Plain => Some(0),
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Some(1),
                    _ => None,
                };
                let node = Node { span: span(marks, inline), data: Data::Scalar { text: text.into_owned(), plain } };
                self.add(node, anchor, 1)?;
            }
            Event::Alias(anchor) => {
                let (mut node, size) = self.anchors.get(&anchor).cloned().ok_or("alias of an unknown anchor")?;
                node.span = span(marks, None);
                self.add(node, 0, size)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, marks: Marks, anchor: usize, mapping: bool) -> Result<(), &'static str> {
        if self.open.len() >= MAX_DEPTH {
            return Err("nested too deep: a rule file has at most 64 levels");
        }
        self.open.push(Open { span: span(marks, None), anchor, mapping, children: Vec::new() });
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        let Some(Open { span, anchor, mapping, children }) = self.open.pop() else { return Ok(()) };
        let data = if mapping { Data::Mapping(self.pairs(children)) } else { Data::Sequence(children) };
        self.add(Node { span, data }, anchor, 1)
    }

    fn pairs(&mut self, children: Vec<Node>) -> Vec<(Node, Node)> {
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(children.len() / 2);
        let mut children = children.into_iter();
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            if let Data::Scalar { text, .. } = &key.data
                && !seen.insert(text.clone())
            {
                self.duplicates.push((key.span, text.clone()));
                continue;
            }
            entries.push((key, value));
        }
        entries
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), &'static str> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err("too large: a rule file has at most 200,000 nodes, aliases counted");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), count(&node)));
        }
        if let Some(parent) = self.open.last_mut() {
            parent.children.push(node);
        } else {
            let duplicates = std::mem::take(&mut self.duplicates);
            self.documents.push(Document { root: node, start: self.start, duplicates });
        }
        Ok(())
    }
}

/// Nodes of a tree whose depth the builder has bounded.
fn count(node: &Node) -> usize {
    match &node.data {
        Data::Scalar { .. } => 1,
        Data::Sequence(elements) => 1 + elements.iter().map(count).sum::<usize>(),
        Data::Mapping(entries) => 1 + entries.iter().map(|(key, value)| count(key) + count(value)).sum::<usize>(),
    }
}

fn span(marks: Marks, inline: Option<usize>) -> Span {
    let one_line = marks.start.line() == marks.end.line();
    Span {
        line: marks.start.line(),
        column: marks.start.col() + 1,
        length: if one_line { marks.end.col().saturating_sub(marks.start.col()) } else { 0 },
        inline: if one_line { inline } else { None },
    }
}
