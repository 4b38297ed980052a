//! What a simple command starts: itself, and what it starts in turn.

use super::parser::Parser;
use super::run::Status;
use super::state::{Field, Pipe, Shell, Value};
use super::{Invocation, MAX_INVOCATIONS, program, wrapper};
use crate::command::Mark;

/// Shells that read their commands from `-c`, a file or their input.
pub(super) const SHELLS: [&str; 12] =
    ["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "rbash", "csh", "tcsh", "pdksh"];

impl Shell {
    /// Notes one invocation and follows what it starts.
    pub(super) fn start(&mut self, argv: Vec<Field>, pipe: &mut Pipe) -> Status {
        let name = argv.first().map(|field| basename(&field.text).to_owned()).unwrap_or_default();
        if !self.budget.enter() {
            return None;
        }
        if name != "end" || argv.len() > 1 {
            self.emit(&argv);
        }
        let status = self.follow(&name, argv, pipe);
        self.budget.leave();
        status
    }

    fn emit(&mut self, argv: &[Field]) {
        let argv: Vec<String> = argv.iter().map(|field| field.text.clone()).collect();
        self.budget.spend(argv.iter().map(String::len).sum::<usize>() / 8);
        if argv.first().is_none_or(String::is_empty) {
            return;
        }
        if self.invocations.len() >= MAX_INVOCATIONS {
            self.budget.cut = true;
            return;
        }
        if !self.seen.insert((argv.clone(), self.via.clone())) {
            return;
        }
        let decoded = self.inner > 0 || !self.raw.contains(&argv.join(" "));
        self.invocations.push(Invocation { argv, via: self.via.clone(), decoded });
    }

    fn follow(&mut self, name: &str, argv: Vec<Field>, pipe: &mut Pipe) -> Status {
        if let Some(status) = self.call(name, &argv, pipe) {
            return status;
        }
        let known = argv.iter().all(|field| field.known);
        let words: Vec<String> = argv.iter().map(|field| field.text.clone()).collect();
        let texts: Vec<&str> = words.iter().map(String::as_str).collect();
        let before = pipe.written();
        if let Some(status) = self.builtin(name, &texts, known, pipe) {
            return status;
        }
        if let Some(status) = self.wrapped(name, &texts, argv, pipe) {
            return status;
        }
        for (label, text) in program::commands(name, &texts) {
            match text {
                program::Inner::Text(text) => drop(self.inner_text(&text, Some(label), pipe)),
                program::Inner::Argv(argv) => {
                    let argv = argv.into_iter().map(Field::known).collect();
                    self.wrap(label, |shell| shell.start(argv, pipe));
                }
            }
        }
        if before == pipe.written() {
            self.filter(name, &texts, known, pipe);
        }
        None
    }

    /// Reads `text` as commands of an inner shell.
    pub(super) fn inner_text(&mut self, text: &str, label: Option<String>, pipe: &mut Pipe) -> Status {
        if !self.budget.enter() {
            return None;
        }
        self.budget.spend(text.len());
        let script = Parser::new(text, &mut self.budget).script();
        self.inner += 1;
        let pushed = label.is_some();
        self.via.extend(label);
        let status = self.run(&script, pipe);
        if pushed {
            self.via.pop();
        }
        self.inner -= 1;
        self.budget.leave();
        status
    }

    fn wrap<T>(&mut self, label: String, read: impl FnOnce(&mut Self) -> T) -> T {
        self.via.push(label);
        let value = read(self);
        self.via.pop();
        value
    }

    /// Calls a function that the text defined.
    fn call(&mut self, name: &str, argv: &[Field], pipe: &mut Pipe) -> Option<Status> {
        let function = self.functions.get_mut(name)?;
        function.called = true;
        let body = std::rc::Rc::clone(&function.body);
        if !self.budget.burn(16) {
            return Some(None);
        }
        let old = self.value("@").cloned();
        let known = argv.iter().all(|field| field.known);
        let arguments = argv.iter().skip(1).map(|field| field.text.clone()).collect();
        self.set("@", if known { Value::List(arguments) } else { Value::Unknown });
        let status = self.command(&body, pipe);
        if let Some(old) = old {
            self.set("@", old);
        }
        Some(status)
    }

    /// Functions that nothing called: their bodies are shown all the same.
    pub(super) fn uncalled(&mut self) {
        let mut left: Vec<_> = self.functions.iter().filter(|(_, f)| !f.called).collect();
        left.sort_by(|a, b| a.0.cmp(b.0));
        let bodies: Vec<_> = left.into_iter().map(|(_, function)| std::rc::Rc::clone(&function.body)).collect();
        for body in bodies {
            self.set("@", Value::Unknown);
            self.scoped(|shell| shell.command(&body, &mut Pipe::default()));
        }
    }

    fn wrapped(&mut self, name: &str, texts: &[&str], mut argv: Vec<Field>, pipe: &mut Pipe) -> Option<Status> {
        if SHELLS.contains(&name) || matches!(name, "$SHELL" | "${SHELL}" | "$0") {
            return Some(self.shell(name, texts, &argv, pipe));
        }
        if let Some((label, text)) = program::shell_text(name, texts) {
            return Some(self.inner_text(&text, Some(label), pipe));
        }
        if name == "find" || name == "fd" {
            for (label, inner) in program::find_commands(texts) {
                let inner = inner.into_iter().map(Field::known).collect();
                self.wrap(label, |shell| shell.start(inner, pipe));
            }
            return None;
        }
        let (label, at) = match wrapper::inner(name, texts) {
            Some(at) => (name.to_owned(), at),
            None => wrapper::inner_of_verb(name, texts)?,
        };
        let mut inner = argv.split_off(at.min(argv.len()));
        if matches!(name, "xargs" | "gxargs") {
            let more = program::xargs_input(texts, pipe.input.take().as_deref());
            inner = program::substitute(inner, texts, more);
        }
        Some(self.wrap(label, |shell| shell.start(inner, pipe)))
    }

    /// A shell's own command line: `-c TEXT`, a script that the text wrote, or its input.
    fn shell(&mut self, name: &str, texts: &[&str], argv: &[Field], pipe: &mut Pipe) -> Status {
        let mut at = 1;
        let mut command = false;
        while let Some(word) = texts.get(at).filter(|word| word.len() > 1 && word.starts_with(['-', '+'])) {
            at += 1;
            if *word == "--" {
                break;
            }
            let long = word.starts_with("--");
            command |= *word == "--command" || (!long && word.starts_with('-') && word.contains('c'));
            at += usize::from(matches!(*word, "--rcfile" | "--init-file" | "-o" | "+o" | "-O" | "+O"));
        }
        if command {
            let text = texts.get(at).copied().unwrap_or_default();
            let arguments: Vec<String> = texts.iter().skip(at + 2).map(|text| (*text).to_owned()).collect();
            let known = argv.iter().skip(at + 2).all(|field| field.known);
            return self.scoped(|shell| {
                shell.set("@", if known { Value::List(arguments) } else { Value::Unknown });
                shell.inner_text(text, Some(format!("{name} -c")), pipe)
            });
        }
        let file = texts.get(at).filter(|path| !matches!(**path, "-" | "/dev/stdin")).copied();
        let content = match file {
            Some(path) => self.files.get(path).cloned(),
            None => pipe.input.take(),
        };
        if file.is_none() && pipe.decoder {
            self.marks.insert(Mark::Obfuscated);
        }
        let content = content?;
        let text = String::from_utf8_lossy(&content).into_owned();
        self.scoped(|shell| shell.inner_text(&text, Some(name.to_owned()), pipe))
    }
}

/// The name of a program without its folder.
pub(super) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
