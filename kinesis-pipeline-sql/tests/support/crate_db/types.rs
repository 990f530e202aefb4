//! Types of columns, and values that fit them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::statement::Refusal;

/// The longest text that is indexed, in bytes.
const TERM_BYTES_MAX: usize = 32_766;

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Boolean,
    BigInt,
    Double,
    Text {
        is_long: bool,
    },
    Timestamp,
    Object {
        policy: Policy,
        keys: BTreeMap<String, Kind>,
    },
    Array(Box<Kind>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Dynamic,
    Strict,
    Ignored,
}

impl Kind {
    pub fn object(policy: &str) -> Option<Self> {
        let policy = match policy {
            "DYNAMIC" => Policy::Dynamic,
            "STRICT" => Policy::Strict,
            "IGNORED" => Policy::Ignored,
            _ => return None,
        };
        Some(Self::Object {
            policy,
            keys: BTreeMap::new(),
        })
    }

    /// The type of a key's first value; `None` for one that tells none.
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_f64() => Self::Double,
            Value::Number(_) => Self::BigInt,
            Value::String(_) => Self::Text { is_long: false },
            Value::Array(items) => Self::Array(Box::new(items.iter().find_map(Self::of)?)),
            Value::Object(_) => Self::Object {
                policy: Policy::Dynamic,
                keys: BTreeMap::new(),
            },
        })
    }

    /// Returns a value as the column keeps it, and learns the types of new keys.
    pub fn cast(&mut self, value: Value) -> Result<Value, Refusal> {
        if value.is_null() {
            return Ok(value);
        }
        let misfit = |value: &Value| {
            let mut text = value.to_string();
            text.truncate(text.floor_char_boundary(40));
            Err((4003, format!("Cannot cast value `{text}`")))
        };
        match (self, value) {
            (Self::Boolean, value @ Value::Bool(_)) => Ok(value),
            (Self::BigInt | Self::Timestamp, value) if value.is_i64() => Ok(value),
            (Self::Double, Value::Number(number)) => Ok(number.as_f64().into()),
            (Self::Text { is_long }, Value::String(text)) => {
                if !*is_long && text.len() > TERM_BYTES_MAX {
                    return Err((
                        5000,
                        "Document contains at least one immense term".to_owned(),
                    ));
                }
                Ok(text.into())
            }
            (Self::Text { .. }, Value::Number(number)) => Ok(number.to_string().into()),
            (Self::Array(kind), Value::Array(items)) => items
                .into_iter()
                .map(|item| kind.cast(item))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array),
            (Self::Object { policy, keys }, Value::Object(object)) => {
                let mut kept = serde_json::Map::new();
                for (key, value) in object {
                    if key.is_empty() || key.starts_with('_') || key.contains(['.', '[', ']']) {
                        return Err((4008, format!("\"{key}\" is no name of a column")));
                    }
                    let value = match (*policy, keys.get_mut(&key)) {
                        (_, Some(kind)) => kind.cast(value)?,
                        (Policy::Ignored, None) => value,
                        (Policy::Strict, None) => {
                            return Err((4043, format!("Column {key} unknown")));
                        }
                        (Policy::Dynamic, None) => match Self::of(&value) {
                            None => value,
                            Some(mut kind) => {
                                let value = kind.cast(value)?;
                                keys.insert(key.clone(), kind);
                                value
                            }
                        },
                    };
                    kept.insert(key, value);
                }
                Ok(kept.into())
            }
            (_, value) => misfit(&value),
        }
    }
}
