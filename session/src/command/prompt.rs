//! Prompts: where they end, what they tell, and which ones a session has shown.

use serde::{Deserialize, Serialize};

/// What stands behind a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PromptKind {
    /// A shell that wants a command.
    Shell,
    /// A shell that wants the rest of one (`PS2`).
    Continuation,
    /// An interpreter's own prompt.
    Repl,
}

/// The prompts that a session has shown so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Prompts {
    learned: Vec<Learned>,
    empty: bool,
}

/// A prompt that the session has shown.
#[derive(Debug, Serialize, Deserialize)]
struct Learned {
    text: String,
    kind: PromptKind,
    /// A line editor marked the region in which it was seen: without marks it is likely a copy.
    edited: bool,
}

/// Prompts remembered at once; the one unused for longest is forgotten.
const MAX_LEARNED: usize = 64;
/// Longest prompt, in bytes of its last row.
const MAX_PROMPT: usize = 256;

impl Prompts {
    /// Whether no prompt has been seen yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.learned.is_empty() && !self.empty
    }

    /// Whether the shell is known to print no prompt at all.
    pub(crate) fn prints_none(&self) -> bool {
        self.empty
    }

    /// The shell prints no prompt (`PS1=''`).
    pub(crate) fn learn_empty(&mut self) {
        self.empty = true;
    }

    /// Remembers a prompt; the text ends where the command begins.
    pub(crate) fn learn(&mut self, text: &str, kind: PromptKind, edited: bool) {
        if text.trim().is_empty() || text.len() > MAX_PROMPT {
            return;
        }
        let edited = edited && self.learned.iter().all(|known| known.text != text || known.edited);
        self.learned.retain(|known| known.text != text);
        if self.learned.len() >= MAX_LEARNED {
            self.learned.remove(0);
        }
        self.learned.push(Learned { text: text.to_owned(), kind, edited });
    }

    /// Whether this known prompt has only been seen where a line editor marked it.
    pub(crate) fn is_edited(&self, prompt: &str) -> bool {
        self.learned.iter().any(|known| known.text == prompt && known.edited)
    }

    /// Whether every shell prompt has only been seen where a line editor marked it.
    pub(crate) fn all_edited(&self) -> bool {
        self.shells().all(|known| known.edited)
    }

    /// The longest known prompt at the beginning of a line: where it ends, and its kind.
    pub(crate) fn known_at_start(&self, line: &str) -> Option<(usize, PromptKind)> {
        let known = self.learned.iter().filter(|known| line.starts_with(known.text.as_str()));
        known.max_by_key(|known| known.text.len()).map(|known| (known.text.len(), known.kind))
    }

    /// A known shell prompt anywhere in a line that begins with something else: the text before it is output without a
    /// line end. Only prompts long enough not to be met by chance.
    pub(crate) fn known_inside(&self, line: &str) -> Option<(usize, usize)> {
        let shells = self.shells().filter(|known| known.text.len() >= MIN_INSIDE);
        shells.filter_map(|known| line.find(known.text.as_str()).map(|at| (at, at + known.text.len()))).min()
    }

    /// A prompt like a known one, with another directory or branch: same user, host and ending.
    pub(crate) fn similar_at_start(&self, line: &str) -> Option<usize> {
        let end = stock_end(line)?;
        let template = template(line.get(..end)?);
        self.shells().any(|known| self::template(&known.text) == template).then_some(end)
    }

    fn shells(&self) -> impl Iterator<Item = &Learned> {
        self.learned.iter().filter(|known| known.kind == PromptKind::Shell)
    }
}

/// Shortest prompt that is searched for inside lines.
const MIN_INSIDE: usize = 6;

/// What remains of a prompt when directories, branches, counters and times are taken out.
fn template(prompt: &str) -> String {
    let (head, ending) = prompt.trim_end().char_indices().last().map_or(("", ""), |(at, _)| prompt.split_at(at));
    let account = account(head).map(|(user, host)| format!("{user}@{host}"));
    let head =
        account.unwrap_or_else(|| head.chars().filter(|c| !c.is_alphanumeric() && !"/~.-_".contains(*c)).collect());
    format!("{head}{}", ending.trim_end())
}

