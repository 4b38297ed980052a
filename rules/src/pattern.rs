//! One value of a detection item, ready to be matched.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::cidr::Cidr;
use crate::event::{FieldId, Slot, View};
use crate::fold::{fold, raw_offset};
use crate::glob::{Place, TextPattern};
use crate::regex::LazyRegex;

/// What a value of an event is compared with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Pattern {
    /// Absent or null.
    Null,
    /// The field is there (or not), whatever its value.
    Exists(bool),
    /// A Sigma string.
    Text(TextPattern),
    /// One of the forms that one value takes (`base64offset`).
    Forms(Vec<TextPattern>),
    /// A regular expression.
    Regex(Box<RegexPattern>),
    /// An address range.
    Cidr(Cidr),
    /// A number, or a part of a date.
    Number(NumberPattern),
    /// Another field of the event.
    Field(FieldPattern),
}

/// A regular expression.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RegexPattern {
    pub(crate) regex: LazyRegex,
    /// Folded literals of which a match holds one, if there are any.
    pub(crate) literals: Option<Vec<String>>,
}

/// Comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NumberPattern {
    pub(crate) part: Option<TimePart>,
    pub(crate) compare: Compare,
    pub(crate) number: f64,
}

/// Comparison with another field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FieldPattern {
    pub(crate) field: FieldId,
    pub(crate) place: Place,
    pub(crate) cased: bool,
}

/// How numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A number in a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TimePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Pattern {
    /// Whether one of these values, which are all values of the field, matches.
    pub(crate) fn holds(&self, values: &[Slot<'_>], view: &View<'_>) -> bool {
        match self {
            Self::Null => values.is_empty() || values.iter().any(|value| value.text().is_none()),
            Self::Exists(expected) => values.is_empty() != *expected,
            _ => values.iter().any(|value| self.matches(value, view)),
        }
    }

    /// Whether this one value matches.
    pub(crate) fn matches(&self, value: &Slot<'_>, view: &View<'_>) -> bool {
        match self {
            Self::Null => value.text().is_none(),
            Self::Exists(expected) => *expected,
            Self::Text(pattern) => find(pattern, value).is_some(),
            Self::Forms(forms) => forms.iter().any(|form| find(form, value).is_some()),
            Self::Regex(pattern) => value.text().is_some_and(|text| pattern.regex.is_match(text)),
            Self::Cidr(range) => value.text().is_some_and(|text| range.contains(text)),
            Self::Number(pattern) => value.text().is_some_and(|text| pattern.matches(text)),
            Self::Field(pattern) => view.field(pattern.field).iter().any(|other| pattern.matches(value, other)),
        }
    }

    /// The bytes of the value's own text that match, where the pattern names any.
    pub(crate) fn span(&self, value: &Slot<'_>) -> Option<(usize, usize)> {
        match self {
            Self::Text(pattern) => span(pattern, value),
            Self::Forms(forms) => forms.iter().find_map(|form| span(form, value)),
            Self::Regex(pattern) => pattern.regex.find(value.text()?),
            _ => None,
        }
    }
}

impl NumberPattern {
    fn matches(self, text: &str) -> bool {
        let number = match self.part {
            Some(part) => part.of(text),
            None => text.trim().parse().ok(),
        };
        number.is_some_and(|number: f64| match self.compare {
            Compare::Equal => number.total_cmp(&self.number).is_eq(),
            Compare::Less => number < self.number,
            Compare::LessOrEqual => number <= self.number,
            Compare::Greater => number > self.number,
            Compare::GreaterOrEqual => number >= self.number,
        })
    }
}

impl FieldPattern {
    fn matches(self, value: &Slot<'_>, other: &Slot<'_>) -> bool {
        let texts = |slot: &Slot<'_>| {
            if self.cased { slot.text().map(str::to_owned) } else { slot.folded().map(str::to_owned) }
        };
        let (Some(value), Some(other)) = (texts(value), texts(other)) else { return false };
        match self.place {
            Place::Whole => value == other,
            Place::Contains => value.contains(&other),
            Place::Start => value.starts_with(&other),
            Place::End => value.ends_with(&other),
        }
    }
}

impl TimePart {
    /// The part of a date as it is written, whatever its time zone (Sigma: not designed to convert time zones).
    fn of(self, text: &str) -> Option<f64> {
        let text = text.trim();
        // Seconds and zone are cut off: neither changes a part.
        let date: DateTime = text.get(..16).or(text.get(..10)).and_then(|text| text.parse().ok())?;
        Some(match self {
            Self::Minute => date.minute().into(),
            Self::Hour => date.hour().into(),
            Self::Day => date.day().into(),
            Self::Week => date.date().iso_week_date().week().into(),
            Self::Month => date.month().into(),
            Self::Year => date.year().into(),
        })
    }
}

fn find(pattern: &TextPattern, value: &Slot<'_>) -> Option<(usize, usize)> {
    pattern.find(if pattern.cased { value.text()? } else { value.folded()? })
}

fn span(pattern: &TextPattern, value: &Slot<'_>) -> Option<(usize, usize)> {
    let (start, end) = find(pattern, value)?;
    let text = value.text()?;
    if pattern.cased || text.is_ascii() {
        return Some((start, end));
    }
    Some((raw_offset(text, start), raw_offset(text, end)))
}

/// Whether two texts are equal but for case.
pub(crate) fn equal_folded(a: &str, b: &str) -> bool {
    a == b || fold(a) == fold(b)
}
