//! Fields of a type and their types, found by tracing its `Deserialize` implementation.
//!
//! The first probe gets the names of the fields: serde hands them to `deserialize_struct`. Then each field is offered
//! alone, and the method that is called for its value gives its type. No value is ever made.

use std::{cell::Cell, fmt};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, Visitor},
};

use super::ColumnType;

/// Returns the names and types of a struct's fields; `None` for a type that is no struct with named fields.
pub(super) fn fields_of<'de, R: Deserialize<'de>>() -> Option<Vec<(&'static str, ColumnType)>> {
    let names = Cell::new(None);
    // Each of these calls ends with an error; the result is in the cells.
    let _ = R::deserialize(StructProbe {
        names: &names,
        field: None,
    });
    let of_type = |name: &&'static str| {
        let kind = Cell::new(None);
        let field = Some(FieldProbe { name, kind: &kind });
        let _ = R::deserialize(StructProbe {
            names: &names,
            field,
        });
        (*name, kind.get().unwrap_or(ColumnType::Json))
    };
    Some(names.get()?.iter().map(of_type).collect())
}

/// The error that ends a probe.
#[derive(Debug)]
struct Probed;

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("probed")
    }
}

impl std::error::Error for Probed {}

impl de::Error for Probed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A deserializer that notes the names of a struct's fields, or offers one field to the struct.
struct StructProbe<'a> {
    names: &'a Cell<Option<&'static [&'static str]>>,
    field: Option<FieldProbe<'a>>,
}

impl<'de> Deserializer<'de> for StructProbe<'_> {
    type Error = Probed;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Probed> {
        Err(Probed)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Probed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Probed> {
        self.names.set(Some(names));
        visitor.visit_map(self.field.ok_or(Probed)?)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A map with one field.
struct FieldProbe<'a> {
    name: &'static str,
    kind: &'a Cell<Option<ColumnType>>,
}

impl<'de> MapAccess<'de> for FieldProbe<'_> {
    type Error = Probed;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Probed> {
        seed.deserialize(self.name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Probed> {
        seed.deserialize(ValueProbe { kind: self.kind })
    }
}

struct ValueProbe<'a> {
    kind: &'a Cell<Option<ColumnType>>,
}

/// Methods that note a type.
macro_rules! note {
    ($($kind:ident: $($method:ident)*;)*) => {
        $($(
            fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Probed> {
                self.kind.set(Some(ColumnType::$kind));
                Err(Probed)
            }
        )*)*
    };
}

impl<'de> Deserializer<'de> for ValueProbe<'_> {
    type Error = Probed;

    note! {
        Bool: deserialize_bool;
        Int: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
            deserialize_u32 deserialize_u64 deserialize_i128 deserialize_u128;
        Float: deserialize_f32 deserialize_f64;
        Text: deserialize_char deserialize_str deserialize_string deserialize_identifier;
        Bytes: deserialize_bytes deserialize_byte_buf;
        Json: deserialize_any deserialize_seq deserialize_map deserialize_unit deserialize_ignored_any;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Probed> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Probed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Probed> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Probed> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Probed> {
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Probed> {
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Probed> {
        self.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields are asked for")]
    struct Reading {
        #[serde(rename = "Device \"id\"")]
        device: String,
        celsius: Option<f32>,
        count: u16,
        is_on: bool,
        tags: Vec<String>,
        labels: BTreeMap<String, String>,
        any: serde_json::Value,
        id: Id,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its type is asked for")]
    struct Id(u64);

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its fields are asked for")]
    struct Wrapped(Reading);

    #[test]
    fn fields_have_the_names_and_types_of_serde() {
        let expected = vec![
            ("Device \"id\"", ColumnType::Text),
            ("celsius", ColumnType::Float),
            ("count", ColumnType::Int),
            ("is_on", ColumnType::Bool),
            ("tags", ColumnType::Json),
            ("labels", ColumnType::Json),
            ("any", ColumnType::Json),
            ("id", ColumnType::Int),
        ];
        assert_eq!(fields_of::<Reading>(), Some(expected.clone()));
        assert_eq!(fields_of::<Wrapped>(), Some(expected));
    }

    #[test]
    fn a_type_without_named_fields_has_none() {
        assert_eq!(fields_of::<String>(), None);
        assert_eq!(fields_of::<BTreeMap<String, u8>>(), None);
        assert_eq!(fields_of::<serde_json::Value>(), None);
    }
}