/// Where a prompt of a usual shape ends, so that the command begins there.
///
/// Usual are: `sh-5.2$ `, `[user@host dir]# `, `user@host:dir$ `, `host:dir# `, `~/dir % `, `word> `, a lone sign, and
/// all of these behind `(venv) ` or a `[12:30:01] `.
pub(crate) fn stock_end(line: &str) -> Option<usize> {
    if let Some(end) = windows_end(line).or_else(|| arrow_end(line)) {
        return Some(end);
    }
    let skipped = decorations(line);
    let rest = line.get(skipped..)?;
    let ends = terminators(rest).take(MAX_TERMINATORS);
    ends.into_iter().find(|(head, sign, _)| is_usual_head(head, *sign)).map(|(_, _, end)| skipped + end)
}

/// Where the first thing that could end a prompt of any shape does.
pub(crate) fn any_end(line: &str) -> Option<usize> {
    let plausible = |head: &str| head.len() <= MAX_PROMPT && !head.contains(['"', '\'', ';', '|', '&', '`']);
    terminators(line).next().filter(|(head, _, _)| plausible(head)).map(|(_, _, end)| end)
}

/// Where a shell's request for the rest of a command ends: `> `, and zsh's `for> `, `dquote> `, `pipe heredoc> `.
pub(crate) fn continuation_end(line: &str) -> Option<usize> {
    let (head, _) = line.split_once("> ")?;
    head.split(' ').all(|word| word.is_empty() || ZSH_CONTINUATIONS.contains(&word)).then_some(head.len() + 2)
}

/// Where an interpreter's prompt ends.
pub(crate) fn repl_end(line: &str) -> Option<usize> {
    if let Some(prompt) = REPL_PROMPTS.iter().find(|prompt| line.starts_with(**prompt)) {
        return Some(prompt.len());
    }
    let ends = REPL_SIGNS.iter().filter_map(|sign| {
        let at = line.find(sign)?;
        Some((line.get(..at)?, *sign, at + sign.len()))
    });
    let (head, sign, end) = ends.min_by_key(|(head, _, _)| head.len())?;
    let name = head.trim_start();
    let plain = head.len() <= 40 && !name.contains(['"', '\'', ';', '|', '&', '$', '/']);
    let fits = match sign {
        "> " => (name.split(' ').count() <= 2 && !name.contains('<')) || name.starts_with("DB<"),
        "# " => name.ends_with(['=', '-', '*', '(', '\'', '"']),
        "]: " => name.starts_with("In ["),
        _ => name.starts_with('(') && !name.contains(' '),
    };
    (plain && fits && !name.is_empty()).then_some(end)
}

/// How interpreters' prompts end: `irb(main):001> `, `MariaDB [db]> `, `  DB<1> `; `db=# `; `In [3]: `; `(gdb) `.
const REPL_SIGNS: &[&str] = &["> ", "# ", "]: ", ") "];

/// The effective user, if a shell prompt shows one: its name, or root behind `#`.
pub(crate) fn user(prompt: &str) -> Option<String> {
    if let Some((user, _)) = account(prompt) {
        return Some(user.to_owned());
    }
    prompt.trim_end().ends_with('#').then(|| "root".to_owned())
}

/// The working directory, if a prompt shows a whole path.
pub(crate) fn directory(prompt: &str) -> Option<String> {
    let head = prompt.trim_end().trim_end_matches(SIGNS);
    let at = head.char_indices().find(|(at, c)| {
        let before = head.get(..*at).and_then(|text| text.chars().next_back());
        matches!(c, '/' | '~') && before.is_none_or(|b| matches!(b, ':' | ' '))
    })?;
    let path: String = head.get(at.0..)?.chars().take_while(|c| !matches!(c, ' ' | ']' | ')')).collect();
    Some(path)
}

