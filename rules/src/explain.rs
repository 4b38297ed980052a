//! Why a rule matched: the fields, values and byte ranges. Found after the match, for it costs more than the match.

use crate::condition::Expr;
use crate::detection::{Detection, Item};
use crate::event::View;
use crate::finding::Matched;
use crate::pattern::Pattern;

/// What made the condition hold: of `and` every part, of `or` the first part that holds; what `not` keeps out is no
/// reason. Each pattern of an item gives one entry, the first value that it matches.
pub(crate) fn matched(detection: &Detection, view: &View<'_>) -> Vec<Matched> {
    let mut found = Vec::new();
    walk(detection, &detection.condition, view, &mut found);
    found
}

fn walk(detection: &Detection, expr: &Expr, view: &View<'_>, found: &mut Vec<Matched>) {
    match expr {
        Expr::And(parts) => parts.iter().for_each(|part| walk(detection, part, view, found)),
        Expr::Or(parts) => {
            if let Some(part) = parts.iter().find(|part| detection.holds(part, view)) {
                walk(detection, part, view, found);
            }
        }
        Expr::Not(_) => {}
        Expr::Selection(index) => {
            if let Some(part) = detection.selections.get(*index) {
                walk(detection, part, view, found);
            }
        }
        Expr::Item(index) => {
            if let Some(item) = detection.items.get(*index).filter(|item| !item.negated) {
                explain(item, view, found);
            }
        }
    }
}

fn explain(item: &Item, view: &View<'_>, found: &mut Vec<Matched>) {
    for pattern in item.patterns.iter().filter(|pattern| !matches!(pattern, Pattern::Null | Pattern::Exists(false))) {
        let Some(value) = item.values(view).find(|value| pattern.matches(value, view)) else { continue };
        let entry = Matched {
            field: item.name.clone(),
            value: value.text().unwrap_or_default().to_owned(),
            span: pattern.span(value),
        };
        if !found.contains(&entry) {
            found.push(entry);
        }
        if !item.all {
            return;
        }
    }
}
