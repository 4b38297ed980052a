//! What a static reading knows of a shell's state.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::Invocation;
use super::budget::Budget;
use super::syntax::Command;
use crate::command::Mark;

/// A shell that is read, never run.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) budget: Budget,
    vars: BTreeMap<String, Value>,
    /// Old values, to restore at the end of a subshell.
    journal: Vec<(String, Option<Value>)>,
    scopes: usize,
    pub(super) functions: HashMap<String, Function>,
    pub(super) aliases: HashMap<String, String>,
    /// Contents of files that the text itself wrote.
    pub(super) files: HashMap<String, Vec<u8>>,
    pub(super) via: Vec<String>,
    /// How many inner texts (an inner shell's, `eval`'s, …) are being read.
    pub(super) inner: usize,
    pub(super) invocations: Vec<Invocation>,
    pub(super) seen: HashSet<(Vec<String>, Vec<String>)>,
    pub(super) marks: BTreeSet<Mark>,
    pub(super) raw: String,
}

#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) body: Rc<Command>,
    pub(super) called: bool,
}

/// What is known of a variable that the text itself set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    /// Set to something that a static reading cannot know.
    Unknown,
}

/// One word after expansion; `known` is false if part of it is still an expansion as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) text: String,
    pub(super) known: bool,
}

/// A stage's standard input and output, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) input: Option<Vec<u8>>,
    /// `None` once something unknown was written.
    pub(super) output: Option<Vec<u8>>,
    /// The input came out of a decoder, or should have.
    pub(super) decoder: bool,
}

impl Shell {
    pub(super) fn new(raw: &str, budget: Budget) -> Self {
        let mut shell = Self {
            budget,
            vars: BTreeMap::new(),
            journal: Vec::new(),
            scopes: 0,
            functions: HashMap::new(),
            aliases: HashMap::new(),
            files: HashMap::new(),
            via: Vec::new(),
            inner: 0,
            invocations: Vec::new(),
            seen: HashSet::new(),
            marks: BTreeSet::new(),
            raw: raw.to_owned(),
        };
        // An interactive shell has no positional parameters.
        shell.set("@", Value::List(Vec::new()));
        shell.set("IFS", Value::Text(" \t\n".to_owned()));
        shell.set("BASH", Value::Text("/bin/bash".to_owned()));
        shell.set("0", Value::Text("bash".to_owned()));
        shell
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.vars.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.vars.keys().map(String::as_str)
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        let value = match value {
            Value::Text(text) if text.len() > MAX_VALUE => {
                self.budget.cut = true;
                Value::Unknown
            }
            value => value,
        };
        let old = self.vars.insert(name.to_owned(), value);
        if self.scopes > 0 {
            self.journal.push((name.to_owned(), old));
        }
    }

    pub(super) fn unset(&mut self, name: &str) {
        let old = self.vars.remove(name);
        if self.scopes > 0 {
            self.journal.push((name.to_owned(), old));
        }
    }

    /// Runs `read` as a subshell: what it sets is forgotten afterwards.
    pub(super) fn scoped<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let start = self.journal.len();
        self.scopes += 1;
        let value = read(self);
        self.scopes -= 1;
        while self.journal.len() > start {
            match self.journal.pop() {
                Some((name, Some(old))) => drop(self.vars.insert(name, old)),
                Some((name, None)) => drop(self.vars.remove(&name)),
                None => break,
            }
        }
        value
    }
}

impl Field {
    pub(super) fn known(text: impl Into<String>) -> Self {
        Self { text: text.into(), known: true }
    }
}

impl Pipe {
    /// Nothing comes in; what goes out is collected.
    pub(super) fn collecting() -> Self {
        Self { input: None, output: Some(Vec::new()), decoder: false }
    }

    /// How much was written, to see whether something was.
    pub(super) fn written(&self) -> Option<usize> {
        self.output.as_ref().map(Vec::len)
    }

    pub(super) fn write(&mut self, bytes: Option<&[u8]>) {
        match (&mut self.output, bytes) {
            (Some(output), Some(bytes)) if output.len() + bytes.len() <= MAX_VALUE => output.extend_from_slice(bytes),
            _ => self.output = None,
        }
    }
}

/// Longest value of a variable or a pipe, in bytes.
pub(super) const MAX_VALUE: usize = 64 * 1024;