/// `user` and `host` of `user@host`.
fn account(prompt: &str) -> Option<(&str, &str)> {
    let at = prompt.find('@')?;
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '\\');
    let user = prompt.get(..at)?.rsplit(|c| !is_name(c)).next().filter(|user| !user.is_empty())?;
    let host = prompt.get(at + 1..)?.split(|c| !is_name(c)).next().filter(|host| !host.is_empty())?;
    Some((user, host))
}

/// Each place where a prompt could end: what stands before the sign, the sign, and the place behind its blank.
fn terminators(line: &str) -> impl Iterator<Item = (&str, char, usize)> {
    line.char_indices().filter_map(|(at, sign)| {
        let behind = at + sign.len_utf8();
        let blank = line.get(behind..)?.chars().next().filter(|c| matches!(c, ' ' | '\u{a0}'))?;
        SIGNS.contains(&sign).then(|| (line.get(..at).unwrap_or_default(), sign, behind + blank.len_utf8()))
    })
}

/// Signs that end prompts; U+FFFD is what the agent's cleaning leaves of those beyond ASCII.
pub(crate) const SIGNS: &[char] = &['\u{fffd}', '$', '#', '%', '>', '❯', '➜', 'λ', '»', '›', '⟩', '❱', '➤'];
/// Signs tried in one line.
const MAX_TERMINATORS: usize = 3;

fn is_usual_head(head: &str, sign: char) -> bool {
    if head.len() > MAX_PROMPT || head.contains(['"', '\'', ';', '|', '&', '<', '`', '=', '*']) {
        return false;
    }
    if head.chars().all(|c| !c.is_alphanumeric() && c != ' ' && !c.is_ascii()) {
        return sign != '>' || !head.is_empty();
    }
    let adjacent = !head.ends_with(' ');
    let word = |text: &str| text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if word(head) {
        return true;
    }
    let bracketed = head.trim_end();
    if bracketed.starts_with('[') && bracketed.ends_with(']') && !bracketed.starts_with("[[") {
        return true;
    }
    let first = head.split([' ', ':']).next().unwrap_or_default().trim_start_matches(['[', '(', '{', '<']);
    if account(first).is_some() && !first.contains('/') {
        return true;
    }
    let place = head.trim_end().rsplit(':').next().unwrap_or_default();
    let path = place.starts_with(['/', '~']) && !place.contains(' ');
    let host = head.trim_end().split_once(':').is_none_or(|(host, _)| word(host));
    path && host && (adjacent || sign != '>')
}

/// What may stand before a prompt proper: `(venv) `, `[12:30:01] `, `12:30:01 `.
fn decorations(line: &str) -> usize {
    let mut skipped = 0;
    while let Some(rest) = line.get(skipped..) {
        let Some((word, _)) = rest.split_once(' ') else { break };
        let venv = word.starts_with('(') && word.ends_with(')') && word.len() > 2;
        let inner = word.trim_start_matches('[').trim_end_matches(']');
        let time = inner.len() >= 4 && inner.contains(':') && inner.chars().all(|c| c.is_ascii_digit() || c == ':');
        if !(venv || time) {
            break;
        }
        skipped += word.len() + 1;
    }
    skipped
}

/// `PS C:\Users\x> ` and `C:\x>`.
fn windows_end(line: &str) -> Option<usize> {
    let shell = line.strip_prefix("PS ").unwrap_or(line);
    let drive = shell.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && shell.get(1..3) == Some(":\\");
    let posix = line.starts_with("PS /");
    let end = line.find('>').filter(|_| drive || posix)? + 1;
    Some(end + usize::from(line.get(end..).is_some_and(|rest| rest.starts_with(' '))))
}

/// oh-my-zsh's `➜  dir git:(main) ✗ `.
fn arrow_end(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("➜  ")?;
    let (dir, _) = rest.split_once(' ')?;
    let mut end = line.len() - rest.len() + dir.len() + 1;
    if let Some(branch) = line.get(end..).filter(|rest| rest.starts_with("git:(")).and_then(|rest| rest.split_once(' '))
    {
        end += branch.0.len() + 1;
    }
    if line.get(end..).is_some_and(|rest| rest.starts_with("✗ ")) {
        end += "✗ ".len();
    }
    Some(end)
}

