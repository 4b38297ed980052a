//! Commands inside the arguments of other programs: `su -c`, `find -exec`, `python -c "os.system('…')"`.

use super::state::Field;
use super::wrapper;

/// What a program's argument starts.
#[derive(Debug)]
pub(super) enum Inner {
    /// Text for a shell.
    Text(String),
    /// An argument vector.
    Argv(Vec<String>),
}

/// The shell text that a program's own options hold, with the wrapper's label.
pub(super) fn shell_text(name: &str, argv: &[&str]) -> Option<(String, String)> {
    let text = match name {
        "su" | "runuser" | "sg" | "script" | "flock" | "vi" | "vim" | "capsh" => return option_text(name, argv),
        "watch" => words_after(argv, "nd", &["--interval", "--differences"])?,
        "ssh" => argv.get(wrapper::ssh(argv)?..)?.join(" "),
        "env" => return env_split(argv),
        "sudo" => return sudo_shell(argv),
        "parallel" => {
            let end = argv.iter().position(|word| word.starts_with(":::")).unwrap_or(argv.len());
            words_after(argv.get(..end)?, "jPSnNIaLs", &["--jobs", "--sshlogin", "--colsep", "--joblog", "--delay"])?
        }
        "tmux" | "screen" => return multiplexer(name, argv),
        _ => return None,
    };
    Some((name.to_owned(), text)).filter(|(_, text)| !text.is_empty())
}

fn option_text(name: &str, argv: &[&str]) -> Option<(String, String)> {
    // `runuser -u x -- cmd` has no text; the words are handled as text, for they need no quotes to be read again.
    let direct = name == "runuser" && argv.iter().any(|word| matches!(*word, "-u" | "--user"));
    if direct {
        let mut at = 1;
        while let Some(word) = argv.get(at).filter(|word| word.starts_with('-')) {
            at += match *word {
                "-u" | "--user" | "-g" | "-G" | "--group" => 2,
                _ => 1,
            };
            if *word == "--" {
                break;
            }
        }
        let words: Vec<String> = argv.get(at..)?.iter().map(|word| super::run::quote(word)).collect();
        return Some((name.to_owned(), words.join(" "))).filter(|_| !words.is_empty());
    }
    let mut words = argv.iter().skip(1);
    while let Some(word) = words.next() {
        if let Some(text) = word.strip_prefix("--command=").or_else(|| word.strip_prefix("--session-command=")) {
            return Some((format!("{name} -c"), text.to_owned()));
        }
        let short = word.starts_with('-') && !word.starts_with("--") && word.ends_with('c') && word.len() <= 5;
        if short || matches!(*word, "--command" | "--session-command") {
            let text = words.next()?;
            let text = if name.starts_with("vi") { text.trim_start_matches(':').strip_prefix('!')? } else { text };
            return Some((format!("{name} -c"), text.to_owned()));
        }
        if name == "flock" && !word.starts_with('-') {
            // flock [options] FILE command…
            let rest: Vec<&str> = words.copied().collect();
            if let ["-c" | "--command", text, ..] = rest.as_slice() {
                return Some(("flock -c".to_owned(), (*text).to_owned()));
            }
            let quoted: Vec<String> = rest.iter().map(|word| super::run::quote(word)).collect();
            return Some((name.to_owned(), quoted.join(" "))).filter(|(_, text)| !text.is_empty());
        }
        if name == "flock" && matches!(*word, "-w" | "--wait" | "--timeout" | "-E") {
            words.next();
        }
    }
    None
}

/// `env -S 'cmd args'`.
fn env_split(argv: &[&str]) -> Option<(String, String)> {
    let at = argv.iter().position(|word| word.starts_with("-S") || word.starts_with("--split-string"))?;
    let word = argv.get(at)?;
    let attached = word.strip_prefix("--split-string=").or_else(|| word.strip_prefix("-S")).unwrap_or_default();
    let rest = argv.get(at + 1..)?.join(" ");
    let text = if attached.is_empty() { rest } else { format!("{attached} {rest}") };
    Some(("env -S".to_owned(), text.trim().to_owned()))
}

/// `sudo -s cmd` and `sudo -i cmd` hand their words to a shell.
fn sudo_shell(argv: &[&str]) -> Option<(String, String)> {
    let at = wrapper::inner("sudo", argv)?;
    let own = argv.get(1..at)?;
    let short = |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.contains(['s', 'i']);
    let shell = own.iter().any(|word| short(word) || matches!(*word, "--shell" | "--login"));
    // The value of `-u` may hold these letters, but it does not start with a dash.
    let words = argv.get(at..)?;
    match words {
        [text] if shell => Some(("sudo".to_owned(), (*text).to_owned())),
        _ => None,
    }
}

fn multiplexer(name: &str, argv: &[&str]) -> Option<(String, String)> {
    let starts =
        |word: &str| matches!(word, "new" | "new-session" | "new-window" | "neww" | "split-window" | "-dm" | "-dmS");
    let at = argv.iter().position(|word| starts(word))?;
    let text = argv.get(at + 1..)?.iter().rev().take_while(|word| !word.starts_with('-')).last()?;
    let text = if text.contains(' ') { (*text).to_owned() } else { return None };
    Some((name.to_owned(), text))
}

fn words_after(argv: &[&str], values: &str, long: &[&str]) -> Option<String> {
    let mut at = 1;
    while let Some(word) = argv.get(at).filter(|word| word.len() > 1 && word.starts_with('-')) {
        let next = match word.strip_prefix("--") {
            Some("") => {
                at += 1;
                break;
            }
            Some(_) => long.contains(word),
            None => word.len() == 2 && word.get(1..).is_some_and(|letter| values.contains(letter)),
        };
        at += 1 + usize::from(next);
    }
    Some(argv.get(at..)?.join(" "))
}

