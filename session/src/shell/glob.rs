//! Shell patterns against text: `*`, `?`, `[…]`.

/// A pattern, one element a character; characters that were quoted match themselves.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    elements: Vec<Element>,
}

#[derive(Debug)]
enum Element {
    One(char),
    Any,
    Many,
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    /// Adds text that matches itself.
    pub(super) fn push_literal(&mut self, text: &str) {
        self.elements.extend(text.chars().map(Element::One));
    }

    /// Adds text in which wildcards work.
    pub(super) fn push_glob(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let element = match c {
                '*' => Element::Many,
                '?' => Element::Any,
                '[' => match set(rest.as_str()) {
                    Some((element, after)) => {
                        rest = after.chars();
                        element
                    }
                    None => Element::One('['),
                },
                '\\' => Element::One(rest.next().unwrap_or('\\')),
                c => Element::One(c),
            };
            self.elements.push(element);
        }
    }

    /// Whether the whole text matches; linear in text times stars.
    pub(super) fn matches(&self, text: &[char]) -> bool {
        let (mut at, mut element) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.elements.get(element), text.get(at)) {
                (Some(Element::Many), _) => {
                    retry = Some((at, element));
                    element += 1;
                    continue;
                }
                (None, None) => return true,
                (Some(one), Some(c)) if one.takes(*c) => {
                    at += 1;
                    element += 1;
                    continue;
                }
                _ => {}
            }
            let Some((from, star)) = retry.filter(|(from, _)| *from < text.len()) else { return false };
            retry = Some((from + 1, star));
            at = from + 1;
            element = star + 1;
        }
    }

    /// How many characters the pattern takes, if that does not depend on the text.
    pub(super) fn fixed_len(&self) -> Option<usize> {
        let stars = self.elements.iter().any(|element| matches!(element, Element::Many));
        (!stars).then_some(self.elements.len())
    }

    /// How much work one match may be, in steps.
    pub(super) fn cost(&self, text: usize) -> usize {
        match self.fixed_len() {
            Some(len) => 1 + len.min(text) / 8,
            None => 1 + text * self.elements.len().min(16) / 8,
        }
    }

    /// How many ends of a match have to be tried.
    pub(super) fn tries(&self, text: usize) -> usize {
        if self.fixed_len().is_some() { 1 } else { text }
    }
}

impl Element {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::One(one) => *one == c,
            Self::Any => true,
            Self::Many => false,
            Self::Set { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

/// The set after a `[`, and what follows its `]`.
fn set(text: &str) -> Option<(Element, &str)> {
    let (negated, body) = match text.strip_prefix(['!', '^']) {
        Some(body) => (true, body),
        None => (false, text),
    };
    let end = body.char_indices().skip(1).find(|(_, c)| *c == ']').map(|(at, _)| at)?;
    let inside: Vec<char> = body.get(..end)?.chars().collect();
    let mut ranges = Vec::new();
    let mut rest = inside.as_slice();
    loop {
        rest = match rest {
            [low, '-', high, rest @ ..] => {
                ranges.push((*low, *high));
                rest
            }
            [one, rest @ ..] => {
                ranges.push((*one, *one));
                rest
            }
            [] => break,
        };
    }
    Some((Element::Set { negated, ranges }, body.get(end + 1..)?))
}