/// Names of zsh's parser states, as its default `PS2` (`%_> `) shows them.
const ZSH_CONTINUATIONS: &[&str] = &[
    "quote",
    "dquote",
    "bquote",
    "heredoc",
    "heredocd",
    "for",
    "while",
    "until",
    "if",
    "then",
    "else",
    "elif",
    "elif-then",
    "case",
    "select",
    "repeat",
    "foreach",
    "function",
    "pipe",
    "cmdand",
    "cmdor",
    "cmdsubst",
    "mathsubst",
    "math",
    "braceparam",
    "subsh",
    "cursh",
    "errpipe",
    "cond",
    "array",
    "begin",
];

/// Prompts of interpreters that no general shape covers.
const REPL_PROMPTS: &[&str] =
    &[">>> ", "... ", "   ...> ", "    -> ", "    '> ", "    \"> ", "    `> ", "php > ", "> "];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_prompts_end_where_the_command_begins() {
        let rows: &[(&str, &str)] = &[
            ("sh-5.2$ ", "ls"),
            ("sh-4.2# ", "ls # x"),
            ("-bash-4.2$ ", "ls"),
            ("$ ", "echo $ x"),
            ("# ", "id"),
            ("% ", "id"),
            ("❯ ", "id > x"),
            ("[root@ip-10-0-0-1 ~]# ", "cat /etc/shadow"),
            ("[ssm-user@ip-10-0-0-1 bin]$ ", " cat x"),
            ("ubuntu@ip-10-0-0-1:~/a b$ ", "ls"),
            ("user@host:~/app (main)$ ", "git status"),
            ("user@host ~ % ", "ls"),
            ("ssm-user@host /u/bin> ", "ls"),
            ("host:/var/log# ", "tail -f x"),
            ("ip-10-0-0-1% ", "ls"),
            ("~/work $ ", "ls"),
            ("(venv) user@host:~$ ", "pip list"),
            ("[12:30:01] user@host:~$ ", "pip list"),
            ("custom> ", "ls"),
            ("└─$ ", "ls"),
            ("╰─➤ ", "ls"),
            ("➜  app git:(main) ✗ ", "ls"),
            ("➜  ~ ", "ls"),
            ("PS C:\\Users\\Administrator> ", "Get-Process"),
        ];
        for (prompt, command) in rows {
            let line = format!("{prompt}{command}");
            assert_eq!(stock_end(&line), Some(prompt.len()), "{line}");
        }
    }

    #[test]
    fn commands_and_output_are_not_prompts() {
        let rows = [
            "date +%H > /tmp/hour.txt",
            "echo 'a$ b'",
            "ls",
            "total 0",
            "a | b > c",
            "Filesystem  Use% Mounted on",
            "x=1 $ y",
        ];
        for line in rows {
            assert_eq!(stock_end(line), None, "{line}");
        }
    }

    #[test]
    fn interpreters_are_known_by_their_prompts() {
        for prompt in [
            ">>> ",
            "... ",
            "sqlite> ",
            "   ...> ",
            "mysql> ",
            "    -> ",
            "MariaDB [(none)]> ",
            "postgres=# ",
            "postgres-> ",
            "irb(main):001:0> ",
            "In [12]: ",
            "  DB<1> ",
            "127.0.0.1:6379> ",
            "(gdb) ",
            "ftp> ",
            "php > ",
            "(Pdb) ",
        ] {
            assert_eq!(repl_end(&format!("{prompt}x y")), Some(prompt.len()), "{prompt}");
        }
    }

    #[test]
    fn prompts_tell_user_and_directory() {
        let rows = [
            ("[root@ip-1 ~]# ", Some("root"), Some("~")),
            ("ubuntu@ip-1:/var/log$ ", Some("ubuntu"), Some("/var/log")),
            ("sh-4.2# ", Some("root"), None),
            ("sh-4.2$ ", None, None),
        ];
        for (prompt, name, path) in rows {
            assert_eq!((user(prompt).as_deref(), directory(prompt).as_deref()), (name, path), "{prompt}");
        }
    }
}
