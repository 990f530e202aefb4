//! Conversion of a field's value to the type of its column. Nothing is rounded or cut: a value that does not fit is an
//! error.

use std::time::SystemTime;

use serde::{
    Serialize,
    ser::{Error as _, Impossible, Serializer},
};

use super::{ColumnType, Decimal, Value, ValueError, to_list::ToList};

/// The integer up to which `f64` holds every integer exactly.
const EXACT_MAX: u64 = 1 << f64::MANTISSA_DIGITS;
const EXACT_MAX_FLOAT: f64 = 9_007_199_254_740_992.0;

/// Returns a value in a column's type.
pub(super) fn to_value<T: Serialize + ?Sized>(
    value: &T,
    kind: ColumnType,
) -> Result<Value, ValueError> {
    if kind != ColumnType::Json {
        return value.serialize(ToValue { kind });
    }
    let json = serde_json::to_string(value).map_err(ValueError::custom)?;
    Ok(match json.as_str() {
        "null" => Value::Null,
        _ => Value::Json(json),
    })
}

#[derive(Clone, Copy)]
pub(super) struct ToValue {
    pub(super) kind: ColumnType,
}

impl ToValue {
    fn wrong<T>(self, found: &'static str) -> Result<T, ValueError> {
        let expected = self.kind;
        Err(ValueError::WrongType { found, expected })
    }

    fn integer<N>(self, number: N) -> Result<Value, ValueError>
    where
        N: Copy + ToString + TryInto<i64> + TryInto<i128>,
    {
        let out_of_range = || ValueError::OutOfRange {
            number: number.to_string(),
            expected: self.kind,
        };
        let int = || TryInto::<i64>::try_into(number).map_err(|_| out_of_range());
        match self.kind {
            ColumnType::Int => Ok(Value::Int(int()?)),
            ColumnType::Text => Ok(Value::Text(number.to_string())),
            ColumnType::Decimal => Ok(Value::Decimal(number.to_string())),
            ColumnType::Float => {
                let int = int()?;
                if int.unsigned_abs() > EXACT_MAX {
                    return Err(out_of_range());
                }
                #[expect(clippy::cast_precision_loss, reason = "the range was checked")]
                Ok(Value::Float(int as f64))
            }
            _ => self.wrong("an integer"),
        }
    }
}

impl Serializer for ToValue {
    type Ok = Value;
    type Error = ValueError;
    type SerializeSeq = ToList;
    type SerializeTuple = ToList;
    type SerializeTupleStruct = Impossible<Value, ValueError>;
    type SerializeTupleVariant = Impossible<Value, ValueError>;
    type SerializeMap = Impossible<Value, ValueError>;
    type SerializeStruct = Impossible<Value, ValueError>;
    type SerializeStructVariant = Impossible<Value, ValueError>;

    fn serialize_bool(self, v: bool) -> Result<Value, ValueError> {
        match self.kind {
            ColumnType::Bool => Ok(Value::Bool(v)),
            _ => self.wrong("a boolean"),
        }
    }

    fn serialize_i8(self, v: i8) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_i16(self, v: i16) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_i32(self, v: i32) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_i64(self, v: i64) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_i128(self, v: i128) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_u8(self, v: u8) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_u16(self, v: u16) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_u32(self, v: u32) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_u64(self, v: u64) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_u128(self, v: u128) -> Result<Value, ValueError> {
        self.integer(v)
    }

