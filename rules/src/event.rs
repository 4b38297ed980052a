//! What rules are matched against: named values.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use serde_json::Value as Json;

use crate::fold::fold;

/// Deepest nesting of a JSON event that is looked into.
pub const MAX_EVENT_DEPTH: usize = 128;

/// Something that happened, as fields with values: a command, an API call.
///
/// A field may have several values (an array, or a command line in its raw and its normalised form): a pattern matches
/// if it matches any of them. Numbers and booleans are their decimal text. A field that is not there is *absent*; one
/// that is there with the value null *exists*, and Sigma's `null` matches both.
///
/// ```
/// use warden_rules::Event;
/// let mut event = Event::new();
/// event.push("CommandLine", "sudo rm -rf /srv");
/// event.push("CommandLine", "rm -rf /srv");
/// event.push("Image", "/usr/bin/rm");
///
/// let record = serde_json::json!({"requestParameters": {"target": "i-0123"}, "userIdentity.type": "Root"});
/// let call = Event::from_json(&record);
/// assert_eq!(call.texts("requestParameters.target").collect::<Vec<_>>(), ["i-0123"]);
/// assert_eq!(call.texts("userIdentity.type").collect::<Vec<_>>(), ["Root"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Event<'a> {
    values: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// One value of a field.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// There, but null.
    Null,
    /// Text; of a number or a boolean its decimal text.
    Text(Cow<'a, str>),
    /// An object, compared by its compact JSON text. Its members are fields of their own, so keywords skip it.
    Object(&'a Json),
}

impl<'a> Event<'a> {
    /// An event without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value of a field.
    pub fn push(&mut self, field: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        self.values.push((field.into(), value.into()));
    }

    /// The fields of a JSON object. Members of nested objects are named with dots, elements of an array are values of
    /// the array's field; names that hold dots already resolve the same way.
    pub fn from_json(record: &'a Json) -> Self {
        let mut event = Self::new();
        event.extend_json(record);
        event
    }

    /// Adds the fields of a JSON object to those already there.
    pub fn extend_json(&mut self, record: &'a Json) {
        if let Json::Object(members) = record {
            for (name, value) in members {
                self.flatten(Cow::Borrowed(name), value, MAX_EVENT_DEPTH);
            }
        }
    }

    /// The texts of a field, in order; nulls are left out.
    pub fn texts(&self, field: &str) -> impl Iterator<Item = Cow<'_, str>> {
        self.values.iter().filter(move |(name, _)| name == field).filter_map(|(_, value)| value.to_text())
    }

    fn flatten(&mut self, name: Cow<'a, str>, value: &'a Json, depth: usize) {
        match value {
            Json::Array(elements) if elements.is_empty() => self.push(name, Value::Null),
            Json::Array(elements) => {
                if let Some(depth) = depth.checked_sub(1) {
                    for element in elements {
                        self.flatten(name.clone(), element, depth);
                    }
                }
            }
            Json::Object(members) => {
                if let Some(depth) = depth.checked_sub(1) {
                    for (member, value) in members {
                        self.flatten(Cow::Owned(format!("{name}.{member}")), value, depth);
                    }
                }
                self.push(name, Value::Object(value));
            }
            Json::Null => self.push(name, Value::Null),
            Json::Bool(value) => self.push(name, if *value { "true" } else { "false" }),
            Json::Number(value) => self.push(name, value.to_string()),
            Json::String(value) => self.push(name, value.as_str()),
        }
    }
}

impl Value<'_> {
    fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Object(json) => Some(Cow::Owned(json.to_string())),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

/// An absent value is null.
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Number of a field in a table of fields.
pub(crate) type FieldId = u32;

/// Field id of values whose field no rule names.
const UNNAMED: FieldId = FieldId::MAX;

/// An event against a table of fields: the values of the named fields by number, each folded at most once.
#[derive(Debug)]
pub(crate) struct View<'e> {
    /// Sorted by field.
    slots: Vec<Slot<'e>>,
}

/// One value.
#[derive(Debug)]
pub(crate) struct Slot<'e> {
    pub(crate) field: FieldId,
    /// `None` = null.
    text: Option<Cow<'e, str>>,
    folded: OnceCell<Cow<'e, str>>,
    /// Whether keywords see it.
    leaf: bool,
}

impl<'e> View<'e> {
    /// The values of the event's fields that are in the table; with `keywords` also those of all other fields.
    pub(crate) fn new(event: &'e Event<'_>, fields: &HashMap<String, FieldId>, keywords: bool) -> Self {
        let mut slots: Vec<Slot<'e>> = event
            .values
            .iter()
            .filter_map(|(name, value)| {
                let field = fields.get(name.as_ref()).copied();
                let leaf = !matches!(value, Value::Object(_));
                (field.is_some() || (keywords && leaf)).then(|| Slot {
                    field: field.unwrap_or(UNNAMED),
                    text: value.to_text(),
                    folded: OnceCell::new(),
                    leaf,
                })
            })
            .collect();
        slots.sort_by_key(|slot| slot.field);
        Self { slots }
    }

    /// The values of one field.
    pub(crate) fn field(&self, field: FieldId) -> &[Slot<'e>] {
        let start = self.slots.partition_point(|slot| slot.field < field);
        let rest = self.slots.get(start..).unwrap_or_default();
        let length = rest.iter().take_while(|slot| slot.field == field).count();
        rest.get(..length).unwrap_or_default()
    }

    /// Every value.
    pub(crate) fn all(&self) -> &[Slot<'e>] {
        &self.slots
    }
}

impl Slot<'_> {
    /// The text; `None` = null.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The folded text; `None` = null.
    pub(crate) fn folded(&self) -> Option<&str> {
        let text = self.text.as_ref()?;
        Some(self.folded.get_or_init(|| match text {
            Cow::Borrowed(text) => fold(text),
            Cow::Owned(text) => Cow::Owned(fold(text).into_owned()),
        }))
    }

    /// Whether keywords see it.
    pub(crate) fn is_leaf(&self) -> bool {
        self.leaf
    }
}
