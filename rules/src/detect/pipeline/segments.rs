//! Tokens -> simple commands, and which of them read whose output.

use super::tokens::{Token, What};

/// One simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its text as written.
    pub(super) text: String,
    /// `OPERATOR TARGET`, those of the groups around it included.
    pub(super) redirects: Vec<String>,
    /// Simple commands that read its output.
    pub(super) readers: Vec<usize>,
    /// Simple commands whose output it reads.
    pub(super) writers: Vec<usize>,
}

impl Segment {
    /// Neither in a pipeline nor redirected.
    pub(super) fn is_plain(&self) -> bool {
        self.redirects.is_empty() && self.readers.is_empty() && self.writers.is_empty()
    }
}

/// Groups the tokens of a text; gives at most `limit` simple commands.
pub(super) fn read(text: &str, tokens: &[Token], limit: usize) -> Vec<Segment> {
    let mut grouper = Grouper { text, limit, frames: vec![Frame::default()], ..Grouper::default() };
    for token in tokens {
        grouper.token(token);
    }
    while grouper.frames.len() > 1 {
        grouper.close();
    }
    grouper.end_pipeline();
    grouper.segments
}

/// Most redirections of one simple command.
const MAX_REDIRECTS: usize = 64;
/// Deepest nesting of groups; deeper ones count as part of the deepest.
const MAX_FRAMES: usize = 64;

/// A list of pipelines: the text, or a group in it.
#[derive(Debug, Default)]
struct Frame {
    /// Finished stages of the pipeline that is being read.
    stages: Vec<Vec<usize>>,
    stage: Vec<usize>,
    all: Vec<usize>,
    /// `case … esac`, whose patterns end with `)`.
    case: bool,
}

#[derive(Debug, Default)]
struct Grouper<'t> {
    text: &'t str,
    limit: usize,
    segments: Vec<Segment>,
    frames: Vec<Frame>,
    /// Byte range of the words of the simple command that is being read.
    words: Option<(usize, usize)>,
    redirects: Vec<String>,
    /// The group that has just ended: redirections belong to it.
    closed: Vec<usize>,
}

impl Grouper<'_> {
    fn token(&mut self, token: &Token) {
        match &token.what {
            What::Word { text, quoted } => self.word(text, *quoted, token),
            What::Redirect { operator, target } => self.redirect(format!("{operator} {target}")),
            What::Pipe => {
                self.end_segment();
                if let Some(frame) = self.frames.last_mut() {
                    let stage = std::mem::take(&mut frame.stage);
                    frame.stages.push(stage);
                }
            }
            What::Separator => self.end_pipeline(),
            What::Open => self.open(false),
            What::Close if self.frames.last().is_some_and(|frame| frame.case) => {
                self.words = None;
                self.end_pipeline();
            }
            What::Close => self.close(),
        }
    }

    fn word(&mut self, text: &str, quoted: bool, token: &Token) {
        if self.words.is_none() && !quoted {
            match text {
                "{" | "if" | "while" | "until" | "for" | "select" => return self.open(false),
                "case" => return self.open(true),
                "}" | "done" | "fi" | "esac" => return self.close(),
                "do" | "then" | "else" | "elif" | "!" => return,
                _ => {}
            }
        }
        self.closed.clear();
        self.words = Some((self.words.map_or(token.start, |(start, _)| start), token.end));
    }

    fn redirect(&mut self, redirect: String) {
        if self.closed.is_empty() || self.words.is_some() {
            return self.redirects.push(redirect);
        }
        for segment in &self.closed {
            if let Some(segment) = self.segments.get_mut(*segment).filter(|one| one.redirects.len() < MAX_REDIRECTS) {
                segment.redirects.push(redirect.clone());
            }
        }
    }

    fn open(&mut self, case: bool) {
        self.end_segment();
        if self.frames.len() < MAX_FRAMES {
            self.frames.push(Frame { case, ..Frame::default() });
        }
    }

    fn close(&mut self) {
        self.end_pipeline();
        if self.frames.len() < 2 {
            return;
        }
        let all = self.frames.pop().map(|frame| frame.all).unwrap_or_default();
        if let Some(parent) = self.frames.last_mut() {
            parent.stage.extend(&all);
        }
        self.closed = all;
    }

    fn end_segment(&mut self) {
        self.closed.clear();
        let words = self.words.take();
        let redirects = std::mem::take(&mut self.redirects);
        if (words.is_none() && redirects.is_empty()) || self.segments.len() >= self.limit {
            return;
        }
        let text = words.and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default().to_owned();
        if let Some(frame) = self.frames.last_mut() {
            frame.stage.push(self.segments.len());
        }
        self.segments.push(Segment { text, redirects, ..Segment::default() });
    }

    fn end_pipeline(&mut self) {
        self.end_segment();
        let Some(frame) = self.frames.last_mut() else { return };
        let mut stages = std::mem::take(&mut frame.stages);
        stages.push(std::mem::take(&mut frame.stage));
        frame.all.extend(stages.iter().flatten());
        let mut before: Vec<usize> = Vec::new();
        for stage in stages.into_iter().filter(|stage| !stage.is_empty()) {
            for writer in &before {
                if let Some(segment) = self.segments.get_mut(*writer) {
                    segment.readers.extend(&stage);
                }
            }
            for reader in &stage {
                if let Some(segment) = self.segments.get_mut(*reader) {
                    segment.writers.extend(&before);
                }
            }
            before.extend(stage);
        }
    }
}
