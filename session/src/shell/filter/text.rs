//! Line and character editing: `rev`, `tac`, `tr`, `sed s`, `cut`, `head`, `tail`.

use regex::Regex;

/// Longest pattern of `sed` that is compiled, in bytes.
const MAX_PATTERN: usize = 256;

pub(super) fn rev(input: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(input);
    let ends = text.ends_with('\n');
    let lines: Vec<String> = text.lines().map(|line| line.chars().rev().collect()).collect();
    let mut out = lines.join("\n").into_bytes();
    if ends {
        out.push(b'\n');
    }
    out
}

pub(super) fn tac(input: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(input);
    text.lines().rev().flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

/// `tr [-d|-s|-c] SET1 [SET2]`.
pub(super) fn tr(argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let flags: String = argv.iter().take_while(|word| is_flag(word)).flat_map(|word| word.chars().skip(1)).collect();
    let sets: Vec<Vec<u8>> = argv.iter().skip_while(|word| is_flag(word)).map(|word| set(word)).collect();
    let first = sets.first()?;
    let member = |byte: u8| first.contains(&byte) != flags.contains(['c', 'C']);
    if flags.contains('d') {
        return Some(input.iter().copied().filter(|byte| !member(*byte)).collect());
    }
    let Some(second) = sets.get(1) else {
        return flags.contains('s').then(|| squeeze(input, &member));
    };
    let last = second.last().copied()?;
    let change = |byte: u8| match first.iter().rposition(|b| *b == byte) {
        _ if flags.contains(['c', 'C']) => {
            if member(byte) {
                last
            } else {
                byte
            }
        }
        Some(at) => second.get(at).copied().unwrap_or(last),
        None => byte,
    };
    Some(input.iter().map(|byte| change(*byte)).collect())
}

fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.bytes().skip(1).all(|b| b"dscCt".contains(&b))
}

fn squeeze(input: &[u8], member: &dyn Fn(u8) -> bool) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(input.len());
    for byte in input {
        if out.last() != Some(byte) || !member(*byte) {
            out.push(*byte);
        }
    }
    out
}

/// The bytes of a set: ranges, escapes, classes.
fn set(text: &str) -> Vec<u8> {
    let classes: [(&str, &str); 5] = [
        ("[:upper:]", "A-Z"),
        ("[:lower:]", "a-z"),
        ("[:digit:]", "0-9"),
        ("[:alpha:]", "A-Za-z"),
        ("[:space:]", " \\t\\n\\r"),
    ];
    let mut text = text.to_owned();
    for (class, ranges) in classes {
        text = text.replace(class, ranges);
    }
    let bytes = crate::shell::escapes::ansi_c(&text);
    let mut out = Vec::new();
    let mut rest = bytes.as_slice();
    loop {
        rest = match rest {
            [low, b'-', high, rest @ ..] if low <= high => {
                out.extend(*low..=*high);
                rest
            }
            [one, rest @ ..] => {
                out.push(*one);
                rest
            }
            [] => return out,
        };
    }
}

/// `sed s/a/b/[g]`, several with `-e` or `;`.
pub(super) fn sed(argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let extended = argv.iter().any(|word| matches!(*word, "-E" | "-r"));
    let scripts: Vec<&str> = argv.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let mut text = String::from_utf8_lossy(input).into_owned();
    for script in scripts {
        let mut rest = script.trim();
        while !rest.is_empty() {
            let (pattern, with, flags, after) = substitution(rest)?;
            text = replace_lines(&text, &pattern, &with, &flags, extended)?;
            rest = after.trim_start_matches([';', ' ', '\n']);
        }
    }
    Some(text.into_bytes())
}

fn substitution(script: &str) -> Option<(String, String, String, &str)> {
    let body = script.strip_prefix('s')?;
    let delimiter = body.chars().next()?;
    let mut fields = [String::new(), String::new()];
    let mut at = 0;
    let mut chars = body.get(delimiter.len_utf8()..)?.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == delimiter => at += 1,
            '\\' => {
                let next = chars.next()?;
                let field = fields.get_mut(at)?;
                if next != delimiter {
                    field.push('\\');
                }
                field.push(next);
            }
            c => fields.get_mut(at)?.push(c),
        }
        if at == 2 {
            break;
        }
    }
    let rest = chars.as_str();
    let end = rest.find([';', '\n', ' ']).unwrap_or(rest.len());
    let [pattern, with] = fields;
    (at == 2)
        .then(|| (pattern, with, rest.get(..end).unwrap_or_default().to_owned(), rest.get(end..).unwrap_or_default()))
}