    fn serialize_f32(self, v: f32) -> Result<Value, ValueError> {
        self.serialize_f64(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<Value, ValueError> {
        match self.kind {
            ColumnType::Float => Ok(Value::Float(v)),
            ColumnType::Decimal if v.is_finite() => Ok(Value::Decimal(v.to_string())),
            // JSON of other writers may have an integer as 3.0.
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            ColumnType::Int if v.fract() == 0.0 && v.abs() <= EXACT_MAX_FLOAT => {
                Ok(Value::Int(v as i64))
            }
            ColumnType::Int | ColumnType::Decimal => Err(ValueError::OutOfRange {
                number: v.to_string(),
                expected: self.kind,
            }),
            _ => self.wrong("a floating-point number"),
        }
    }

    fn serialize_char(self, v: char) -> Result<Value, ValueError> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<Value, ValueError> {
        match self.kind {
            ColumnType::Text => Ok(Value::Text(v.to_owned())),
            ColumnType::Bytes => Ok(Value::Bytes(v.as_bytes().to_vec())),
            ColumnType::Timestamp => match v.parse::<jiff::Timestamp>() {
                Ok(time) => Ok(Value::Timestamp(SystemTime::from(time))),
                Err(_) => Err(ValueError::not_a_timestamp(v)),
            },
            ColumnType::Date => date(v),
            ColumnType::Decimal => match Decimal::parse(v) {
                Some(_) => Ok(Value::Decimal(v.to_owned())),
                None => Err(ValueError::not_a_decimal(v)),
            },
            _ => self.wrong("a text"),
        }
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Value, ValueError> {
        match self.kind {
            ColumnType::Bytes => Ok(Value::Bytes(v.to_vec())),
            _ => self.wrong("a byte string"),
        }
    }

    fn serialize_none(self) -> Result<Value, ValueError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, ValueError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, ValueError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, ValueError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, ValueError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Value, ValueError> {
        self.wrong("an enum with fields")
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<ToList, ValueError> {
        match ToList::of(self.kind, len.unwrap_or_default()) {
            Some(list) => Ok(list),
            None => self.wrong("a list"),
        }
    }

    fn serialize_tuple(self, len: usize) -> Result<ToList, ValueError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, ValueError> {
        self.wrong("a list")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, ValueError> {
        self.wrong("an enum with fields")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, ValueError> {
        self.wrong("an object")
    }

    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, ValueError> {
        self.wrong("an object")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, ValueError> {
        self.wrong("an enum with fields")
    }
}

/// Reads a day. A text that also has a time is an error, because the time would be lost.
fn date(text: &str) -> Result<Value, ValueError> {
    let date = text.parse::<jiff::civil::Date>();
    let date = date.ok().filter(|date| date.to_string() == text);
    let date = date.ok_or_else(|| ValueError::not_a_date(text))?;
    Ok(Value::Date(
        (date - jiff::civil::date(1970, 1, 1)).get_days(),
    ))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn values_take_the_type_of_their_column() {
        let to = |value: serde_json::Value, kind| to_value(&value, kind).unwrap();
        assert_eq!(to(true.into(), ColumnType::Bool), Value::Bool(true));
        assert_eq!(to(7.into(), ColumnType::Int), Value::Int(7));
        assert_eq!(to(7.0.into(), ColumnType::Int), Value::Int(7));
        assert_eq!(to(7.into(), ColumnType::Float), Value::Float(7.0));
        assert_eq!(to(7.into(), ColumnType::Text), Value::Text("7".into()));
        assert_eq!(to("a".into(), ColumnType::Bytes), Value::Bytes(b"a".into()));
        assert_eq!(
            to(vec![0, 255].into(), ColumnType::Bytes),
            Value::Bytes(vec![0, 255])
        );
        assert_eq!(
            to("a".into(), ColumnType::Json),
            Value::Json("\"a\"".into())
        );
        for kind in [ColumnType::Json, ColumnType::Int, ColumnType::Timestamp] {
            assert_eq!(to(serde_json::Value::Null, kind), Value::Null);
        }
        assert_eq!(to("1970-01-03".into(), ColumnType::Date), Value::Date(2));
        for (value, text) in [
            ("-12.50".into(), "-12.50"),
            (7.into(), "7"),
            (0.1.into(), "0.1"),
            (u64::MAX.into(), "18446744073709551615"),
        ] {
            let decimal = Value::Decimal(text.to_owned());
            assert_eq!(to(value, ColumnType::Decimal), decimal);
        }
        let list = serde_json::json!([1, null, 2.0]);
        let ints = Value::Array(vec![Value::Int(1), Value::Null, Value::Int(2)]);
        assert_eq!(to(list, ColumnType::IntArray), ints);
        let pair = to_value(&(1.5, 2), ColumnType::FloatArray).unwrap();
        assert_eq!(
            pair,
            Value::Array(vec![Value::Float(1.5), Value::Float(2.0)])
        );
        let time = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(
            to("1970-01-01T00:00:01.5Z".into(), ColumnType::Timestamp),
            Value::Timestamp(time)
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_and_never_rounded() {
        let text = |value: serde_json::Value, kind| to_value(&value, kind).unwrap_err().to_string();
        assert!(text("x".into(), ColumnType::Int).starts_with("a text is no integer"));
        assert!(text(7.5.into(), ColumnType::Int).starts_with("7.5 does not fit integer"));
        assert!(text(u64::MAX.into(), ColumnType::Int).starts_with("18446744073709551615 does"));
        assert!(text(((1_u64 << 53) + 1).into(), ColumnType::Float).contains("does not fit"));
        assert!(text(1e300.into(), ColumnType::Int).contains("does not fit"));
        let date = |value: &str| text(value.into(), ColumnType::Date);
        assert!(date("2026-02-30").starts_with("`2026-02-30` is no date"));
        assert!(date("2026-11-28T18:30:00Z").contains("is no date"));
        assert!(text("1,5".into(), ColumnType::Decimal).starts_with("`1,5` is no decimal number"));
        let nan = to_value(&f64::NAN, ColumnType::Decimal).unwrap_err();
        assert!(
            nan.to_string()
                .starts_with("NaN does not fit decimal number")
        );
        assert!(text(vec!["a"].into(), ColumnType::IntArray).starts_with("a text is no integer"));
        assert!(text(vec![vec![1]].into(), ColumnType::IntArray).starts_with("a list is no"));
        assert!(text("soon".into(), ColumnType::Timestamp).starts_with("`soon` is no timestamp"));
        assert!(text(vec![256].into(), ColumnType::Bytes).contains("other than bytes"));
        assert!(text(serde_json::json!({}), ColumnType::Text).contains("an object is no text"));
    }
}
