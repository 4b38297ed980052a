//! Command text -> the programs that it starts.
//!
//! A static reading: the text is parsed and evaluated as far as it can be without running anything. All branches are
//! read. Text comes from whoever had a shell and is hostile: length, nesting, steps and invocations are bounded, and the
//! parsers never fail.
//!
//! A wrapper is an invocation of its own: `sudo rm -rf /x` gives `["sudo","rm","-rf","/x"]` with no `via`, then
//! `["rm","-rf","/x"]` via `sudo`, so that rules about either match. Invocations come in the order in which they would
//! start; equal ones are listed once. Redirections and assignments are in no `argv`; rules find them in the text itself.

mod arithmetic;
mod brace;
mod budget;
mod builtin;
mod escapes;
mod expand;
mod filter;
mod glob;
mod parser;
mod powershell;
mod program;
mod run;
mod start;
mod state;
mod syntax;
mod words;
mod wrapper;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::command::Mark;
use crate::session::Platform;
use budget::Budget;
use parser::Parser;
use state::{Pipe, Shell};

/// One program that a command line starts, with its wrappers taken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invocation {
    /// Program and arguments after quote removal; never empty. Expansions whose value is not known stay as written.
    pub argv: Vec<String>,
    /// Wrappers that were taken off, outermost first: `sudo`, `env`, `bash -c`, `eval`, ….
    pub via: Vec<String>,
    /// Whether quotes, escapes or an inner shell had to be undone to know it, so that the raw text differs.
    pub decoded: bool,
}

impl Invocation {
    /// The normalised command line: words joined by one blank, as rules see it in `CommandLine`.
    pub fn command_line(&self) -> String {
        self.argv.join(" ")
    }
}

/// The language of a command text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// sh, dash, bash, zsh, and fish as far as it is alike.
    #[default]
    Posix,
    /// PowerShell and cmd.
    PowerShell,
}

impl Dialect {
    /// The language that is typed on a target of this platform.
    pub fn of(platform: Platform) -> Self {
        if platform == Platform::Windows { Self::PowerShell } else { Self::Posix }
    }
}

/// What a command text starts, and what is remarkable about the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// In the order in which they would start.
    pub invocations: Vec<Invocation>,
    /// [`Mark::Obfuscated`] if the text hides what it runs, [`Mark::Cut`] if a limit left something out.
    pub marks: BTreeSet<Mark>,
}

/// Why a shell that has read a text wants another line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Unfinished {
    /// Inside quotes.
    Quote,
    /// The text ends with a backslash.
    Backslash,
    /// Inside a here-document, which ends with a line that is exactly `delimiter` (after leading tabs if `tabs`).
    HereDoc {
        /// The delimiter, quotes removed.
        delimiter: String,
        /// `<<-`.
        tabs: bool,
    },
    /// The text ends with `|`, `&&` or `||`.
    Operator,
    /// `if`, `for`, `while`, `case`, `{`, `(`, `$(`, a backtick or a function is open.
    Compound,
}

/// Longest text that is read, in bytes; the rest is left out and marked.
pub const MAX_TEXT: usize = 64 * 1024;
/// Most invocations of one text.
pub const MAX_INVOCATIONS: usize = 4096;
/// Deepest nesting of parentheses, substitutions and inner shells together.
pub const MAX_DEPTH: usize = 40;
/// Steps that reading any text may take, and more for each of its bytes; half of them are kept from repetition.
const BASE_STEPS: usize = 400_000;
const STEPS_PER_BYTE: usize = 32;

/// Reads a command text.
///
/// ```
/// use warden_session::shell::{Dialect, parse};
/// let parsed = parse("sudo bash -c 'rm -rf /x'", Dialect::Posix);
/// let last = parsed.invocations.last().unwrap();
/// assert_eq!(last.argv, ["rm", "-rf", "/x"]);
/// assert_eq!(last.via, ["sudo", "bash -c"]);
/// ```
pub fn parse(text: &str, dialect: Dialect) -> Parsed {
    let kept = prefix(text, MAX_TEXT);
    let mut budget = Budget::new(BASE_STEPS + STEPS_PER_BYTE * text.len().min(MAX_TEXT), MAX_DEPTH);
    budget.cut = kept.len() < text.len();
    match dialect {
        Dialect::Posix => posix(kept, budget),
        Dialect::PowerShell => powershell::read(kept, &mut budget),
    }
}

fn posix(text: &str, mut budget: Budget) -> Parsed {
    let script = Parser::new(text, &mut budget).script();
    run(text, &script, budget)
}

fn run(text: &str, script: &syntax::Script, budget: Budget) -> Parsed {
    let mut shell = Shell::new(text, budget);
    shell.run(script, &mut Pipe::default());
    shell.uncalled();
    if shell.budget.cut {
        shell.marks.insert(Mark::Cut);
    }
    Parsed { invocations: shell.invocations, marks: shell.marks }
}

/// [`unfinished`], and if that is nothing [`parse`] for a POSIX shell, in one reading.
pub(crate) fn examine(text: &str) -> Result<Parsed, Unfinished> {
    if text.len() > MAX_TEXT {
        return Ok(parse(text, Dialect::Posix));
    }
    let mut budget = Budget::new(BASE_STEPS + STEPS_PER_BYTE * text.len(), MAX_DEPTH);
    let mut parser = Parser::new(text, &mut budget);
    let script = parser.script();
    match parser.open.take() {
        Some(open) if !budget.cut => Err(open),
        _ => Ok(run(text, &script, budget)),
    }
}

/// Whether a POSIX shell that has read this text (lines joined by `\n`) wants another line, and why; `None` if it would
/// run what it has. Linear in the text: a reader that is inside a here-document waits for its delimiter instead of asking
/// again at each line.
///
/// ```
/// use warden_session::shell::{Unfinished, unfinished};
/// assert_eq!(unfinished("echo 'one"), Some(Unfinished::Quote));
/// assert_eq!(unfinished("for i in 1 2\ndo echo $i"), Some(Unfinished::Compound));
/// assert_eq!(unfinished("cat <<'EOF'"), Some(Unfinished::HereDoc { delimiter: "EOF".to_owned(), tabs: false }));
/// assert_eq!(unfinished("ls | wc -l"), None);
/// ```
pub fn unfinished(text: &str) -> Option<Unfinished> {
    let mut budget = Budget::new(BASE_STEPS + STEPS_PER_BYTE * text.len().min(MAX_TEXT), MAX_DEPTH);
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut parser = Parser::new(text, &mut budget);
    parser.script();
    let open = parser.open.take();
    if budget.cut { None } else { open }
}

/// The longest prefix of at most `limit` bytes that ends at a character.
fn prefix(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{Dialect, examine, parse, unfinished};

    proptest! {
        #[test]
        fn one_reading_says_what_two_say(text in r#"([a-z ]|[|&;<>(){}$`"'\\\n#0-9é=]|<<E\n|\$\(|for |case |do |done|esac|if |fi|sudo ){0,40}"#) {
            let wanted = unfinished(&text).map_or_else(|| Ok(parse(&text, Dialect::Posix)), Err);
            prop_assert_eq!(examine(&text), wanted);
        }
    }
}
