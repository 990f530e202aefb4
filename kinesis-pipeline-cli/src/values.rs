//! Values of options, read from their texts.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use kinesis_pipeline::{SequenceNumber, ShardId, ShardSelector};

/// Reads a length of time: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 500ms, 30s, 15m, 2h or 7d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let millis = number.checked_mul(millis_per_unit).ok_or_else(wrong)?;
    Ok(Duration::from_millis(millis))
}

/// A point in time, or a time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(SystemTime),
    /// A time of day, as the time since midnight.
    TimeOfDay(Duration),
}

/// The forms that `When` reads, for messages.
const TIMES: &str = "a time such as 2026-11-21T08:00:00Z, a date such as 2026-11-21 or a time of day such as \
                     08:00 (both in UTC)";

impl When {
    /// Returns the point in time; a time of day is that of the day of `now`.
    pub(crate) fn resolve(self, now: SystemTime) -> SystemTime {
        match self {
            Self::At(time) => time,
            Self::TimeOfDay(time) => {
                let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH);
                let seconds = since_epoch.map_or(0, |since| since.as_secs());
                let midnight = Duration::from_secs(seconds - seconds % DAY_SECONDS);
                SystemTime::UNIX_EPOCH + midnight + time
            }
        }
    }
}

const DAY_SECONDS: u64 = 24 * 60 * 60;

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(time.into()));
        }
        if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
            let zoned = time.to_zoned(jiff::tz::TimeZone::UTC);
            let zoned = zoned.map_err(|error| error.to_string())?;
            return Ok(Self::At(zoned.timestamp().into()));
        }
        match text.parse::<jiff::civil::Time>() {
            Ok(time) if text.contains(':') => {
                let midnight = jiff::civil::Time::midnight();
                let since = time.duration_since(midnight);
                let since = Duration::try_from(since).unwrap_or_default();
                Ok(Self::TimeOfDay(since))
            }
            _ => Err(format!("`{text}` is not {TIMES}")),
        }
    }
}

/// The start of `get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// After the last record that is in the stream now.
    Latest,
    /// At the oldest record.
    All,
    /// At the first record that arrived since this long ago.
    Ago(Duration),
    /// At the first record that arrived at or after this time.
    At(When),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => return Ok(Self::Latest),
            "all" => return Ok(Self::All),
            _ => {}
        }
        if let Some(ago) = text.strip_prefix('-') {
            return duration(ago).map(Self::Ago);
        }
        text.parse().map(Self::At).map_err(|_| {
            format!("`{text}` is not latest, all, a time ago such as -15m, nor {TIMES}")
        })
    }
}

/// The end of `get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// At the last record that is in the stream now.
    Tip,
    /// After this length of time.
    After(Duration),
    /// At records that arrive at this time or later.
    At(When),
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "tip" {
            return Ok(Self::Tip);
        }
        if let Ok(time) = duration(text) {
            return Ok(Self::After(time));
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| format!("`{text}` is not tip, a length of time such as 30s, nor {TIMES}"))
    }
}

/// Reads a shard: its number in the list of shards, or its id.
pub(crate) fn shard(text: &str) -> Result<ShardSelector, String> {
    if let Ok(number) = text.parse() {
        return Ok(ShardSelector::Number(number));
    }
    let is_id = text.starts_with("shardId-") && text.len() <= 128;
    is_id
        .then(|| ShardSelector::Id(ShardId::from(text)))
        .ok_or_else(|| {
            format!(
                "`{text}` is not a shard: write its number, such as 0, or its id, such as \
                 shardId-000000000000"
            )
        })
}

/// The place of a record: a shard, a colon, a sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: ShardSelector,
    pub(crate) sequence_number: SequenceNumber,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (shard_text, number) = text
            .split_once(':')
            .ok_or_else(|| format!("`{text}` is not SHARD:SEQUENCE, such as 0:4955..."))?;
        Ok(Self {
            shard: shard(shard_text)?,
            sequence_number: number.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

/// A stream to begin with: a name, `=`, the number of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewStream {
    pub(crate) name: String,
    pub(crate) shards: u32,
}

impl FromStr for NewStream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, shards) = text.split_once('=').unwrap_or((text, "1"));
        match shards.parse() {
            Ok(shards) if shards > 0 && !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                shards,
            }),
            _ => Err(format!("`{text}` is not NAME=SHARDS, such as readings=4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(7 * 24)));
        for wrong in [
            "",
            "15",
            "m",
            "-1s",
            "1.5h",
            "1w",
            "99999999999999999d",
            "1 s",
            "é",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_beginning_is_a_word_a_time_ago_or_a_time() {
        assert_eq!("latest".parse(), Ok(From::Latest));
        assert_eq!("all".parse(), Ok(From::All));
        assert_eq!("-15m".parse(), Ok(From::Ago(Duration::from_mins(15))));
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_433_969_276_172);
        assert_eq!(
            "2015-06-10T20:47:56.172Z".parse(),
            Ok(From::At(When::At(time)))
        );
        assert_eq!(
            "2015-06-10T22:47:56.172+02:00".parse(),
            Ok(From::At(When::At(time)))
        );
        let day = SystemTime::UNIX_EPOCH + Duration::from_hours(398_304);
        let time = Ok(From::At(When::At(day)));
        assert_eq!("2015-06-10".parse::<From>(), time);
        assert_eq!("2015-06-10T00:00".parse::<From>(), time);
        for wrong in ["", "now", "-", "-15", "2015-06", "15m", "25:00"] {
            assert!(wrong.parse::<From>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_end_is_the_tip_or_a_time() {
        assert_eq!("tip".parse(), Ok(Until::Tip));
        assert_eq!("30s".parse(), Ok(Until::After(Duration::from_secs(30))));
        let half_past_two = When::TimeOfDay(Duration::from_mins(14 * 60 + 30));
        assert_eq!("14:30".parse(), Ok(Until::At(half_past_two)));
        for wrong in ["top", "30", "15", "-30s"] {
            assert!(wrong.parse::<Until>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_of_day_is_one_of_today() {
        let midnight = SystemTime::UNIX_EPOCH + Duration::from_hours(398_304);
        let eight = Duration::from_hours(8);
        for hours in [0, 7, 9, 23] {
            let now = midnight + Duration::from_hours(hours) + Duration::from_millis(5);
            assert_eq!(When::TimeOfDay(eight).resolve(now), midnight + eight);
        }
    }

    #[test]
    fn a_place_is_a_shard_and_a_number() {
        let place: Place = "1:17".parse().unwrap();
        assert_eq!(place.shard, ShardSelector::Number(1));
        assert_eq!(place.sequence_number.as_str(), "17");
        let place: Place = "shardId-000000000001:17".parse().unwrap();
        assert_eq!(
            place.shard,
            ShardSelector::Id("shardId-000000000001".into())
        );
        for wrong in ["", "1", "1:", ":1", "x:1", "1:x", "-1:1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_new_stream_has_one_shard_unless_told() {
        let stream = |name: &str, shards| NewStream {
            name: name.to_owned(),
            shards,
        };
        assert_eq!("s=4".parse(), Ok(stream("s", 4)));
        assert_eq!("s".parse(), Ok(stream("s", 1)));
        for wrong in ["", "=4", "s=", "s=0", "s=-1", "s=x"] {
            assert!(wrong.parse::<NewStream>().is_err(), "{wrong}");
        }
    }
}
