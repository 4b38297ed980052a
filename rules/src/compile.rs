//! A value of the rule file and the plan of its modifiers -> a pattern.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cidr::{Cidr, CidrError};
use crate::detection::Fields;
use crate::error::{Problem, Report};
use crate::glob::{Place, TextPattern, Token, tokens, windash};
use crate::modifier::{Encoding, Plan, Subject};
use crate::pattern::{Compare, FieldPattern, NumberPattern, Pattern, RegexPattern};
use crate::yaml::{Data, Node, Span};
use crate::{regex, required};

/// Longest text of one value, in bytes.
pub const MAX_VALUE_LENGTH: usize = 64 << 10;

/// Compiles one value; what is wrong goes into the report.
pub(crate) fn pattern(node: &Node, plan: &Plan, fields: &mut Fields, report: &mut Report<'_>) -> Option<Pattern> {
    let span = node.span;
    let Data::Scalar { text, .. } = &node.data else {
        let advice = "fields of objects are written with dots: `requestParameters.target`".to_owned();
        let what = "a value".to_owned();
        report.error(span, Problem::Expected { what, expected: "a string, a number, a boolean or null" }, Some(advice));
        return None;
    };
    if text.len() > MAX_VALUE_LENGTH {
        report.error(span, Problem::Limit { what: "the value", limit: MAX_VALUE_LENGTH }, None);
        return None;
    }
    if node.is_null() {
        return null(plan, span, report);
    }
    if plan.expand
        && let Some(name) = placeholder(text)
    {
        let advice = "write the values in place of the placeholder, and drop `expand`".to_owned();
        report.error(span, Problem::Placeholder { name: name.to_owned() }, Some(advice));
        return None;
    }
    match plan.subject {
        Subject::Text => string(text, plan, span, report),
        Subject::Regex => regex(text, plan, span, report),
        Subject::Cidr => cidr(text, span, report),
        Subject::Exists => exists(node, span, report),
        Subject::Number => number(text, plan, span, report),
        Subject::FieldRef => {
            let place = plan.place.unwrap_or(Place::Whole);
            Some(Pattern::Field(FieldPattern { field: fields.id(text), place, cased: plan.cased }))
        }
    }
}

fn null(plan: &Plan, span: Span, report: &mut Report<'_>) -> Option<Pattern> {
    let bare = Plan { all: plan.all, negated: plan.negated, ..Plan::default() };
    if *plan == bare {
        return Some(Pattern::Null);
    }
    let problem = Problem::Expected { what: "a modified value".to_owned(), expected: "something, not null" };
    report.error(span, problem, Some("for the text, write it in quotes: \"null\"".to_owned()));
    None
}

fn string(text: &str, plan: &Plan, span: Span, report: &mut Report<'_>) -> Option<Pattern> {
    let place = plan.place.unwrap_or(Place::Whole);
    let mut tokens = tokens(text);
    if plan.windash {
        tokens = windash(tokens);
    }
    if plan.encodings.is_empty() {
        return Some(Pattern::Text(TextPattern::new(tokens, place, plan.cased)));
    }
    let literal: Option<String> = tokens
        .into_iter()
        .map(|token| match token {
            Token::Text(text) => Some(text),
            _ => None,
        })
        .collect();
    let Some(forms) = literal.map(|text| encode(&text, &plan.encodings)) else {
        let what = "a value with wildcards".to_owned();
        let advice = "write `\\*` and `\\?` for the characters themselves".to_owned();
        report.error(span, Problem::Expected { what, expected: "without `*` and `?` to be encoded" }, Some(advice));
        return None;
    };
    let literals: Option<Vec<String>> = forms.into_iter().map(|form| String::from_utf8(form).ok()).collect();
    let Some(literals) = literals else {
        let modifier = "wide".to_owned();
        let why = "this text in UTF-16 is not valid UTF-8, so no value can hold it; add `base64offset`";
        report.error(span, Problem::ModifierConflict { modifier, why }, None);
        return None;
    };
    let form = |literal| TextPattern::new(vec![Token::Text(literal)], place, plan.cased);
    Some(Pattern::Forms(literals.into_iter().map(form).collect()))
}

