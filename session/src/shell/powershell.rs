//! PowerShell and cmd text -> invocations: a simpler reading than that of POSIX shells.
//!
//! Statements are split at `;`, newlines and pipes, and at the braces and parentheses whose inside runs too; literal
//! strings are joined (`('i'+'ex')`, `"{1}{0}" -f …`), and what `-EncodedCommand`, `-Command`, `cmd /c`,
//! `Invoke-Expression`, `Start-Process` and `&` start is followed. Quoting: `about_Quoting_Rules`, `about_Parsing`
//! and `about_PowerShell_exe` of PowerShell 7.4.

mod literal;
mod tokens;

use super::budget::Budget;
use super::{Dialect, Invocation, MAX_INVOCATIONS, Parsed};
use crate::command::Mark;
use tokens::{Statement, Word};

/// Reads one text.
pub(super) fn read(text: &str, budget: &mut Budget) -> Parsed {
    let mut reader = Reader { budget, via: Vec::new(), parsed: Parsed::default(), raw: text };
    reader.text(text);
    let mut parsed = reader.parsed;
    if reader.budget.cut {
        parsed.marks.insert(Mark::Cut);
    }
    parsed
}

struct Reader<'t, 'b> {
    budget: &'b mut Budget,
    via: Vec<String>,
    parsed: Parsed,
    raw: &'t str,
}

/// What an argument vector starts in turn.
enum Inner {
    PowerShell { label: String, text: String },
    Cmd { label: String, text: String },
    Posix { label: String, text: String },
    Argv { label: String, argv: Vec<String> },
}

impl Reader<'_, '_> {
    fn text(&mut self, text: &str) {
        if !self.budget.enter() {
            return;
        }
        for statement in tokens::statements(text, self.budget) {
            self.statement(&statement);
        }
        self.budget.leave();
    }

    fn statement(&mut self, statement: &Statement) {
        let words = command(&statement.words);
        let Some(first) = words.first() else { return };
        if words.iter().any(|word| word.odd) || (first.built && statement.called) {
            self.parsed.marks.insert(Mark::Obfuscated);
        }
        let argv: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
        self.start(argv, statement.piped.as_deref());
    }

    fn start(&mut self, argv: Vec<String>, piped: Option<&str>) {
        if self.parsed.invocations.len() >= MAX_INVOCATIONS || !self.budget.enter() {
            self.budget.cut = true;
            return;
        }
        let inner = inner(&argv, piped);
        let decoded = !self.via.is_empty() || !self.raw.contains(&argv.join(" "));
        self.parsed.invocations.push(Invocation { argv, via: self.via.clone(), decoded });
        for inner in inner {
            self.follow(inner);
        }
        self.budget.leave();
    }

    fn follow(&mut self, inner: Inner) {
        match inner {
            Inner::PowerShell { label, text } => {
                if label.ends_with("-EncodedCommand") {
                    self.parsed.marks.insert(Mark::Obfuscated);
                }
                self.via.push(label);
                self.text(&text);
            }
            Inner::Cmd { label, text } => {
                let plain = text.replace('^', "");
                if plain.len() < text.len() {
                    self.parsed.marks.insert(Mark::Obfuscated);
                }
                self.via.push(label);
                self.text(&tokens::cmd_to_powershell(&plain));
            }
            Inner::Argv { label, argv } => {
                self.via.push(label);
                if !argv.is_empty() {
                    self.start(argv, None);
                }
            }
            Inner::Posix { label, text } => {
                self.via.push(label);
                let parsed = super::parse(&text, Dialect::Posix);
                for invocation in parsed.invocations {
                    let via = self.via.iter().cloned().chain(invocation.via).collect();
                    self.parsed.invocations.push(Invocation { argv: invocation.argv, via, decoded: true });
                }
                self.parsed.marks.extend(parsed.marks);
            }
        }
        self.via.pop();
    }
}

/// The words of a statement that are a command: without `$x =`, `&`, `.`; nothing if it is an expression.
fn command(words: &[Word]) -> &[Word] {
    let mut rest = words;
    let mut called = false;
    loop {
        rest = match rest {
            [target, sign, after @ ..] if target.text.starts_with('$') && is_assignment(&sign.text) => after,
            [sign, after @ ..] if !sign.quoted && matches!(sign.text.as_str(), "&" | ".") => {
                called = true;
                after
            }
            [word, after @ ..] if !word.quoted && KEYWORDS.contains(&word.text.to_ascii_lowercase().as_str()) => after,
            _ => break,
        };
    }
    let Some(first) = rest.first() else { return &[] };
    let begins = first.text.starts_with(|c: char| c.is_alphabetic() || "\\/.%?~_".contains(c));
    let bare = !first.quoted && !first.built && begins;
    if called || bare { rest } else { &[] }
}

fn is_assignment(text: &str) -> bool {
    matches!(text, "=" | "+=" | "-=" | "*=" | "/=" | "??=")
}

