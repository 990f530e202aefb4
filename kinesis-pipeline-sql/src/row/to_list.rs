//! Lists of serde as bytes or as values of one type.

use serde::{
    Serialize,
    ser::{SerializeSeq, SerializeTuple},
};

use super::{ColumnType, Value, ValueError, to_value::ToValue};

/// The most elements that a list reserves memory for in advance.
const BEGIN_MAX: usize = 1 << 16;

/// A serializer of a list into a value.
pub(super) enum ToList {
    /// Numbers as bytes.
    Bytes(Vec<u8>),
    /// Values of a type.
    Values(ColumnType, Vec<Value>),
}

impl ToList {
    /// Returns an empty list for a column of this type; `None` for a type that is no list.
    pub(super) fn of(kind: ColumnType, len: usize) -> Option<Self> {
        let len = len.min(BEGIN_MAX);
        match kind.element() {
            Some(element) => Some(Self::Values(element, Vec::with_capacity(len))),
            None => (kind == ColumnType::Bytes).then(|| Self::Bytes(Vec::with_capacity(len))),
        }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        match self {
            Self::Bytes(bytes) => bytes.push(byte(value)?),
            Self::Values(kind, values) => values.push(value.serialize(ToValue { kind: *kind })?),
        }
        Ok(())
    }

    fn finish(self) -> Value {
        match self {
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Values(_, values) => Value::Array(values),
        }
    }
}

fn byte<T: Serialize + ?Sized>(value: &T) -> Result<u8, ValueError> {
    let kind = ColumnType::Int;
    let byte = match value.serialize(ToValue { kind })? {
        Value::Int(int) => u8::try_from(int).ok(),
        _ => None,
    };
    byte.ok_or(ValueError::WrongType {
        found: "a list of other than bytes",
        expected: ColumnType::Bytes,
    })
}

impl SerializeSeq for ToList {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, ValueError> {
        Ok(self.finish())
    }
}

impl SerializeTuple for ToList {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.push(value)
    }

    fn end(self) -> Result<Value, ValueError> {
        Ok(self.finish())
    }
}
