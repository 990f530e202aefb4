//! The conversion of a cell's text to a value, by the field's type.

use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

/// The expected form of a cell: it completes the sentence "is not ...".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellError(String);

impl CellError {
    /// Makes an error that expected this, such as `an integer`.
    pub fn expected(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CellError {}

/// A type that reads itself from the text of a cell.
///
/// | type | reads | null is |
/// |---|---|---|
/// | integers | a decimal integer in its range, white space around it allowed | 0 |
/// | `f32`, `f64` | a decimal number, not `NaN` and not infinite | 0 |
/// | `bool` | `true`, `t`, `yes`, `y`, `1` and their opposites, in any case | `false` |
/// | `char` | one character | an error |
/// | `String` | the text without the white space around it | the empty text |
/// | `Uuid` | a UUID in any of its forms | an error |
/// | [`UtcTime`](super::UtcTime), `SystemTime` | RFC 3339, or the field's `format` | an error |
/// | [`Value`], `Map<String, Value>` | JSON; a text of JSON lines is that text | `null`, no entries |
/// | `Option<T>` | as `T` | `None` |
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a cell",
    label = "the field's type reads no text",
    note = "use a type that does, implement `kinesis_pipeline::record::row::FromCell`, or name a function: `#[kinesis(parse = path::to::function)]`"
)]
pub trait FromCell: Sized {
    /// Reads the text of a cell that is not null.
    ///
    /// # Errors
    /// The expected form.
    fn from_cell(text: &str) -> Result<Self, CellError>;

    /// Reads a cell that its source says is a text, as JSON lines do. By default as [`from_cell`](Self::from_cell).
    ///
    /// # Errors
    /// The expected form.
    fn from_text(text: &str) -> Result<Self, CellError> {
        Self::from_cell(text)
    }

    /// Returns the value of a cell that is null, or `None` if the type has no such value.
    #[must_use]
    fn null() -> Option<Self> {
        None
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl FromCell for $type {
            fn from_cell(text: &str) -> Result<Self, CellError> {
                text.trim().parse().map_err(|_| {
                    CellError::expected(format!(
                        "an integer from {} to {}", <$type>::MIN, <$type>::MAX
                    ))
                })
            }

            fn null() -> Option<Self> {
                Some(0)
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

macro_rules! floats {
    ($($type:ty)*) => {$(
        impl FromCell for $type {
            fn from_cell(text: &str) -> Result<Self, CellError> {
                match text.trim().parse::<$type>() {
                    Ok(value) if value.is_finite() => Ok(value),
                    _ => Err(CellError::expected("a number")),
                }
            }

            fn null() -> Option<Self> {
                Some(0.0)
            }
        }
    )*};
}

floats!(f32 f64);

const TRUE: [&str; 5] = ["true", "t", "yes", "y", "1"];
const FALSE: [&str; 5] = ["false", "f", "no", "n", "0"];

impl FromCell for bool {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        let text = text.trim();
        let is_one_of = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is_one_of(TRUE) {
            return Ok(true);
        }
        if is_one_of(FALSE) {
            return Ok(false);
        }
        Err(CellError::expected(
            "a bool: true, yes, y, t, 1, false, no, n, f or 0",
        ))
    }

    fn null() -> Option<Self> {
        Some(false)
    }
}

impl FromCell for char {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(char), None) => Ok(char),
            _ => Err(CellError::expected("one character")),
        }
    }
}

impl FromCell for String {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        Ok(text.trim().to_owned())
    }

    fn null() -> Option<Self> {
        Some(Self::new())
    }
}

impl FromCell for Uuid {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        Self::try_parse(text.trim()).map_err(|_| CellError::expected("a UUID"))
    }
}

impl FromCell for Value {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        serde_json::from_str(text).map_err(|_| CellError::expected("JSON"))
    }

    fn from_text(text: &str) -> Result<Self, CellError> {
        Ok(Self::String(text.to_owned()))
    }

    fn null() -> Option<Self> {
        Some(Self::Null)
    }
}

impl FromCell for Map<String, Value> {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        serde_json::from_str(text).map_err(|_| CellError::expected("a JSON object"))
    }

    fn null() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        T::from_cell(text).map(Some)
    }

    fn from_text(text: &str) -> Result<Self, CellError> {
        T::from_text(text).map(Some)
    }

    fn null() -> Option<Self> {
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromCell>(text: &str) -> Option<T> {
        T::from_cell(text).ok()
    }

    #[test]
    fn numbers_are_trimmed_and_held_to_their_range() {
        assert_eq!(read::<i64>(" 42 "), Some(42));
        assert_eq!(read::<u8>("256"), None);
        assert_eq!(read::<i64>(""), None);
        assert_eq!(read::<f64>("1e3"), Some(1000.0));
        assert_eq!(read::<f64>("NaN"), None);
        let error = u8::from_cell("256").unwrap_err();
        assert_eq!(error.to_string(), "an integer from 0 to 255");
    }

    #[test]
    fn a_bool_is_one_of_ten_words_and_no_tomato() {
        for text in ["true", "T", "Yes", "y", "1", " TRUE "] {
            assert_eq!(read::<bool>(text), Some(true), "{text}");
        }
        for text in ["false", "F", "No", "n", "0"] {
            assert_eq!(read::<bool>(text), Some(false), "{text}");
        }
        for text in ["tomato", "", "2"] {
            assert_eq!(read::<bool>(text), None, "{text}");
        }
    }

    #[test]
    fn null_is_nothing_that_a_cell_could_hold_where_there_is_a_none() {
        assert_eq!(i64::null(), Some(0));
        assert_eq!(Option::<i64>::null(), Some(None));
        assert_eq!(String::null(), Some(String::new()));
        assert_eq!(Uuid::null(), None);
        assert_eq!(Value::null(), Some(Value::Null));
    }

    #[test]
    fn an_empty_text_is_a_text_and_not_a_none() {
        assert_eq!(read::<Option<String>>(""), Some(Some(String::new())));
    }

    #[test]
    fn json_keeps_its_shape() {
        assert_eq!(
            read::<Value>("[1, null]"),
            Some(serde_json::json!([1, null]))
        );
        assert_eq!(read::<Value>("x"), None);
        assert!(read::<Map<String, Value>>("{\"a\": 1}").is_some());
        assert!(read::<Map<String, Value>>("[]").is_none());
    }
}
