//! Lenient reading of JSON fields, which may be of another type than documented.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::json::{Kind, Malformed, Scanner};

/// A field of any type. Values that are not texts or numbers are skipped.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Field<'a> {
    Text(Cow<'a, str>),
    Whole(u64),
    Decimal(f64),
    #[default]
    Other,
}

impl<'a> Field<'a> {
    #[inline]
    pub(super) fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Malformed> {
        Ok(match scanner.kind()? {
            Kind::Text => Self::Text(scanner.string()?.to_str()),
            Kind::Number => Self::of_number(scanner.number()?),
            Kind::Null => {
                scanner.null()?;
                Self::Other
            }
            _ => {
                scanner.skip()?;
                Self::Other
            }
        })
    }

    #[inline]
    fn of_number(number: &str) -> Self {
        let decimal = || {
            number
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
        };
        match number.parse() {
            Ok(whole) => Self::Whole(whole),
            Err(_) => decimal().map_or(Self::Other, Self::Decimal),
        }
    }

    /// Returns the text, or an empty one if the field is not a text.
    pub(super) fn text_or_empty(self) -> Cow<'a, str> {
        self.text().unwrap_or_default()
    }

    /// Returns the text, if the field is a text and not empty.
    pub(super) fn filled_text(self) -> Option<Cow<'a, str>> {
        self.text().filter(|text| !text.is_empty())
    }

    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a whole number that is not negative. It may be written as a text.
    #[inline]
    pub(super) fn whole(&self) -> Option<u64> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Decimal(number) => rounded(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Other => None,
        }
    }

    /// Returns milliseconds, from seconds with a fraction.
    pub(super) fn seconds_as_millis(&self) -> Option<u64> {
        match self {
            Self::Whole(seconds) => seconds.checked_mul(1_000),
            Self::Decimal(seconds) => rounded(seconds * 1_000.0),
            Self::Text(_) | Self::Other => None,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and what is negative or no number went before"
)]
fn rounded(number: f64) -> Option<u64> {
    (number >= 0.0).then(|| number.round() as u64)
}

/// Returns the JSON text of one of our types. It cannot fail, as none of them has maps with keys other than texts.
pub(super) fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("text, numbers and lists have a JSON text")
}

/// Reads a text, or an empty one if the field is not a text.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    Ok(Field::deserialize(deserializer)?.text_or_empty())
}

/// Reads a whole number; `None` if the field has none.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Field::deserialize(deserializer)?.whole())
}

/// Reads a required text.
pub(super) fn required_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Cow<'de, str>, D::Error> {
    let text = Field::deserialize(deserializer)?.filled_text();
    text.ok_or(D::Error::custom("it is empty or no text"))
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<'de>, E> {
        Ok(Field::Whole(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Field<'de>, E> {
        Ok(Field::Decimal(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_unit<E>(self) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a field in both ways, and checks that they agree.
    fn field(json: &str) -> Field<'_> {
        let scanned = Field::scan(&mut Scanner::new(json.as_bytes())).unwrap();
        let read: Field<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(scanned.whole(), read.whole(), "{json}");
        assert_eq!(
            scanned.seconds_as_millis(),
            read.seconds_as_millis(),
            "{json}"
        );
        assert_eq!(scanned.clone().text(), read.text(), "{json}");
        scanned
    }

    #[test]
    fn a_field_of_another_type_is_passed_over() {
        for json in ["null", "true", "[1,[2]]", r#"{"a":{"b":1}}"#] {
            assert_eq!(field(json), Field::Other, "{json}");
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(
            field(r#""abc""#),
            Field::Text(Cow::Borrowed("abc"))
        ));
        assert!(matches!(field(r#""a\/b""#), Field::Text(Cow::Owned(text)) if text == "a/b"));
    }

    #[test]
    fn numbers_are_read_from_numbers_and_text() {
        assert_eq!(field("7").whole(), Some(7));
        assert_eq!(field("1495072949453.0").whole(), Some(1_495_072_949_453));
        assert_eq!(field(r#""7""#).whole(), Some(7));
        assert_eq!(field(r#""""#).whole(), None);
        assert_eq!(field("-7.5").whole(), None);
        assert_eq!(field("-7").whole(), None);
        assert_eq!(field("-0").whole(), Some(0));
        assert_eq!(
            field("1545084650.987").seconds_as_millis(),
            Some(1_545_084_650_987)
        );
        assert_eq!(field("2").seconds_as_millis(), Some(2_000));
        assert_eq!(field("1e300").seconds_as_millis(), Some(u64::MAX));
    }
}
