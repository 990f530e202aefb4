//! Time stamps.

use std::{fmt, time::SystemTime};

use jiff::{Timestamp, civil, fmt::strtime, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CellError, FromCell};

/// A point in time that is written as RFC 3339 text in UTC, such as `2017-01-01T00:00:00Z`; a fraction of the second
/// is written where there is one.
///
/// As a cell it reads RFC 3339 texts, and with `#[kinesis(format = "...")]` any other form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime(pub SystemTime);

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::try_from(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => Err(fmt::Error),
        }
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::try_from(self.0).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(&time)
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_cell(&text).map_err(serde::de::Error::custom)
    }
}

impl FromCell for SystemTime {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        let text = text.trim();
        let time: Timestamp = text
            .parse()
            .map_err(|_| CellError::expected("a time such as 2017-01-01T00:00:00Z"))?;
        Ok(time.into())
    }
}

impl FromCell for UtcTime {
    fn from_cell(text: &str) -> Result<Self, CellError> {
        SystemTime::from_cell(text).map(Self)
    }
}

/// A type that reads a cell in the form that `#[kinesis(format = "...")]` names.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no formats",
    label = "`format` is the form of a time: use `UtcTime`, `SystemTime` or an `Option` of these"
)]
pub trait FromFormatted: Sized {
    /// Reads a cell. The conversions of the format are those of C's `strptime`; without one of the zone, the time is
    /// UTC; without a time of the day, it is midnight.
    ///
    /// # Errors
    /// The text is not in this form.
    fn from_formatted(text: &str, format: &str) -> Result<Self, CellError>;
}

impl FromFormatted for SystemTime {
    fn from_formatted(text: &str, format: &str) -> Result<Self, CellError> {
        let wrong = || CellError::expected(format!("a time in the form {format}"));
        let parsed = strtime::parse(format, text.trim()).map_err(|_| wrong())?;
        let time = match parsed.to_timestamp() {
            Ok(time) => Ok(time),
            Err(_) => utc(&parsed),
        };
        time.map(Self::from).map_err(|_| wrong())
    }
}

/// Returns the time of a text without a zone.
fn utc(parsed: &strtime::BrokenDownTime) -> Result<Timestamp, jiff::Error> {
    let date = parsed.to_date()?;
    let time = parsed.to_time().unwrap_or(civil::Time::midnight());
    TimeZone::UTC.to_timestamp(date.to_datetime(time))
}

impl FromFormatted for UtcTime {
    fn from_formatted(text: &str, format: &str) -> Result<Self, CellError> {
        SystemTime::from_formatted(text, format).map(Self)
    }
}

impl<T: FromFormatted> FromFormatted for Option<T> {
    fn from_formatted(text: &str, format: &str) -> Result<Self, CellError> {
        T::from_formatted(text, format).map(Some)
    }
}

/// A type that `#[kinesis(now)]` can fill.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold the time",
    label = "`now` fills a `UtcTime`, a `SystemTime`, a `String` or an `Option` of these"
)]
pub trait FromTime {
    /// Returns the value of this time.
    fn from_time(time: SystemTime) -> Self;
}

impl FromTime for SystemTime {
    fn from_time(time: SystemTime) -> Self {
        time
    }
}

impl FromTime for UtcTime {
    fn from_time(time: SystemTime) -> Self {
        Self(time)
    }
}

/// RFC 3339, in UTC.
impl FromTime for String {
    fn from_time(time: SystemTime) -> Self {
        Timestamp::try_from(time).map_or_else(|_| Self::new(), |time| time.to_string())
    }
}

impl<T: FromTime> FromTime for Option<T> {
    fn from_time(time: SystemTime) -> Self {
        Some(T::from_time(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: &str) -> Result<String, CellError> {
        UtcTime::from_formatted(text, format).map(|time| time.to_string())
    }

    #[test]
    fn a_time_is_read_in_its_format_and_written_in_utc() {
        let day = read("31.12.2017", "%d.%m.%Y").unwrap();
        assert_eq!(day, "2017-12-31T00:00:00Z");
        let time = read(" 2017-12-31 23:59:58 ", "%Y-%m-%d %H:%M:%S").unwrap();
        assert_eq!(time, "2017-12-31T23:59:58Z");
        let zoned = read("2017-12-31 23:00 -0500", "%Y-%m-%d %H:%M %z").unwrap();
        assert_eq!(zoned, "2018-01-01T04:00:00Z");
        assert!(read("2017", "%d.%m.%Y").is_err());
    }

    #[test]
    fn a_time_comes_back_from_json() {
        let time = UtcTime::from_cell("2017-01-01T01:00:00.5+01:00").unwrap();
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(json, r#""2017-01-01T00:00:00.5Z""#);
        assert_eq!(serde_json::from_str::<UtcTime>(&json).unwrap(), time);
    }

    #[test]
    fn now_fills_a_text_in_rfc_3339() {
        assert_eq!(
            String::from_time(SystemTime::UNIX_EPOCH),
            "1970-01-01T00:00:00Z"
        );
    }
}
