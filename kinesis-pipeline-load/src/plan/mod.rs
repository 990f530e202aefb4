//! The plan of a load, from a sample of its input and the present shards of the stream.

mod text;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::report::precise;

/// The write limit of a shard, in bytes per second.
const SHARD_BYTES_PER_SECOND: f64 = 1024.0 * 1024.0;
/// The write limit of a shard, in Kinesis records per second.
const SHARD_RECORDS_PER_SECOND: f64 = 1000.0;
/// The multiple of its fair share from which a shard is hot.
const HOT_TIMES: f64 = 1.5;
/// The most keys of a sample that are counted. A key that comes after so many others is most likely not one of the
/// largest.
pub(crate) const KEYS_MAX: usize = 100_000;

/// A plan of a load: see [`Loader::plan`](crate::Loader::plan).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LoadPlan {
    /// Rows of the sample.
    pub sample_rows: u64,
    /// Whether the sample is the whole input.
    pub is_whole: bool,
    /// Whether the size of the input is known. Of standard input that goes on behind the sample it is not: then all
    /// figures are those of the sample alone.
    pub is_size_known: bool,
    /// Records of the whole load, estimated from the sample.
    pub records: u64,
    /// Their bytes, keys included.
    pub bytes: u64,
    /// Open shards of the stream.
    pub shards: usize,
    /// The time of the load on these shards, in seconds: that of the busiest shard.
    pub seconds: f64,
    /// Records per second over that time.
    pub records_per_second: f64,
    /// MiB per second over that time.
    pub mib_per_second: f64,
    /// The time of each shard, in seconds.
    pub shard_seconds: BTreeMap<String, f64>,
    /// The busiest shard and the reason, if it is much busier than the others.
    pub hot: Option<HotShard>,
    /// The time that was asked for, in seconds.
    pub within_seconds: Option<f64>,
    /// The number of shards of equal ranges that the load needs for that time; `None` if a single key takes longer, or
    /// no time was asked for.
    pub shards_needed: Option<u64>,
    /// The time of the largest key alone, in seconds: no number of shards makes the load shorter.
    pub largest_key_seconds: f64,
}

/// A shard that slows the load down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HotShard {
    /// The shard.
    pub shard: String,
    /// Its share of the load, in percent.
    pub percent: u64,
    /// The reason.
    pub reason: HotReason,
}

/// The reason why a shard is hot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HotReason {
    /// One key has most of its records.
    Key {
        /// The key.
        key: String,
        /// Its share of the shard, in percent.
        percent: u64,
    },
    /// Its range is larger than those of the others.
    Range {
        /// Its share of the key space, in percent.
        percent: u64,
    },
    /// It has more keys, or larger ones, by chance: there are few keys.
    FewKeys {
        /// The number of keys in the sample.
        keys: u64,
    },
}

/// The data of a sample.
#[derive(Debug, Default)]
pub(crate) struct Sampled {
    pub(crate) rows: u64,
    pub(crate) is_whole: bool,
    /// Whether the size of the input is known.
    pub(crate) is_size_known: bool,
    /// The share of the input that was read.
    pub(crate) fraction: f64,
    pub(crate) shards: Vec<SampledShard>,
    pub(crate) keys: HashMap<String, KeyLoad>,
    /// Whether records are aggregated: then the limit of records per second does not count.
    pub(crate) aggregate: bool,
    pub(crate) within_seconds: Option<f64>,
}

#[derive(Debug, Default)]
pub(crate) struct SampledShard {
    pub(crate) id: String,
    /// Its share of the key space.
    pub(crate) range: f64,
    pub(crate) load: KeyLoad,
}

/// Records and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyLoad {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// The index of the shard.
    pub(crate) shard: usize,
}

impl KeyLoad {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }

    /// Returns the time that one shard takes for this load, in seconds.
    fn seconds(self, sampled: &Sampled) -> f64 {
        let by_bytes = precise(self.bytes) / SHARD_BYTES_PER_SECOND;
        let by_records = precise(self.records) / SHARD_RECORDS_PER_SECOND;
        let seconds = if sampled.aggregate {
            by_bytes
        } else {
            by_bytes.max(by_records)
        };
        seconds / sampled.fraction.max(f64::MIN_POSITIVE)
    }
}

/// Makes the plan.
pub(crate) fn plan(sampled: &Sampled) -> LoadPlan {
    let seconds_of = |shard: &SampledShard| shard.load.seconds(sampled);
    let seconds = sampled.shards.iter().map(seconds_of).fold(0.0, f64::max);
    let whole = |count: u64| whole(precise(count) / sampled.fraction.max(f64::MIN_POSITIVE));
    let records = whole(sampled.shards.iter().map(|shard| shard.load.records).sum());
    let bytes = whole(sampled.shards.iter().map(|shard| shard.load.bytes).sum());
    let largest = sampled.keys.values().map(|key| key.seconds(sampled));
    let largest_key_seconds = largest.fold(0.0, f64::max);
    let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
    LoadPlan {
        sample_rows: sampled.rows,
        is_whole: sampled.is_whole,
        is_size_known: sampled.is_size_known,
        records,
        bytes,
        shards: sampled.shards.len(),
        seconds,
        records_per_second: per_second(precise(records)),
        mib_per_second: per_second(precise(bytes) / SHARD_BYTES_PER_SECOND),
        shard_seconds: sampled
            .shards
            .iter()
            .map(|shard| (shard.id.clone(), seconds_of(shard)))
            .collect(),
        hot: hot(sampled),
        within_seconds: sampled.within_seconds,
        shards_needed: shards_needed(sampled, largest_key_seconds),
        largest_key_seconds,
    }
}