fn replace_lines(text: &str, pattern: &str, with: &str, flags: &str, extended: bool) -> Option<String> {
    if pattern.len() > MAX_PATTERN {
        return None;
    }
    let pattern = if extended { pattern.to_owned() } else { basic(pattern) };
    let pattern = if flags.contains(['i', 'I']) { format!("(?i){pattern}") } else { pattern };
    let regex = Regex::new(&pattern).ok()?;
    let with = template(with);
    let lines = text.split_inclusive('\n').map(|line| {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let times = usize::from(!flags.contains('g'));
        format!("{}{end}", regex.replacen(line, times, with.as_str()))
    });
    Some(lines.collect())
}

/// A basic regular expression as an extended one: `\(` groups, a bare `(` is text.
fn basic(pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('(' | ')' | '{' | '}' | '+' | '?' | '|')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push_str("\\\\"),
            },
            c @ ('(' | ')' | '{' | '}' | '+' | '?' | '|') => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// `&` and `\1` of a replacement in `regex`'s notation.
fn template(with: &str) -> String {
    let mut out = String::new();
    let mut chars = with.chars();
    while let Some(c) = chars.next() {
        match c {
            '&' => out.push_str("${0}"),
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some(digit) if digit.is_ascii_digit() => out.extend(['$', '{', digit, '}']),
                Some('n') => out.push('\n'),
                Some(c) => out.push(c),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

/// `cut -c LIST`, `cut -b LIST`, `cut -d X -f LIST`.
pub(super) fn cut(argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let option = |letter: &str| {
        let at = argv.iter().position(|word| word.strip_prefix('-').is_some_and(|rest| rest.starts_with(letter)))?;
        let attached = argv.get(at)?.get(2..)?;
        if attached.is_empty() { argv.get(at + 1).copied() } else { Some(attached) }
    };
    let text = String::from_utf8_lossy(input);
    let mut out = String::new();
    for line in text.lines() {
        if let Some(list) = option("c").or_else(|| option("b")) {
            let ranges = ranges(list)?;
            out.extend(line.chars().enumerate().filter(|(n, _)| within(&ranges, n + 1)).map(|(_, c)| c));
        } else {
            let delimiter = option("d").and_then(|text| text.chars().next()).unwrap_or('\t');
            let ranges = ranges(option("f")?)?;
            let fields: Vec<&str> = line
                .split(delimiter)
                .enumerate()
                .filter(|(n, _)| within(&ranges, n + 1))
                .map(|(_, field)| field)
                .collect();
            out.push_str(&fields.join(delimiter.encode_utf8(&mut [0; 4])));
        }
        out.push('\n');
    }
    Some(out.into_bytes())
}

fn ranges(list: &str) -> Option<Vec<(usize, usize)>> {
    list.split(',')
        .map(|item| match item.split_once('-') {
            None => item.parse().ok().map(|n| (n, n)),
            Some((from, "")) => from.parse().ok().map(|n| (n, usize::MAX)),
            Some(("", to)) => to.parse().ok().map(|n| (1, n)),
            Some((from, to)) => from.parse().ok().zip(to.parse().ok()),
        })
        .collect()
}

fn within(ranges: &[(usize, usize)], n: usize) -> bool {
    ranges.iter().any(|(from, to)| (*from..=*to).contains(&n))
}

/// `head` and `tail` with `-n N`, `-N` or `-c N`.
pub(super) fn ends(name: &str, argv: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let flag = argv.iter().position(|word| word.starts_with('-'));
    let (unit, count) = match flag.and_then(|at| argv.get(at).map(|word| (at, *word))) {
        None => ('n', "10"),
        Some((at, "-n" | "-c")) => (argv.get(at)?.chars().nth(1)?, *argv.get(at + 1)?),
        Some((_, word)) => match word.get(1..2)? {
            "n" | "c" => (word.chars().nth(1)?, word.get(2..)?),
            _ => ('n', word.get(1..)?),
        },
    };
    let from_start = name == "tail" && count.starts_with('+');
    let count: usize = count.trim_start_matches('+').parse().ok()?;
    let pieces: Vec<&[u8]> =
        if unit == 'c' { input.chunks(1).collect() } else { input.split_inclusive(|byte| *byte == b'\n').collect() };
    let kept = match (name, from_start) {
        ("head", _) => pieces.get(..count.min(pieces.len())),
        (_, true) => pieces.get(count.saturating_sub(1).min(pieces.len())..),
        _ => pieces.get(pieces.len().saturating_sub(count)..),
    };
    Some(kept?.concat())
}
