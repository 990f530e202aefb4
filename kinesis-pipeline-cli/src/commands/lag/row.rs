//! The printed lag of a shard, and the alert about the lags of all shards.

use std::time::Duration;

use serde::Serialize;

use super::standing::Subject;
use crate::{lease_table, output::Row};

/// The distance of a shard's checkpoint from its newest record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// The shard is finished.
    Finished,
    /// The lag, and whether records wait.
    Known { time: Duration, has_records: bool },
    /// The lag is not known, for this reason.
    Unknown(&'static str),
}

/// A shard as it is printed.
#[derive(Serialize)]
pub(super) struct LagRow {
    shard_id: String,
    owner: Option<String>,
    checkpoint: Option<String>,
    sub_sequence_number: Option<u64>,
    is_finished: bool,
    /// The lag in milliseconds; `null` if it is not known.
    behind_ms: Option<u64>,
    /// Whether records wait; the service does not tell how many.
    has_records: Option<bool>,
    /// The reason why the lag is not known.
    unknown: Option<&'static str>,
}

impl LagRow {
    pub(super) fn new(subject: &Subject<'_>, behind: Behind) -> Self {
        let place = subject
            .lease
            .map(|lease| lease_table::place(&lease.checkpoint));
        let (checkpoint, sub_sequence_number) = place.unzip();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (behind_ms, has_records, unknown) = match behind {
            Behind::Finished => (Some(0), Some(false), None),
            Behind::Known { time, has_records } => (Some(millis(time)), Some(has_records), None),
            Behind::Unknown(reason) => (None, None, Some(reason)),
        };
        Self {
            shard_id: subject.shard_id.to_string(),
            owner: subject
                .lease
                .and_then(|lease| lease_table::id(lease.owner.as_ref())),
            checkpoint,
            sub_sequence_number: sub_sequence_number.flatten(),
            is_finished: behind == Behind::Finished,
            behind_ms,
            has_records,
            unknown,
        }
    }
}

/// Returns the largest lag and the counts, in one line.
pub(super) fn summary(rows: &[LagRow]) -> String {
    let unknown = rows.iter().filter(|row| row.unknown.is_some()).count();
    let finished = rows.iter().filter(|row| row.is_finished).count();
    let waiting = rows.iter().filter(|row| row.has_records == Some(true));
    let waiting = waiting.count();
    let most = match rows.iter().filter_map(|row| row.behind_ms).max() {
        Some(millis) => format!("at most {} behind", time(millis)),
        None => "none with a known lag".to_owned(),
    };
    let shards = rows.len();
    format!(
        "{shards} shards: {most}, {waiting} with records that wait, {finished} finished, {unknown} unknown"
    )
}

/// Returns the message about the shards that are farther behind than `max`, or may be.
pub(super) fn alert(rows: &[LagRow], max: Duration) -> Option<String> {
    let is_late = |row: &&LagRow| {
        row.behind_ms
            .is_none_or(|ms| u128::from(ms) > max.as_millis())
    };
    let late: Vec<_> = rows.iter().filter(is_late).collect();
    // A shard whose lag is not known comes last.
    let worst = late.iter().max_by_key(|row| row.behind_ms)?;
    let lag = match (worst.behind_ms, worst.unknown) {
        (Some(millis), _) => format!("is {} behind", time(millis)),
        (None, reason) => format!("has no known lag: {}", reason.unwrap_or_default()),
    };
    let others = match late.len() - 1 {
        0 => String::new(),
        more => format!("; {more} more are late or not known"),
    };
    Some(format!("shard {} {lag}{others}", worst.shard_id))
}

fn time(millis: u64) -> String {
    if millis < 1_000 {
        format!("{millis} ms")
    } else {
        format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
    }
}

impl Row for LagRow {
    const TITLES: &'static [&'static str] = &["SHARD", "OWNER", "CHECKPOINT", "BEHIND", "RECORDS"];

    fn cells(&self) -> Vec<String> {
        let checkpoint = self.checkpoint.as_deref().unwrap_or_default();
        let records = match self.has_records {
            Some(true) => "wait",
            Some(false) => "none",
            None => "",
        };
        vec![
            self.shard_id.clone(),
            self.owner.clone().unwrap_or_default(),
            lease_table::cell(checkpoint, self.sub_sequence_number),
            match (self.behind_ms, self.unknown) {
                _ if self.is_finished => "finished".to_owned(),
                (Some(millis), _) => time(millis),
                (None, reason) => format!("unknown: {}", reason.unwrap_or_default()),
            },
            records.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::{super::standing::Standing, *};

    fn row(id: &str, behind: Behind) -> LagRow {
        let id = kinesis_pipeline::ShardId::from(id);
        let subject = Subject {
            shard_id: &id,
            lease: None,
            standing: Standing::Finished,
        };
        LagRow::new(&subject, behind)
    }

    fn late(id: &str, millis: u64) -> LagRow {
        let time = Duration::from_millis(millis);
        let has_records = true;
        row(id, Behind::Known { time, has_records })
    }

    #[test]
    fn a_shard_that_is_too_far_behind_or_unknown_raises_the_alert() {
        let max = Duration::from_mins(1);
        let finished = || row("f", Behind::Finished);
        assert_eq!(alert(&[finished(), late("a", 60_000)], max), None);
        let words = alert(&[late("a", 60_001), finished(), late("b", 75_250)], max);
        let told = "shard b is 75.2 s behind; 1 more are late or not known";
        assert_eq!(words.as_deref(), Some(told));
        let words = alert(&[row("a", Behind::Unknown("there is no lease"))], max);
        assert_eq!(
            alert(&[late("a", 60_999), late("b", 12)], max).as_deref(),
            Some("shard a is 60.9 s behind")
        );
        assert_eq!(
            alert(&[late("b", 12)], Duration::ZERO).as_deref(),
            Some("shard b is 12 ms behind")
        );
        let told = "shard a has no known lag: there is no lease";
        assert_eq!(words.as_deref(), Some(told));
    }

    #[test]
    fn the_summary_has_the_largest_lag_and_the_counts() {
        let rows = [
            late("a", 1_500),
            row("b", Behind::Finished),
            row("c", Behind::Unknown("")),
        ];
        assert_eq!(
            summary(&rows),
            "3 shards: at most 1.5 s behind, 1 with records that wait, 1 finished, 1 unknown"
        );
    }
}
