//! The literals that a regular expression's matches must hold, so that it need not run where none is.

use regex_syntax::hir::{Class, ClassUnicodeRange, Hir, HirKind};

use crate::fold::fold_char;
use crate::witness::cost_of_length;

/// Most literals of one regular expression, of which one must be there.
const MAX_LITERALS: usize = 256;

/// Folded literals of which the folded text of every match holds one; `None` if there are none worth looking for.
pub(crate) fn literals(syntax: &Hir) -> Option<Vec<String>> {
    // The parser bounds the nesting (250 levels) and with it this recursion.
    required(syntax).filter(|found| !found.is_empty() && found.len() <= MAX_LITERALS)
}

fn required(hir: &Hir) -> Option<Vec<String>> {
    if let Some(text) = exact(hir) {
        return (!text.is_empty()).then(|| vec![text]);
    }
    match hir.kind() {
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Alternation(parts) => {
            let parts: Option<Vec<Vec<String>>> = parts.iter().map(required).collect();
            parts.map(|parts| parts.concat()).filter(|all| all.len() <= MAX_LITERALS)
        }
        HirKind::Concat(parts) => {
            let mut best: Option<Vec<String>> = None;
            let mut run = String::new();
            for part in parts {
                if let Some(text) = exact(part) {
                    run.push_str(&text);
                    continue;
                }
                best = cheaper(best, Some(vec![std::mem::take(&mut run)]));
                best = cheaper(best, required(part));
            }
            cheaper(best, Some(vec![run]))
        }
        _ => None,
    }
}

/// The one folded text that a part matches, if it is one; empty for assertions, which take no text.
fn exact(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(String::new()),
        HirKind::Literal(literal) => {
            std::str::from_utf8(&literal.0).ok().map(|text| text.chars().map(fold_char).collect())
        }
        HirKind::Class(Class::Unicode(class)) => {
            let few = class.iter().map(ClassUnicodeRange::len).sum::<usize>() <= 4;
            let mut members = class.iter().filter(|_| few).flat_map(|range| range.start()..=range.end()).map(fold_char);
            let first = members.next()?;
            members.all(|member| member == first).then(|| first.to_string())
        }
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(exact).collect(),
        _ => None,
    }
}

fn cheaper(a: Option<Vec<String>>, b: Option<Vec<String>>) -> Option<Vec<String>> {
    let cost = |set: &Option<Vec<String>>| match set {
        Some(set) if !set.is_empty() => set.iter().map(|one| cost_of_length(one.chars().count())).sum(),
        _ => f64::INFINITY,
    };
    let (cost_a, cost_b) = (cost(&a), cost(&b));
    if cost_a.min(cost_b).is_infinite() {
        return None;
    }
    if cost_b < cost_a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::{Flags, parse};

    #[test]
    fn finds_what_must_be_there() {
        let insensitive = Flags { ignore_case: true, ..Flags::default() };
        for (case, pattern, flags, expected) in [
            ("literal", "Invoke", Flags::default(), Some(vec!["invoke"])),
            ("longest run", r"a\d+download\s*b", Flags::default(), Some(vec!["download"])),
            ("without regard to case", "kEy.*", insensitive, Some(vec!["key"])),
            ("class of one letter", "[Ii][Ee][Xx]\\s", Flags::default(), Some(vec!["iex"])),
            ("alternatives", "x(?:curl|wget) ", Flags::default(), Some(vec!["curl", "wget"])),
            ("assertions take no text", r"\bnet\b user", Flags::default(), Some(vec!["net user"])),
            ("optional", "(?:abc)?", Flags::default(), None),
            ("repeated", "(?:abc){2,}", Flags::default(), Some(vec!["abc"])),
            ("one alternative without", r"foo|\d+", Flags::default(), None),
            ("nothing", r".*\s+", Flags::default(), None),
        ] {
            let found = literals(&parse(pattern, flags).unwrap());
            assert_eq!(found, expected.map(|list| list.into_iter().map(str::to_owned).collect()), "{case}");
        }
    }
}