/// Returns the number of shards of equal ranges that finish in the time that was asked for, if keys spread evenly.
fn shards_needed(sampled: &Sampled, largest_key_seconds: f64) -> Option<u64> {
    let within = sampled.within_seconds?;
    if largest_key_seconds > within || within <= 0.0 {
        return None;
    }
    let total: f64 = sampled
        .shards
        .iter()
        .map(|shard| shard.load.seconds(sampled))
        .sum();
    Some(whole((total / within).ceil()).max(1))
}

fn hot(sampled: &Sampled) -> Option<HotShard> {
    let total: f64 = sampled
        .shards
        .iter()
        .map(|shard| shard.load.seconds(sampled))
        .sum();
    let by_time = |one: &(usize, &SampledShard), other: &(usize, &SampledShard)| {
        one.1
            .load
            .seconds(sampled)
            .total_cmp(&other.1.load.seconds(sampled))
    };
    let (index, shard) = sampled.shards.iter().enumerate().max_by(by_time)?;
    let of_load = shard.load.seconds(sampled) / total;
    let fair = 1.0 / precise(sampled.shards.len() as u64);
    if sampled.shards.len() < 2 || total <= 0.0 || of_load < HOT_TIMES * fair {
        return None;
    }
    Some(HotShard {
        shard: shard.id.clone(),
        percent: percent(of_load),
        reason: reason(sampled, index, shard, fair),
    })
}

fn reason(sampled: &Sampled, index: usize, shard: &SampledShard, fair: f64) -> HotReason {
    let of_shard = sampled.keys.iter().filter(|(_, key)| key.shard == index);
    let largest = of_shard.max_by_key(|(key, load)| (load.bytes, std::cmp::Reverse(*key)));
    if let Some((key, load)) = largest {
        let of_shard = load.seconds(sampled) / shard.load.seconds(sampled).max(f64::MIN_POSITIVE);
        if of_shard >= 0.5 {
            return HotReason::Key {
                key: key.clone(),
                percent: percent(of_shard),
            };
        }
    }
    if shard.range >= HOT_TIMES * fair {
        return HotReason::Range {
            percent: percent(shard.range),
        };
    }
    HotReason::FewKeys {
        keys: sampled.keys.len() as u64,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float holds it to the range of the integer"
)]
pub(crate) fn whole(count: f64) -> u64 {
    count.round() as u64
}

fn percent(share: f64) -> u64 {
    whole(share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn sampled(loads: &[(f64, u64, u64)]) -> Sampled {
        let shard = |(index, (range, records, bytes)): (usize, &(f64, u64, u64))| SampledShard {
            id: format!("s{index}"),
            range: *range,
            load: KeyLoad {
                records: *records,
                bytes: *bytes,
                shard: index,
            },
        };
        Sampled {
            rows: 10,
            fraction: 0.5,
            shards: loads.iter().enumerate().map(shard).collect(),
            aggregate: true,
            ..Sampled::default()
        }
    }

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn the_busiest_shard_decides_how_long_it_takes() {
        let plan = plan(&sampled(&[(0.5, 10, 2 * MIB), (0.5, 10, 3 * MIB)]));
        assert!(near(plan.seconds, 6.0), "{plan:?}");
        assert_eq!((plan.records, plan.bytes), (40, 10 * MIB));
        assert_eq!(plan.hot, None);
    }

    #[test]
    fn without_aggregates_the_number_of_records_is_a_limit_too() {
        let mut sampled = sampled(&[(1.0, 5_000, MIB)]);
        sampled.aggregate = false;
        assert!(near(plan(&sampled).seconds, 10.0));
    }

    #[test]
    fn a_hot_shard_is_told_with_its_reason() {
        let mut one_key = sampled(&[(0.5, 1, MIB), (0.5, 9, 9 * MIB)]);
        let load = KeyLoad {
            records: 8,
            bytes: 8 * MIB,
            shard: 1,
        };
        one_key.keys.insert("CA".into(), load);
        let hot = plan(&one_key).hot.unwrap();
        assert_eq!((&*hot.shard, hot.percent), ("s1", 90));
        assert_eq!(
            hot.reason,
            HotReason::Key {
                key: "CA".into(),
                percent: 89
            }
        );

        let range = plan(&sampled(&[(0.1, 1, MIB), (0.9, 9, 9 * MIB)]))
            .hot
            .unwrap();
        assert_eq!(range.reason, HotReason::Range { percent: 90 });
        let chance = plan(&sampled(&[(0.5, 1, MIB), (0.5, 9, 9 * MIB)]))
            .hot
            .unwrap();
        assert_eq!(chance.reason, HotReason::FewKeys { keys: 0 });
    }

    #[test]
    fn the_shards_for_a_time_are_counted_unless_one_key_is_too_large() {
        let mut sampled = sampled(&[(0.5, 1, 10 * MIB), (0.5, 1, 10 * MIB)]);
        sampled.within_seconds = Some(8.0);
        assert_eq!(plan(&sampled).shards_needed, Some(5));
        let load = KeyLoad {
            records: 1,
            bytes: 5 * MIB,
            shard: 0,
        };
        sampled.keys.insert("k".into(), load);
        let plan = plan(&sampled);
        assert_eq!(plan.shards_needed, None);
        assert!(
            plan.to_string()
                .contains("the largest key alone takes 10 s"),
            "{plan}"
        );
    }
}
