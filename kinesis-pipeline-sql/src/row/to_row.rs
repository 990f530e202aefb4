use kinesis_pipeline::{Position, Record};
use serde::{
    Serialize,
    ser::{Impossible, SerializeMap, SerializeStruct, Serializer},
};

use super::{
    BadValue, ColumnSource, ColumnType, Columns, Value, ValueError,
    to_value::{ToValue, to_value},
};

/// The name of the struct as which `serde_json` writes a `RawValue`; its one field is no field of the record.
const RAW_JSON: &str = "$serde_json::private::RawValue";

/// A row of a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// One value for each of the [`Columns`], in their order.
    pub values: Vec<Value>,
}

impl Columns {
    /// Returns a record's row. Fields without a column are left out; columns without a field are null.
    ///
    /// # Errors
    /// [`BadValue`]: the column and the reason.
    pub fn row<R: Serialize>(&self, record: &Record<R>) -> Result<Row, BadValue> {
        let position = record.position();
        let mut values = vec![Value::Null; self.len()];
        if self.has_fields() {
            let to_row = ToRow {
                columns: self,
                values: &mut values,
                next: 0,
                failed: None,
                path: Vec::new(),
                has_paths: self.has_paths(),
            };
            to_row.fill(&record.data, position)?;
        }
        for (value, column) in values.iter_mut().zip(self.iter()) {
            let bad = |source| BadValue::new(column.name(), position.clone(), source);
            match column.source() {
                ColumnSource::Field(_) | ColumnSource::Path(_) => {}
                ColumnSource::Record => {
                    *value = to_value(&record.data, ColumnType::Json).map_err(bad)?;
                }
                ColumnSource::ShardId => *value = Value::Text(position.shard_id.to_string()),
                ColumnSource::SequenceNumber => {
                    *value = Value::Text(position.sequence_number.to_string());
                }
                ColumnSource::SubSequenceNumber => {
                    let number = to_value(&position.sub_sequence_number, ColumnType::Int);
                    *value = number.map_err(bad)?;
                }
                ColumnSource::PartitionKey => {
                    *value = Value::Text(record.partition_key.to_string());
                }
                ColumnSource::ArrivedAt => *value = Value::Timestamp(record.arrived_at),
            }
        }
        for index in self.key_indexes() {
            if values[*index].is_null() {
                let name = self.name(*index);
                return Err(BadValue::new(
                    name,
                    position.clone(),
                    ValueError::MissingKey,
                ));
            }
        }
        Ok(Row { values })
    }
}

/// A serializer of a record's fields into a row.
struct ToRow<'a> {
    columns: &'a Columns,
    values: &'a mut [Value],
    /// The column after the last one that was found, where the search begins: fields mostly come in the order of the
    /// columns.
    next: usize,
    /// The column whose value did not fit.
    failed: Option<usize>,
    /// The names of the objects around these fields, the outermost first.
    path: Vec<String>,
    /// Whether any column is for a field of a nested object.
    has_paths: bool,
}

impl ToRow<'_> {
    fn fill<T: Serialize>(mut self, data: &T, position: &Position) -> Result<(), BadValue> {
        data.serialize(&mut self).map_err(|source| {
            let column = self.failed.map(|index| self.columns.name(index));
            BadValue::new(column.unwrap_or_default(), position.clone(), source)
        })
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), ValueError> {
        if self.has_paths {
            self.descend(name, value)?;
        }
        let found = if self.path.is_empty() {
            self.columns.of_field(name, self.next)
        } else {
            self.columns.of_path(&self.path, name)
        };
        let Some(index) = found else {
            return Ok(());
        };
        self.next = index + 1;
        match to_value(value, self.columns.kind(index)) {
            Ok(value) => {
                self.values[index] = value;
                Ok(())
            }
            Err(error) => {
                self.failed = Some(index);
                Err(error)
            }
        }
    }
}

impl ToRow<'_> {
    /// Takes the fields of a nested object that have columns. A value that is no object has none.
    fn descend<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), ValueError> {
        if !self.columns.has_in(&self.path, name) {
            return Ok(());
        }
        let mut path = self.path.clone();
        path.push(name.to_owned());
        let mut inner = ToRow {
            columns: self.columns,
            values: &mut *self.values,
            next: 0,
            failed: None,
            path,
            has_paths: true,
        };
        match value.serialize(&mut inner) {
            Ok(()) | Err(ValueError::NoFields { .. }) => Ok(()),
            Err(error) => {
                self.failed = inner.failed;
                Err(error)
            }
        }
    }
}

fn no_fields<T>(found: &'static str) -> Result<T, ValueError> {
    Err(ValueError::NoFields { found })
}

/// Methods of values that have no fields.
macro_rules! no_fields {
    ($found:literal: $($method:ident($($argument:ty),*))*) => {
        $(fn $method(self $(, _: $argument)*) -> Result<(), ValueError> {
            no_fields($found)
        })*
    };
}

impl<'a, 'b> Serializer for &'a mut ToRow<'b> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = Impossible<(), ValueError>;
    type SerializeTuple = Impossible<(), ValueError>;
    type SerializeTupleStruct = Impossible<(), ValueError>;
    type SerializeTupleVariant = Impossible<(), ValueError>;
    type SerializeMap = ToRowMap<'a, 'b>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), ValueError>;

    no_fields! { "a boolean": serialize_bool(bool) }
    no_fields! {
        "a number":
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64)
    }
    no_fields! { "a text": serialize_char(char) serialize_str(&str) }
    no_fields! { "a byte string": serialize_bytes(&[u8]) }
    no_fields! { "null": serialize_none() serialize_unit() serialize_unit_struct(&'static str) }
    no_fields! { "an enum": serialize_unit_variant(&'static str, u32, &'static str) }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), ValueError> {
        no_fields("an enum")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, ValueError> {
        no_fields("a list")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, ValueError> {
        no_fields("a list")
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, ValueError> {
        no_fields("a list")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, ValueError> {
        no_fields("an enum")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<ToRowMap<'a, 'b>, ValueError> {
        let key = String::new();
        Ok(ToRowMap { row: self, key })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, ValueError> {
        if name == RAW_JSON {
            return no_fields("raw JSON");
        }
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, ValueError> {
        no_fields("an enum")
    }
}

impl SerializeStruct for &mut ToRow<'_> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), ValueError> {
        Ok(())
    }
}

/// A serializer of a map's fields into a row.
struct ToRowMap<'a, 'b> {
    row: &'a mut ToRow<'b>,
    key: String,
}

impl SerializeMap for ToRowMap<'_, '_> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        let kind = ColumnType::Text;
        if let Value::Text(key) = key.serialize(ToValue { kind })? {
            self.key = key;
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.row.field(&self.key, value)
    }

    fn end(self) -> Result<(), ValueError> {
        Ok(())
    }
}
