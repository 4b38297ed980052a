//! `detection:` -> items, selections, condition; and whether an event fulfils them.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::compile;
use crate::condition::{self, Expr};
use crate::error::{Problem, Report, did_you_mean};
use crate::event::{FieldId, Slot, View};
use crate::glob::Place;
use crate::modifier::{Modifier, Plan, Subject};
use crate::pattern::Pattern;
use crate::yaml::{Data, Node, Span};

/// Most values of one rule.
pub const MAX_VALUES: usize = 50_000;

/// The compiled detection of one rule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Detection {
    pub(crate) items: Vec<Item>,
    pub(crate) selections: Vec<Expr>,
    pub(crate) condition: Expr,
}

/// One field (or keywords) with what its values are compared with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    /// The field as the rule writes it; empty for keywords.
    pub(crate) name: String,
    /// `None` for keywords, which see every value of the event.
    pub(crate) field: Option<FieldId>,
    pub(crate) patterns: Vec<Pattern>,
    /// Whether every pattern must match, each some value.
    pub(crate) all: bool,
    /// `neq`: whether it must not match.
    pub(crate) negated: bool,
}

/// The table of all fields that rules name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    ids: HashMap<String, FieldId>,
}

impl Fields {
    /// The field's number, a new one if it has none yet.
    pub(crate) fn id(&mut self, name: &str) -> FieldId {
        let next = FieldId::try_from(self.ids.len()).unwrap_or(FieldId::MAX);
        *self.ids.entry(name.to_owned()).or_insert(next)
    }

    /// The table in which these names have the numbers of their places.
    pub(crate) fn of(names: Vec<String>) -> Self {
        let numbered = names.into_iter().zip(0..FieldId::MAX);
        Self { ids: numbered.collect() }
    }

    /// The names, each at the place of its number.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<(&FieldId, &str)> = self.ids.iter().map(|(name, id)| (id, name.as_str())).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// Names to numbers.
    pub(crate) fn ids(&self) -> &HashMap<String, FieldId> {
        &self.ids
    }
}

impl Detection {
    /// Whether the event fulfils the condition.
    pub(crate) fn matches(&self, view: &View<'_>) -> bool {
        self.holds(&self.condition, view)
    }

    /// Whether this part of it holds. The depth is bounded by the parser.
    pub(crate) fn holds(&self, expr: &Expr, view: &View<'_>) -> bool {
        match expr {
            Expr::And(parts) => parts.iter().all(|part| self.holds(part, view)),
            Expr::Or(parts) => parts.iter().any(|part| self.holds(part, view)),
            Expr::Not(part) => !self.holds(part, view),
            Expr::Selection(index) => self.selections.get(*index).is_some_and(|part| self.holds(part, view)),
            Expr::Item(index) => self.items.get(*index).is_some_and(|item| item.matches(view)),
        }
    }

    /// Whether an item looks at every value.
    pub(crate) fn has_keywords(&self) -> bool {
        self.items.iter().any(|item| item.field.is_none())
    }
}

impl Item {
    fn matches(&self, view: &View<'_>) -> bool {
        let holds = |pattern: &Pattern| match self.field {
            Some(field) => pattern.holds(view.field(field), view),
            None => view.all().iter().any(|value| value.is_leaf() && pattern.matches(value, view)),
        };
        let matched = if self.all { self.patterns.iter().all(holds) } else { self.patterns.iter().any(holds) };
        matched != self.negated
    }

    /// The values that the item looks at.
    pub(crate) fn values<'v, 'e>(&self, view: &'v View<'e>) -> impl Iterator<Item = &'v Slot<'e>> {
        let values = match self.field {
            Some(field) => view.field(field),
            None => view.all(),
        };
        values.iter().filter(move |value| self.field.is_some() || value.is_leaf())
    }
}

