//! Builtins that change the shell's own state or read text as commands.

use super::parser::identifier;
use super::run::{Status, compare};
use super::state::{Pipe, Shell, Value};

impl Shell {
    /// `None` if `name` is no such builtin.
    pub(super) fn builtin(&mut self, name: &str, argv: &[&str], known: bool, pipe: &mut Pipe) -> Option<Status> {
        match name {
            ":" | "true" | "wait" | "shopt" => Some(Some(true)),
            "false" => Some(Some(false)),
            "eval" => {
                let from = 1 + usize::from(argv.get(1) == Some(&"--"));
                let text = argv.get(from..).unwrap_or_default().join(" ");
                Some(self.inner_text(&text, Some("eval".to_owned()), pipe))
            }
            "." | "source" => {
                let path = argv.get(1).copied().unwrap_or_default();
                let content = match path {
                    "/dev/stdin" => pipe.input.take(),
                    path => self.files.get(path).cloned(),
                };
                let text = String::from_utf8_lossy(&content?).into_owned();
                Some(self.inner_text(&text, Some(name.to_owned()), pipe))
            }
            "trap" => {
                let text = argv.iter().skip(1).find(|word| !word.starts_with('-'))?;
                Some(self.inner_text(text, Some("trap".to_owned()), pipe))
            }
            "alias" => {
                for word in argv.iter().skip(1) {
                    if let Some((name, text)) = word.split_once('=') {
                        self.aliases.insert(name.to_owned(), text.to_owned());
                    }
                }
                Some(Some(true))
            }
            "unalias" => {
                for word in argv.iter().skip(1) {
                    self.aliases.remove(*word);
                }
                Some(Some(true))
            }
            "export" | "declare" | "typeset" | "local" | "readonly" => {
                self.declare(argv, known);
                Some(Some(true))
            }
            "unset" => {
                for word in argv.iter().skip(1).filter(|word| !word.starts_with('-')) {
                    self.unset(word);
                    self.functions.remove(*word);
                }
                Some(Some(true))
            }
            "set" => {
                self.set_positional(argv, known);
                Some(Some(true))
            }
            "shift" => {
                if let Some(Value::List(items)) = self.value("@") {
                    let by = argv.get(1).and_then(|by| by.parse().ok()).unwrap_or(1);
                    let items = items.iter().skip(by).cloned().collect();
                    self.set("@", Value::List(items));
                }
                Some(Some(true))
            }
            "read" => Some(self.read(argv, pipe)),
            "let" => {
                let mut value = None;
                for word in argv.iter().skip(1) {
                    value = self.arithmetic(word);
                }
                Some(value.map(|value| value != 0))
            }
            "test" | "[" => Some(if known { test(argv) } else { None }),
            "printf" if argv.get(1) == Some(&"-v") => {
                let name = argv.get(2).copied()?;
                let words: Vec<&str> = std::iter::once("printf").chain(argv.get(3..)?.iter().copied()).collect();
                let text = known.then(|| super::filter::output("printf", &words, None)).flatten();
                let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                self.set(name, text.map_or(Value::Unknown, Value::Text));
                Some(Some(true))
            }
            _ => None,
        }
    }

    fn declare(&mut self, argv: &[&str], known: bool) {
        for word in argv.iter().skip(1).filter(|word| word.contains('=')) {
            // The words are expanded already: only the name is looked for here.
            let Some((left, value)) = word.split_once('=') else { continue };
            let name = identifier(left);
            if !name.is_empty() && (name == left || left.strip_suffix('+') == Some(name)) {
                self.set(name, if known { Value::Text(value.to_owned()) } else { Value::Unknown });
            }
        }
    }

    fn set_positional(&mut self, argv: &[&str], known: bool) {
        // fish: `set -x name value`.
        let first = argv.iter().skip(1).position(|word| !word.starts_with(['-', '+'])).map(|at| at + 1);
        let double = argv.iter().position(|word| *word == "--");
        let Some(from) = double.map(|at| at + 1).or(first) else { return };
        let items: Vec<String> = argv.get(from..).unwrap_or_default().iter().map(|word| (*word).to_owned()).collect();
        self.set("@", if known { Value::List(items) } else { Value::Unknown });
        if let ([name, values @ ..], true) = (argv.get(from..).unwrap_or_default(), double.is_none())
            && identifier(name) == *name
            && self.value(name).is_none()
            && !values.is_empty()
        {
            self.set(name, if known { Value::Text(values.join(" ")) } else { Value::Unknown });
        }
    }

    /// `read` takes one line of a known input.
    fn read(&mut self, argv: &[&str], pipe: &mut Pipe) -> Status {
        let mut names: Vec<&str> = Vec::new();
        let mut words = argv.iter().skip(1);
        while let Some(word) = words.next() {
            match *word {
                "-d" | "-n" | "-N" | "-p" | "-t" | "-u" | "-i" | "-a" => drop(words.next()),
                word if word.starts_with('-') => {}
                word => names.push(word),
            }
        }
        if names.is_empty() {
            names.push("REPLY");
        }
        let Some(input) = pipe.input.take() else {
            for name in names {
                self.set(name, Value::Unknown);
            }
            return None;
        };
        let end = input.iter().position(|b| *b == b'\n');
        let line = String::from_utf8_lossy(input.get(..end.unwrap_or(input.len())).unwrap_or_default()).into_owned();
        let rest = end.and_then(|end| input.get(end + 1..)).map(<[u8]>::to_vec);
        let found = !input.is_empty();
        self.budget.spend(input.len());
        pipe.input = Some(rest.unwrap_or_default());
        let mut left = line.trim_matches([' ', '\t']);
        for (n, name) in names.iter().enumerate() {
            let (value, rest) = if n + 1 == names.len() { (left, "") } else { split_once_blank(left) };
            self.set(name, Value::Text(value.to_owned()));
            left = rest;
        }
        Some(found)
    }
}

fn split_once_blank(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((first, rest)) => (first, rest.trim_start_matches([' ', '\t'])),
        None => (text, ""),
    }
}

fn test(argv: &[&str]) -> Status {
    let words = argv.get(1..)?;
    let words = words.strip_suffix(&["]"]).unwrap_or(words);
    match words {
        ["-n", text] => Some(!text.is_empty()),
        ["-z", text] => Some(text.is_empty()),
        [left, "=" | "==", right] => Some(left == right),
        [left, "!=", right] => Some(left != right),
        [left, operator, right] => compare(operator, left.parse().ok()?, right.parse().ok()?),
        _ => None,
    }
}