/// The commands of `find … -exec cmd {} ;`.
pub(super) fn find_commands(argv: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut words = argv.iter();
    while let Some(word) = words.next() {
        if !matches!(*word, "-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "-X" | "--exec") {
            continue;
        }
        let inner: Vec<String> = words
            .by_ref()
            .take_while(|word| !matches!(**word, ";" | "+" | "\\;"))
            .map(|word| (*word).to_owned())
            .collect();
        if !inner.is_empty() {
            let name = argv.first().copied().unwrap_or_default();
            found.push((format!("{} {word}", super::start::basename(name)), inner));
        }
    }
    found
}

/// The words that a known input adds to the command of `xargs`.
pub(super) fn xargs_input(_argv: &[&str], input: Option<&[u8]>) -> Vec<String> {
    let text = input.map(String::from_utf8_lossy).unwrap_or_default();
    text.split_whitespace().map(|word| word.trim_matches(['\'', '"']).to_owned()).collect()
}

/// Puts the words of the input where `xargs` puts them: in place of `-I`'s mark, else at the end.
pub(super) fn substitute(mut inner: Vec<Field>, argv: &[&str], more: Vec<String>) -> Vec<Field> {
    if more.is_empty() {
        return inner;
    }
    let flag = argv.iter().position(|word| word.starts_with("-I") || word.starts_with("--replace"));
    let mark = flag.and_then(|at| match argv.get(at)?.strip_prefix("-I") {
        Some("") => argv.get(at + 1).copied(),
        Some(mark) => Some(mark),
        None => Some("{}"),
    });
    match mark {
        Some(mark) if !mark.is_empty() => {
            let line = more.join(" ");
            for field in &mut inner {
                field.text = field.text.replace(mark, &line);
            }
        }
        _ => inner.extend(more.into_iter().map(Field::known)),
    }
    inner
}

/// Commands in the program text of other languages, as far as they are literal.
pub(super) fn commands(name: &str, argv: &[&str]) -> Vec<(String, Inner)> {
    let flag = match name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "python" | "pypy" => "-c",
        "perl" | "ruby" | "node" | "nodejs" | "lua" => "-e",
        "php" => "-r",
        "awk" | "gawk" | "mawk" | "nawk" => "",
        _ => return Vec::new(),
    };
    let texts: Vec<&str> = if flag.is_empty() {
        argv.iter().skip(1).copied().filter(|word| word.contains(['{', '|'])).take(1).collect()
    } else {
        let at = argv.iter().position(|word| word.starts_with('-') && word.ends_with(flag.trim_start_matches('-')));
        at.and_then(|at| argv.get(at + 1)).copied().into_iter().collect()
    };
    let label = if flag.is_empty() { name.to_owned() } else { format!("{name} {flag}") };
    texts.into_iter().flat_map(calls).map(|inner| (label.clone(), inner)).collect()
}

/// Functions that start a program, with the sign that opens their arguments.
const CALLS: [&str; 22] = [
    "os.system(",
    "os.popen(",
    "subprocess.run(",
    "subprocess.call(",
    "subprocess.Popen(",
    "subprocess.check_output(",
    "subprocess.check_call(",
    "subprocess.getoutput(",
    "pty.spawn(",
    "system(",
    "exec(",
    "passthru(",
    "shell_exec(",
    "popen(",
    "execSync(",
    "spawnSync(",
    "os.execute(",
    "io.popen(",
    "system ",
    "exec ",
    "os.execl(",
    "spawn(",
];

/// Most calls that are read in one program text.
const MAX_CALLS: usize = 64;

fn calls(text: &str) -> Vec<Inner> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((at, call)) = next_call(text, from) {
        let after = text.get(at + call.len()..).unwrap_or_default().trim_start();
        found.extend(argument(after));
        from = at + call.len();
        if found.len() >= MAX_CALLS {
            break;
        }
    }
    found.extend(backticks(text));
    found
}

fn next_call(text: &str, from: usize) -> Option<(usize, &'static str)> {
    let rest = text.get(from..)?;
    // The earliest, then the longest, so that `os.system(` is not met twice.
    CALLS
        .iter()
        .filter_map(|call| rest.find(call).map(|at| (from + at, *call)))
        .min_by_key(|(at, call)| (at + call.len(), *at))
}

/// A literal argument: a string for a shell, or a list of strings.
fn argument(text: &str) -> Option<Inner> {
    let (list, body) = match text.strip_prefix(['[', '(']) {
        Some(body) => (true, body.trim_start()),
        None => (false, text),
    };
    let mut items = Vec::new();
    let mut rest = body;
    while let Some((item, after)) = string(rest) {
        items.push(item);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
        if items.len() > 64 {
            break;
        }
    }
    let first = items.first().cloned()?;
    match items.len() {
        1 if !list => Some(Inner::Text(first)),
        _ if list || items.len() > 1 => Some(Inner::Argv(items)),
        _ => Some(Inner::Text(first)),
    }
}

/// A quoted string and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let mut out = String::new();
    let mut chars = text.get(1..)?.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Some((out, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                c @ ('"' | '\'' | '\\' | '`' | '$') => out.push(c),
                c => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
    None
}

/// Backticks of Perl, Ruby and PHP.
fn backticks(text: &str) -> Option<Inner> {
    let (_, rest) = text.split_once('`')?;
    let (inside, _) = rest.split_once('`')?;
    Some(Inner::Text(inside.to_owned())).filter(|_| !inside.is_empty())
}
