//! Brace expansion: `{a,b}`, `{1..5}`.

use super::budget::Budget;
use super::syntax::Part;

/// Most words that one word's braces make.
const MAX_WORDS: usize = 256;
/// Most bytes that one word's braces make, about.
const MAX_BYTES: usize = 256 * 1024;

/// All words that the braces of one word make, left to right.
pub(super) fn expand(parts: &[Part], budget: &mut Budget) -> Vec<Vec<Part>> {
    let braces = |part: &Part| matches!(part, Part::Plain(text) if text.contains('{'));
    if !parts.iter().any(braces) {
        return vec![parts.to_vec()];
    }
    let mut done = Vec::new();
    // Words still to do, the next one last.
    let mut open = vec![parts.to_vec()];
    while let Some(word) = open.pop() {
        let size: usize = word.len() + word.iter().map(text_len).sum::<usize>();
        let words = done.len() + open.len();
        let room = words < MAX_WORDS && size * words < MAX_BYTES && budget.spend(size);
        budget.cut |= !room;
        match first(&word).filter(|_| room) {
            Some(mut alternatives) => {
                alternatives.truncate((MAX_BYTES / size.max(1)).clamp(1, MAX_WORDS));
                open.extend(alternatives.into_iter().rev());
            }
            None => done.push(word),
        }
        if done.len() >= MAX_WORDS * 2 {
            break;
        }
    }
    done
}

fn text_len(part: &Part) -> usize {
    match part {
        Part::Plain(text) | Part::Quoted(text) => text.len(),
        _ => 1,
    }
}

/// The words that the first group that expands makes of a word.
fn first(word: &[Part]) -> Option<Vec<Vec<Part>>> {
    // A `{` that opens no group is passed over; a few tries, so that many of them stay cheap.
    (0..8).map_while(|skip| opening(word, skip)).find_map(|(part, at)| group(word, part, at))
}

fn opening(word: &[Part], skip: usize) -> Option<(usize, usize)> {
    let places = word.iter().enumerate().filter_map(|(n, part)| match part {
        Part::Plain(text) => Some((n, text)),
        _ => None,
    });
    places.flat_map(|(n, text)| text.match_indices('{').map(move |(at, _)| (n, at))).nth(skip)
}

fn group(word: &[Part], part: usize, at: usize) -> Option<Vec<Vec<Part>>> {
    let Part::Plain(text) = word.get(part)? else { return None };
    let (before, after) = (text.get(..at)?, text.get(at + 1..)?);
    let mut items: Vec<Vec<Part>> = vec![Vec::new()];
    let mut rest: Vec<Part> = vec![Part::Plain(after.to_owned())];
    rest.extend(word.get(part + 1..)?.iter().cloned());
    let tail = collect(rest, &mut items)?;
    if let [single] = items.as_slice() {
        let [Part::Plain(range)] = single.as_slice() else { return None };
        items = sequence(range)?.into_iter().map(|text| vec![Part::Plain(text)]).collect();
    }
    let mut head: Vec<Part> = word.get(..part)?.to_vec();
    if !before.is_empty() {
        head.push(Part::Plain(before.to_owned()));
    }
    let build = |item: Vec<Part>| head.iter().cloned().chain(item).chain(tail.iter().cloned()).collect();
    Some(items.into_iter().map(build).collect())
}

/// Collects comma-separated items up to the closing brace; gives what follows it.
fn collect(rest: Vec<Part>, items: &mut Vec<Vec<Part>>) -> Option<Vec<Part>> {
    let mut depth = 0_usize;
    let mut rest = rest.into_iter();
    while let Some(part) = rest.next() {
        let Part::Plain(text) = part else {
            items.last_mut()?.push(part);
            continue;
        };
        let mut from = 0;
        for (at, c) in text.match_indices(['{', '}', ',']) {
            match (c, depth) {
                ("{", _) => depth += 1,
                ("}", 0) => {
                    push(items.last_mut()?, text.get(from..at)?);
                    let after = text.get(at + 1..)?;
                    let after = (!after.is_empty()).then(|| Part::Plain(after.to_owned()));
                    return Some(after.into_iter().chain(rest).collect());
                }
                ("}", _) => depth -= 1,
                (",", 0) => {
                    push(items.last_mut()?, text.get(from..at)?);
                    from = at + 1;
                    items.push(Vec::new());
                    if items.len() > MAX_WORDS {
                        return None;
                    }
                }
                _ => {}
            }
        }
        push(items.last_mut()?, text.get(from..)?);
    }
    None
}

fn push(item: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        item.push(Part::Plain(text.to_owned()));
    }
}

/// `1..5`, `a..e`, `1..9..2`.
fn sequence(text: &str) -> Option<Vec<String>> {
    let mut fields = text.split("..");
    let (first, last, step) = (fields.next()?, fields.next()?, fields.next());
    let step: i64 = step.map_or(Some(1), |step| step.parse().ok())?;
    let number = |text: &str| text.parse::<i64>().ok();
    let letter =
        |text: &str| text.chars().next().filter(|c| c.is_ascii() && text.len() == 1).map(|c| i64::from(u32::from(c)));
    let numeric = number(first).zip(number(last));
    let (from, to) = numeric.or_else(|| letter(first).zip(letter(last)))?;
    let step = step.checked_abs().filter(|step| *step > 0).unwrap_or(1);
    let count = to.checked_sub(from)?.checked_abs()? / step;
    let count = usize::try_from(count).ok().filter(|count| *count < MAX_WORDS)?;
    let width = if first.starts_with('0') || last.starts_with('0') { first.len().max(last.len()) } else { 0 };
    let show = |value: i64| match numeric {
        Some(_) => Some(format!("{value:0width$}")),
        None => u32::try_from(value).ok().and_then(char::from_u32).map(String::from),
    };
    let step = if to < from { -step } else { step };
    (0..=count).map(|n| show(from + step * i64::try_from(n).ok()?)).collect()
}