const KEYWORDS: [&str; 18] = [
    "if", "else", "elseif", "foreach", "for", "while", "do", "until", "try", "catch", "finally", "switch", "begin",
    "process", "end", "return", "in", "throw",
];

fn inner(argv: &[String], piped: Option<&str>) -> Vec<Inner> {
    let Some((first, rest)) = argv.split_first() else { return Vec::new() };
    let name = program_name(first);
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    match name.as_str() {
        "powershell" | "pwsh" => powershell(&name, &words).into_iter().collect(),
        "cmd" | "%comspec%" | "$env:comspec" => cmd(&words).into_iter().collect(),
        "iex" | "invoke-expression" => {
            let word = words.iter().find(|word| !word.starts_with('-')).copied().or(piped);
            word.map(|text| Inner::PowerShell { label: name, text: text.to_owned() }).into_iter().collect()
        }
        "start-process" | "saps" | "start" => start_process(&name, &words).into_iter().collect(),
        "bash" | "sh" | "wsl" => posix(&name, argv).into_iter().collect(),
        "runas" | "wmic" | "forfiles" => {
            let text = words.iter().rev().find(|word| !word.starts_with('/') && !word.is_empty());
            text.map(|text| Inner::Cmd { label: name, text: (*text).to_owned() }).into_iter().collect()
        }
        "sudo" | "gsudo" => {
            let at = words.iter().position(|word| !word.starts_with('-')).unwrap_or(words.len());
            let argv = rest.get(at..).unwrap_or_default().to_vec();
            vec![Inner::Argv { label: name, argv }]
        }
        _ => Vec::new(),
    }
}

fn program_name(path: &str) -> String {
    let name = path.rsplit(['\\', '/']).next().unwrap_or(path).to_ascii_lowercase();
    name.strip_suffix(".exe").map(str::to_owned).unwrap_or(name)
}

/// Parameters of `powershell.exe` may be cut short: `-enc`, `-e`, `-c`.
fn powershell(name: &str, words: &[&str]) -> Option<Inner> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let parameter = word.strip_prefix(['-', '/', '\u{2013}', '\u{2014}']).map(str::to_ascii_lowercase);
        let rest = words.get(at + 1..).unwrap_or_default();
        match parameter.as_deref() {
            None => return Some(Inner::PowerShell { label: format!("{name} -Command"), text: rest_of(words, at) }),
            Some("ec") => return encoded(name, rest),
            Some(p) if !p.is_empty() && "encodedcommand".starts_with(p) => return encoded(name, rest),
            Some(p) if !p.is_empty() && ("command".starts_with(p) || "commandwithargs".starts_with(p)) => {
                return Some(Inner::PowerShell { label: format!("{name} -Command"), text: rest_of(words, at + 1) });
            }
            Some(p) if p.starts_with('f') => return None,
            // `-ExecutionPolicy Bypass`, `-WindowStyle Hidden`, `-Version 2`: parameters with a value.
            Some(p) => {
                at += 1 + usize::from(p.starts_with(['e', 'w', 'v', 'i', 'o', 'p', 'c']) && !p.starts_with("noni"));
            }
        }
    }
    None
}

fn rest_of(words: &[&str], at: usize) -> String {
    words.get(at..).unwrap_or_default().join(" ")
}

fn encoded(name: &str, rest: &[&str]) -> Option<Inner> {
    let text = literal::utf16_base64(rest.first()?)?;
    Some(Inner::PowerShell { label: format!("{name} -EncodedCommand"), text })
}

fn cmd(words: &[&str]) -> Option<Inner> {
    let is_run = |word: &&str| word.len() == 2 && matches!(word.to_ascii_lowercase().as_str(), "/c" | "/k" | "/r");
    let at = words.iter().position(is_run)?;
    Some(Inner::Cmd { label: "cmd /c".to_owned(), text: rest_of(words, at + 1) })
}

/// `Start-Process [-FilePath] x [-ArgumentList] 'a b'[, 'c']`.
fn start_process(name: &str, words: &[&str]) -> Option<Inner> {
    let mut argv: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        at += 1;
        match word.to_ascii_lowercase().as_str() {
            "-filepath" | "-argumentlist" | "-args" | "-nonewwindow" | "-wait" | "-passthru" => {}
            lower if lower.starts_with('-') => at += 1,
            _ => argv.extend(word.split([' ', ',']).filter(|part| !part.is_empty()).map(str::to_owned)),
        }
    }
    Some(Inner::Argv { label: name.to_owned(), argv }).filter(|_| !words.is_empty())
}

fn posix(name: &str, argv: &[String]) -> Option<Inner> {
    let words: Vec<String> = argv.iter().skip(usize::from(name == "wsl")).map(|word| super::run::quote(word)).collect();
    let from = words.iter().position(|word| !word.starts_with('-') || name != "wsl")?;
    let label = name.to_owned();
    let text = words.get(from..)?.join(" ");
    Some(Inner::Posix { label, text }).filter(|_| argv.len() > 1)
}