/// The byte strings that stand for the text once encoded, in the modifiers' order.
fn encode(text: &str, encodings: &[Encoding]) -> Vec<Vec<u8>> {
    let mut bytes = text.as_bytes().to_vec();
    for encoding in encodings {
        let units = String::from_utf8_lossy(&bytes).into_owned();
        bytes = match encoding {
            Encoding::Utf16Le => units.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => units.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Encoding::Utf16 => std::iter::once(0xFEFF).chain(units.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
            Encoding::Base64 => STANDARD.encode(&bytes).into_bytes(),
            Encoding::Base64Offset => return (0..3).map(|offset| base64_at(&bytes, offset)).collect(),
        };
    }
    vec![bytes]
}

/// The characters of Base64 that depend on these bytes only, when `offset` bytes (modulo 3) stand before them.
fn base64_at(bytes: &[u8], offset: usize) -> Vec<u8> {
    let mut shifted = vec![0; offset];
    shifted.extend_from_slice(bytes);
    let encoded = STANDARD.encode(&shifted).into_bytes();
    let (skipped, whole_bits) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
    encoded.get(skipped..whole_bits).unwrap_or_default().to_vec()
}

fn regex(text: &str, plan: &Plan, span: Span, report: &mut Report<'_>) -> Option<Pattern> {
    let translated = regex::translate(text);
    let anchored = match plan.place {
        Some(Place::Start) => format!(r"\A(?:{translated})"),
        Some(Place::End) => format!(r"(?:{translated})\z"),
        _ => translated,
    };
    let syntax = regex::parse(&anchored, plan.flags);
    match regex::LazyRegex::new(&anchored, plan.flags, syntax.as_ref()) {
        Ok(regex) => {
            let literals = syntax.as_ref().and_then(required::literals);
            Some(Pattern::Regex(Box::new(RegexPattern { regex, literals })))
        }
        Err(detail) => {
            let looks = ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| text.contains(look));
            let advice = looks.then(|| "Sigma has no look-around: use a second selection and `not`".to_owned());
            report.error(span, Problem::BadRegex { detail }, advice);
            None
        }
    }
}

fn cidr(text: &str, span: Span, report: &mut Report<'_>) -> Option<Pattern> {
    match Cidr::parse(text) {
        Ok(range) => Some(Pattern::Cidr(range)),
        Err(error) => {
            let advice = match error {
                CidrError::HostBits(network) => format!("did you mean `{network}`?"),
                CidrError::Malformed => "write it like 10.0.0.0/8 or fe80::/10".to_owned(),
            };
            report.error(span, Problem::BadCidr { text: text.to_owned() }, Some(advice));
            None
        }
    }
}

fn exists(node: &Node, span: Span, report: &mut Report<'_>) -> Option<Pattern> {
    if let Some(expected) = node.as_bool() {
        return Some(Pattern::Exists(expected));
    }
    report.error(span, Problem::Expected { what: "`exists`".to_owned(), expected: "true or false" }, None);
    None
}

fn number(text: &str, plan: &Plan, span: Span, report: &mut Report<'_>) -> Option<Pattern> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => {
            let compare = plan.compare.unwrap_or(Compare::Equal);
            Some(Pattern::Number(NumberPattern { part: plan.part, compare, number }))
        }
        _ => {
            report.error(span, Problem::Expected { what: "a compared value".to_owned(), expected: "a number" }, None);
            None
        }
    }
}

/// The name of the first `%placeholder%`.
fn placeholder(text: &str) -> Option<&str> {
    let mut pieces = text.split('%').skip(1);
    while let Some(name) = pieces.next() {
        // The last piece has no sign after it.
        let closed = pieces.clone().next().is_some();
        if closed && !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-".contains(c)) {
            return Some(name);
        }
    }
    None
}
