use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::json::kind;

/// Most faults that are listed for one payload; further ones are dropped.
pub const MAX_FAULTS: usize = 32;

/// A value and where upstream would have refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// What was read; a refused field holds its zero value.
    pub value: T,
    /// Fields that upstream refuses; empty for what upstream accepts. At most [`MAX_FAULTS`].
    pub faults: Vec<Fault>,
}

impl<T> Parsed<T> {
    pub(super) fn clean(value: T) -> Self {
        Self { value, faults: Vec::new() }
    }

    pub(super) fn map<U>(self, into: impl FnOnce(T) -> U) -> Parsed<U> {
        Parsed { value: into(self.value), faults: self.faults }
    }
}

/// A JSON value that is not of its field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Key of the field as upstream spells it.
    pub key: &'static str,
    /// Type that upstream declares.
    pub expected: &'static str,
    /// Kind of the value that is there.
    pub found: &'static str,
}

/// A type that a field of a JSON message can have, read and written as Go reads and writes it.
pub trait Field: Default {
    /// Reads a value that is not `null`. What is of another type leaves the zero value and a fault.
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self;
    /// The value as upstream would write it.
    fn write(&self) -> Value;
}

pub(super) fn refuse<T: Default>(
    faults: &mut Vec<Fault>,
    key: &'static str,
    expected: &'static str,
    value: &Value,
) -> T {
    if faults.len() < MAX_FAULTS {
        faults.push(Fault { key, expected, found: kind(value) });
    }
    T::default()
}

impl Field for String {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        match value {
            Value::String(text) => text,
            other => refuse(faults, key, "string", &other),
        }
    }

    fn write(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Field for i64 {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        value.as_i64().unwrap_or_else(|| refuse(faults, key, "int64", &value))
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Field for u32 {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        let number = value.as_u64().and_then(|number| Self::try_from(number).ok());
        number.unwrap_or_else(|| refuse(faults, key, "uint32", &value))
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

impl Field for bool {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        value.as_bool().unwrap_or_else(|| refuse(faults, key, "bool", &value))
    }

    fn write(&self) -> Value {
        Value::from(*self)
    }
}

/// Go's `[]byte`: padded standard base64, line ends ignored.
impl Field for Vec<u8> {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        let bytes = value.as_str().and_then(|text| {
            let text: String = text.chars().filter(|char| !matches!(char, '\r' | '\n')).collect();
            STANDARD.decode(text).ok()
        });
        bytes.unwrap_or_else(|| refuse(faults, key, "base64", &value))
    }

    fn write(&self) -> Value {
        Value::from(STANDARD.encode(self))
    }
}

/// A field that may be absent: what newer programs added.
impl<T: Field> Field for Option<T> {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        Some(T::read(value, key, faults))
    }

    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::write)
    }
}

/// A list of strings or messages. Go writes an absent list as `null`, and `null` elements are zero values.
impl<T: Field + Element> Field for Vec<T> {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        match value {
            Value::Array(list) => list
                .into_iter()
                .map(|value| if value.is_null() { T::default() } else { T::read(value, key, faults) })
                .collect(),
            other => refuse(faults, key, "array", &other),
        }
    }

    fn write(&self) -> Value {
        if self.is_empty() { Value::Null } else { self.iter().map(Field::write).collect() }
    }
}

/// What lists are made of; keeps `Vec<u8>` apart, which is base64.
pub(super) trait Element {}

impl Element for String {}

/// Go's `json.RawMessage` and `interface{}`: any value.
impl Field for Value {
    fn read(value: Value, _: &'static str, _: &mut Vec<Fault>) -> Self {
        value
    }

    fn write(&self) -> Value {
        self.clone()
    }
}

/// Any object.
impl Field for Map<String, Value> {
    fn read(value: Value, key: &'static str, faults: &mut Vec<Fault>) -> Self {
        match value {
            Value::Object(map) => map,
            other => refuse(faults, key, "object", &other),
        }
    }

    fn write(&self) -> Value {
        Value::Object(self.clone())
    }
}

/// Defines a JSON message: the struct, reading it, and writing it in upstream's key order. `?` marks a field that is
/// left out of the text when it is `None`.
macro_rules! json_message {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Keys that upstream does not know, in their order.
            pub unknown: serde_json::Map<String, serde_json::Value>,
        }

        impl $name {
            /// Reads the JSON text of this message.
            ///
            /// # Errors
            /// When the text is neither a JSON object nor `null`.
            pub fn parse(text: &[u8]) -> Result<$crate::payload::Parsed<Self>, $crate::payload::JsonError> {
                match $crate::payload::parse_json(text)? {
                    serde_json::Value::Null => Ok($crate::payload::Parsed::clean(Self::default())),
                    serde_json::Value::Object(object) => {
                        let mut faults = Vec::new();
                        let value = Self::read_object(object, &mut faults);
                        Ok($crate::payload::Parsed { value, faults })
                    }
                    other => Err($crate::payload::JsonError::NotAnObject {
                        found: $crate::payload::json::kind(&other),
                    }),
                }
            }

            /// The JSON text as upstream writes it; unknown keys follow.
            pub fn to_json(&self) -> String {
                $crate::payload::write_json(&$crate::payload::Field::write(self))
            }

            fn read_object(
                object: serde_json::Map<String, serde_json::Value>,
                faults: &mut Vec<$crate::payload::Fault>,
            ) -> Self {
                let mut message = Self::default();
                for (key, value) in object {
                    $(if $crate::payload::json::folds_to(&key, $key) {
                        // As in Go, `null` leaves what is there, and of several spellings the last one counts.
                        if !value.is_null() {
                            message.$field = $crate::payload::Field::read(value, $key, faults);
                        }
                        continue;
                    })*
                    message.unknown.insert(key, value);
                }
                message
            }
        }

        impl $crate::payload::Field for $name {
            fn read(
                value: serde_json::Value,
                key: &'static str,
                faults: &mut Vec<$crate::payload::Fault>,
            ) -> Self {
                match value {
                    serde_json::Value::Object(object) => Self::read_object(object, faults),
                    other => $crate::payload::field::refuse(faults, key, "object", &other),
                }
            }

            fn write(&self) -> serde_json::Value {
                let mut object = serde_json::Map::new();
                $(object.insert($key.to_owned(), $crate::payload::Field::write(&self.$field));)*
                object.extend(self.unknown.clone());
                serde_json::Value::Object(object)
            }
        }
    };
}

pub(super) use json_message;
