//! `echo`, `printf` and `seq`.

use super::MAX_VALUE;
use crate::shell::escapes;

/// bash's builtin: escapes only after `-e`.
pub(super) fn echo(mut argv: &[&str]) -> Vec<u8> {
    let (mut newline, mut escapes_on) = (true, false);
    while let Some((first, rest)) = argv.split_first() {
        let letters = first.strip_prefix('-').unwrap_or_default();
        if letters.is_empty() || !letters.bytes().all(|b| b"neE".contains(&b)) {
            break;
        }
        for letter in letters.bytes() {
            match letter {
                b'n' => newline = false,
                letter => escapes_on = letter == b'e',
            }
        }
        argv = rest;
    }
    let text = argv.join(" ");
    let (mut bytes, stop) = if escapes_on { escapes::echo(&text) } else { (text.into_bytes(), false) };
    if newline && !stop {
        bytes.push(b'\n');
    }
    bytes
}

/// `printf FORMAT ARGUMENT…`: the format is used again until the arguments are spent.
pub(super) fn printf(argv: &[&str]) -> Option<Vec<u8>> {
    let argv = argv.strip_prefix(&["--"]).unwrap_or(argv);
    let (format, mut arguments) = argv.split_first()?;
    let mut out = Vec::new();
    loop {
        let before = arguments.len();
        if !once(format, &mut arguments, &mut out)? || arguments.is_empty() || arguments.len() == before {
            return Some(out);
        }
        if out.len() > MAX_VALUE {
            return None;
        }
    }
}

/// Uses the format once; `false` if `\c` ended the output.
fn once(format: &str, arguments: &mut &[&str], out: &mut Vec<u8>) -> Option<bool> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (before, after) = (rest.get(..at)?, rest.get(at + 1..)?);
        out.extend(escapes::ansi_c(before));
        if let Some(after) = after.strip_prefix('%') {
            out.push(b'%');
            rest = after;
            continue;
        }
        let length = after.find(|c: char| c.is_ascii_alphabetic())?;
        let (flags, conversion) = (after.get(..length)?, after.get(length..=length)?);
        rest = after.get(length + 1..)?;
        let argument = arguments.first().copied();
        *arguments = arguments.get(1..).unwrap_or_default();
        if !convert(flags, conversion, argument, out)? {
            return Some(false);
        }
    }
    out.extend(escapes::ansi_c(rest));
    Some(true)
}

fn convert(flags: &str, conversion: &str, argument: Option<&str>, out: &mut Vec<u8>) -> Option<bool> {
    let text = argument.unwrap_or_default();
    let (flags, precision) = flags.split_once('.').map_or((flags, None), |(f, p)| (f, p.parse::<usize>().ok()));
    let zero = flags.starts_with('0');
    let left = flags.starts_with('-');
    let width: usize = flags.trim_start_matches(['-', '0', '+', ' ', '#']).parse().unwrap_or(0);
    let width = width.min(1024);
    let shown = match conversion {
        "b" => {
            let (bytes, stop) = escapes::echo(text);
            out.extend(bytes);
            return Some(!stop);
        }
        "s" => text.chars().take(precision.unwrap_or(usize::MAX)).collect::<String>(),
        "c" => text.chars().take(1).collect(),
        "q" => crate::shell::run::quote(text),
        "d" | "i" | "u" => number(text)?.to_string(),
        "o" => format!("{:o}", number(text)?),
        "x" => format!("{:x}", number(text)?),
        "X" => format!("{:X}", number(text)?),
        _ => return None,
    };
    let padded = match (left, zero && conversion != "s") {
        (true, _) => format!("{shown:<width$}"),
        (_, true) => format!("{shown:0>width$}"),
        _ => format!("{shown:>width$}"),
    };
    out.extend_from_slice(padded.as_bytes());
    Some(true)
}

/// A number, or the code of the character after a quote.
fn number(text: &str) -> Option<i64> {
    if let Some(rest) = text.strip_prefix(['\'', '"']) {
        return Some(rest.chars().next().map_or(0, |c| i64::from(u32::from(c))));
    }
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None if digits.is_empty() => 0,
        None if digits.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

/// `seq [FIRST [STEP]] LAST`.
pub(super) fn seq(argv: &[&str]) -> Option<Vec<u8>> {
    let numbers: Option<Vec<i64>> = argv.iter().map(|word| word.parse().ok()).collect();
    let (first, step, last) = match numbers?.as_slice() {
        [last] => (1, 1, *last),
        [first, last] => (*first, 1, *last),
        [first, step, last] => (*first, *step, *last),
        _ => return None,
    };
    let mut out = Vec::new();
    let mut value = first;
    while step != 0 && ((step > 0 && value <= last) || (step < 0 && value >= last)) {
        out.extend_from_slice(format!("{value}\n").as_bytes());
        if out.len() > MAX_VALUE {
            return None;
        }
        value = value.checked_add(step)?;
    }
    Some(out)
}