/// Reads `detection:`; what is wrong goes into the report. `known` are the only fields that events have, if that is known.
pub(crate) fn parse(
    key: Span,
    node: &Node,
    known: Option<&[&str]>,
    fields: &mut Fields,
    report: &mut Report<'_>,
) -> Option<Detection> {
    let Some(entries) = node.as_mapping() else {
        report.error(
            key,
            Problem::Expected { what: "`detection`".to_owned(), expected: "a mapping of selections" },
            None,
        );
        return None;
    };
    let mut reader = Reader { known, fields, report, items: Vec::new(), values: 0 };
    let mut condition = None;
    let (mut names, mut spans, mut selections) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in entries {
        match name.as_text() {
            Some("condition") => condition = Some(value),
            Some("timeframe") => {
                let what = "`timeframe` has no meaning without a correlation".to_owned();
                reader.report.warn(name.span, Problem::Doubtful { what }, None);
            }
            text => {
                let text = text.unwrap_or_default();
                selections.push(reader.selection(text, name.span, value));
                names.push(text.to_owned());
                spans.push(name.span);
            }
        }
    }
    let items = reader.items;
    let Some(condition) = condition else {
        let advice = crate::suggest::nearest("condition", names.iter().map(String::as_str));
        let advice = advice.map(|name| format!("did you mean `condition` by `{name}`?"));
        report.error(key, Problem::Missing { key: "condition" }, advice);
        return None;
    };
    let condition = conditions(condition, &names, report)?;
    warn_unused(&condition, &names, &spans, report);
    Some(Detection { items, selections: selections.into_iter().collect::<Option<_>>()?, condition })
}

/// A condition, or a list of conditions of which one must hold.
fn conditions(node: &Node, names: &[String], report: &mut Report<'_>) -> Option<Expr> {
    let alternatives = match &node.data {
        Data::Sequence(elements) if !elements.is_empty() => elements.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let parts: Vec<Option<Expr>> = alternatives
        .iter()
        .map(|node| {
            if let Some(text) = node.as_text() {
                condition::parse(text, node.span, names, report)
            } else {
                let what = "`condition`".to_owned();
                report.error(node.span, Problem::Expected { what, expected: "an expression over selections" }, None);
                None
            }
        })
        .collect();
    parts.into_iter().collect::<Option<Vec<_>>>().map(Expr::Or)
}

fn warn_unused(condition: &Expr, names: &[String], spans: &[Span], report: &mut Report<'_>) {
    let mut used = HashSet::new();
    let mut open = vec![condition];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => open.extend(parts),
            Expr::Not(part) => open.push(part),
            Expr::Selection(index) => _ = used.insert(*index),
            Expr::Item(_) => {}
        }
    }
    for (index, (name, span)) in names.iter().zip(spans).enumerate() {
        if !used.contains(&index) {
            let advice = "name it in the condition, or delete it".to_owned();
            report.warn(*span, Problem::UnusedSelection { name: name.clone() }, Some(advice));
        }
    }
}

struct Reader<'r, 't> {
    known: Option<&'r [&'r str]>,
    fields: &'r mut Fields,
    report: &'r mut Report<'t>,
    items: Vec<Item>,
    values: usize,
}

impl Reader<'_, '_> {
    fn selection(&mut self, name: &str, key: Span, node: &Node) -> Option<Expr> {
        if name.is_empty() {
            self.report.error(key, Problem::Empty { what: "the name of a selection".to_owned() }, None);
        }
        match &node.data {
            Data::Mapping(entries) if !entries.is_empty() => self.all_of(entries),
            Data::Sequence(elements) if !elements.is_empty() => self.one_of(elements),
            Data::Scalar { .. } if !node.is_null() => self.keywords(&[node]),
            _ => {
                self.report.error(key, Problem::Empty { what: format!("selection `{name}`") }, None);
                None
            }
        }
    }

    /// A mapping: every item.
    fn all_of(&mut self, entries: &[(Node, Node)]) -> Option<Expr> {
        let parts: Vec<Option<Expr>> = entries.iter().map(|(key, value)| self.item(key, value)).collect();
        parts.into_iter().collect::<Option<Vec<_>>>().map(Expr::And)
    }

    /// A list: one of its mappings or keywords.
    fn one_of(&mut self, elements: &[Node]) -> Option<Expr> {
        let keywords: Vec<&Node> = elements.iter().filter(|element| element.as_text().is_some()).collect();
        let mut parts = Vec::new();
        if !keywords.is_empty() {
            parts.push(self.keywords(&keywords));
        }
        for element in elements.iter().filter(|element| element.as_text().is_none()) {
            parts.push(match &element.data {
                Data::Mapping(entries) if !entries.is_empty() => self.all_of(entries),
                _ => {
                    let what = "an element of a selection".to_owned();
                    let expected = "a mapping of fields or a keyword";
                    self.report.error(element.span, Problem::Expected { what, expected }, None);
                    None
                }
            });
        }
        parts.into_iter().collect::<Option<Vec<_>>>().map(Expr::Or)
    }

