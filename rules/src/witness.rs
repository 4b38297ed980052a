//! Witnesses: literals of which an event must hold one, if a rule is to match.

use std::collections::HashMap;

use crate::condition::Expr;
use crate::detection::{Detection, Item};
use crate::event::FieldId;
use crate::fold::fold;
use crate::glob::{Form, TextPattern, Token};
use crate::pattern::Pattern;

/// One literal that a value of a field must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Witness {
    /// `None` = any value of the event.
    pub(crate) field: Option<FieldId>,
    pub(crate) place: WitnessPlace,
    /// Folded.
    pub(crate) literal: String,
}

/// Where in the folded value the literal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WitnessPlace {
    /// It is the value.
    Whole,
    /// It is the value's last path separator and what follows it.
    Name,
    /// Anywhere.
    Within,
}

/// How often each witness could serve a rule: what many rules look for is common in events too.
#[derive(Debug, Default)]
pub(crate) struct Popularity {
    uses: HashMap<Witness, u32>,
}

impl Popularity {
    /// Counts the literals of these detections.
    pub(crate) fn of<'d>(detections: impl Iterator<Item = &'d Detection>) -> Self {
        let mut uses = HashMap::new();
        for item in detections.flat_map(|detection| &detection.items) {
            for pattern in &item.patterns {
                for witness in witnesses(item, pattern).unwrap_or_default() {
                    *uses.entry(witness).or_default() += 1;
                }
            }
        }
        Self { uses }
    }

    /// The witnesses by which this detection is found, those that are likely rarest; `None` if it can match events
    /// without any.
    pub(crate) fn choose(&self, detection: &Detection) -> Option<Vec<Witness>> {
        self.of_expr(detection, &detection.condition).map(|choice| choice.witnesses)
    }

    fn of_expr(&self, detection: &Detection, expr: &Expr) -> Option<Choice> {
        match expr {
            Expr::And(parts) => rarest(parts.iter().filter_map(|part| self.of_expr(detection, part))),
            Expr::Or(parts) => union(parts.iter().map(|part| self.of_expr(detection, part))),
            // What must not hold has no witness.
            Expr::Not(_) => None,
            Expr::Selection(index) => self.of_expr(detection, detection.selections.get(*index)?),
            Expr::Item(index) => self.of_item(detection.items.get(*index)?),
        }
    }

    fn of_item(&self, item: &Item) -> Option<Choice> {
        if item.negated {
            return None;
        }
        let choices = item.patterns.iter().map(|pattern| self.rate(witnesses(item, pattern)?));
        if item.all { rarest(choices.flatten()) } else { union(choices) }
    }

    fn rate(&self, witnesses: Vec<Witness>) -> Option<Choice> {
        let cost = witnesses.iter().map(|witness| self.cost(witness)).sum();
        (!witnesses.is_empty()).then_some(Choice { witnesses, cost })
    }

    /// A guess at how often the witness occurs in events, in no unit.
    fn cost(&self, witness: &Witness) -> f64 {
        let uses = f64::from(self.uses.get(witness).copied().unwrap_or(0) + 1);
        match witness.place {
            WitnessPlace::Whole | WitnessPlace::Name => uses,
            WitnessPlace::Within => uses * cost_of_length(witness.literal.chars().count()),
        }
    }
}

/// Witnesses, one of which must be there, and what they cost together.
#[derive(Clone, Debug)]
struct Choice {
    witnesses: Vec<Witness>,
    cost: f64,
}

/// A guess at how often a literal of so many characters occurs anywhere in a text.
pub(crate) fn cost_of_length(chars: usize) -> f64 {
    match chars {
        0 => f64::INFINITY,
        1 => 1000.0,
        2 => 300.0,
        3 => 80.0,
        4 => 25.0,
        5 => 10.0,
        6 => 5.0,
        7 => 3.0,
        _ => 2.0,
    }
}

fn rarest(choices: impl Iterator<Item = Choice>) -> Option<Choice> {
    choices.min_by(|a, b| a.cost.total_cmp(&b.cost))
}

fn union(choices: impl Iterator<Item = Option<Choice>>) -> Option<Choice> {
    let mut all = Choice { witnesses: Vec::new(), cost: 0.0 };
    for choice in choices {
        let choice = choice?;
        all.cost += choice.cost;
        all.witnesses.extend(choice.witnesses);
    }
    Some(all)
}

/// The witnesses of one pattern; `None` if it can match without any.
fn witnesses(item: &Item, pattern: &Pattern) -> Option<Vec<Witness>> {
    let within =
        |literal: &str| Witness { field: item.field, place: WitnessPlace::Within, literal: fold(literal).into_owned() };
    match pattern {
        Pattern::Text(text) => of_text(item, text).map(|witness| vec![witness]),
        Pattern::Forms(forms) => forms.iter().map(|form| of_text(item, form)).collect(),
        Pattern::Regex(regex) => regex.literals.as_ref().map(|list| list.iter().map(|one| within(one)).collect()),
        _ => None,
    }
}

fn of_text(item: &Item, pattern: &TextPattern) -> Option<Witness> {
    let (place, literal) = match &pattern.form {
        Form::Anything => return None,
        Form::Equals(literal) => (WitnessPlace::Whole, literal.as_ref()),
        Form::Contains(finder) => (WitnessPlace::Within, std::str::from_utf8(finder.needle()).ok()?),
        Form::EndsWith(literal) if is_name(literal) => (WitnessPlace::Name, literal.as_ref()),
        Form::StartsWith(literal) | Form::EndsWith(literal) => (WitnessPlace::Within, literal.as_ref()),
        Form::Glob(glob) => {
            let literals = glob.segments.iter().flatten().filter_map(|token| match token {
                Token::Text(text) => Some(text.as_str()),
                _ => None,
            });
            (WitnessPlace::Within, literals.max_by_key(|literal| literal.chars().count())?)
        }
    };
    let literal = fold(literal).into_owned();
    (place != WitnessPlace::Within || !literal.is_empty()).then_some(Witness { field: item.field, place, literal })
}

/// The value's last path separator and what follows it.
pub(crate) fn name(value: &str) -> Option<&str> {
    value.rfind(SEPARATORS).and_then(|at| value.get(at..))
}

const SEPARATORS: [char; 2] = ['/', '\\'];

fn is_name(literal: &str) -> bool {
    name(literal) == Some(literal)
}