    fn keywords(&mut self, nodes: &[&Node]) -> Option<Expr> {
        let plan = Plan { place: Some(Place::Contains), ..Plan::default() };
        self.add(String::new(), None, &plan, nodes)
    }

    /// One `field|modifiers: values`.
    fn item(&mut self, key: &Node, value: &Node) -> Option<Expr> {
        let Data::Scalar { text, .. } = &key.data else {
            let what = "a key of a selection".to_owned();
            self.report.error(key.span, Problem::Expected { what, expected: "a field with modifiers" }, None);
            return None;
        };
        let (name, modifiers) = text.split_once('|').map_or((text.as_str(), None), |(name, rest)| (name, Some(rest)));
        let plan = self.plan(name, modifiers, key.span);
        let field_known = self.check_field(name, key.span);
        let nodes: Vec<&Node> = match &value.data {
            Data::Sequence(elements) => elements.iter().collect(),
            _ => vec![value],
        };
        if nodes.is_empty() {
            self.report.error(key.span, Problem::Empty { what: format!("the list of values of `{text}`") }, None);
            return None;
        }
        let plan = plan.filter(|_| field_known)?;
        if plan.all && nodes.len() == 1 {
            let what = "`all` has no effect on a single value".to_owned();
            self.report.warn(key.span, Problem::Doubtful { what }, None);
        }
        if name.is_empty() && plan.subject == Subject::Text && plan.place.is_none() {
            // Both reference engines read it so; what most authors mean is `contains`.
            let what = "keywords with modifiers are compared with whole values".to_owned();
            let advice = format!("write `|contains{text}` if they may stand anywhere in a value");
            self.report.warn(key.span, Problem::Doubtful { what }, Some(advice));
        }
        let field = (!name.is_empty()).then(|| self.fields.id(name));
        self.add(name.to_owned(), field, &plan, &nodes)
    }

    fn add(&mut self, name: String, field: Option<FieldId>, plan: &Plan, nodes: &[&Node]) -> Option<Expr> {
        self.values += nodes.len();
        if self.values > MAX_VALUES {
            let span = nodes.first().map(|node| node.span).unwrap_or_default();
            self.report.error(
                span,
                Problem::Limit { what: "the number of values of the rule", limit: MAX_VALUES },
                None,
            );
            return None;
        }
        let patterns: Vec<Option<Pattern>> =
            nodes.iter().map(|node| compile::pattern(node, plan, self.fields, self.report)).collect();
        let patterns = patterns.into_iter().collect::<Option<Vec<_>>>()?;
        self.items.push(Item { name, field, patterns, all: plan.all, negated: plan.negated });
        Some(Expr::Item(self.items.len() - 1))
    }

    fn plan(&mut self, name: &str, modifiers: Option<&str>, key: Span) -> Option<Plan> {
        let mut plan = Plan::default();
        let mut sound = true;
        let mut start = name.chars().count() + 1;
        for word in modifiers.into_iter().flat_map(|modifiers| modifiers.split('|')) {
            let span = key.within(start, word.chars().count());
            start += word.chars().count() + 1;
            let Some(modifier) = Modifier::parse(word) else {
                let advice = did_you_mean(word, Modifier::names());
                self.report.error(span, Problem::UnknownModifier { modifier: word.to_owned() }, advice);
                sound = false;
                continue;
            };
            if let Err(why) = plan.add(modifier) {
                self.report.error(span, Problem::ModifierConflict { modifier: word.to_owned(), why }, None);
                sound = false;
            }
        }
        let needs_field = matches!(plan.subject, Subject::Exists | Subject::FieldRef | Subject::Number);
        if sound && name.is_empty() && needs_field {
            let modifier = modifiers.unwrap_or_default().to_owned();
            self.report.error(key, Problem::ModifierConflict { modifier, why: "keywords have no field" }, None);
            sound = false;
        }
        sound.then_some(plan)
    }

    fn check_field(&mut self, name: &str, key: Span) -> bool {
        let Some(known) = self.known.filter(|known| !name.is_empty() && !known.contains(&name)) else { return true };
        let advice = did_you_mean(name, known.iter().copied());
        let advice = advice.unwrap_or_else(|| format!("the fields are {}", known.join(", ")));
        let span = key.within(0, name.chars().count());
        self.report.error(span, Problem::UnknownField { field: name.to_owned() }, Some(advice));
        false
    }
}
