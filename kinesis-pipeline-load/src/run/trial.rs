//! A trial: counts of a load without sending, by the shards that records would go to.

use std::collections::{BTreeMap, HashMap};

use super::{batch::Batch, shards::OpenShards};
use crate::{
    plan::{KEYS_MAX, KeyLoad, SampledShard},
    report::Sample,
};

/// The counts of a trial.
#[derive(Debug)]
pub(crate) struct Trial {
    shards: OpenShards,
    loads: Vec<KeyLoad>,
    /// The load of each key, for a plan.
    keys: Option<HashMap<String, KeyLoad>>,
    samples_max: usize,
    pub(crate) samples: Vec<Sample>,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Trial {
    pub(crate) fn new(shards: OpenShards, samples_max: usize) -> Self {
        let loads = vec![KeyLoad::default(); shards.all().len()];
        Self {
            shards,
            loads,
            keys: None,
            samples_max,
            samples: Vec::new(),
            records: 0,
            bytes: 0,
        }
    }

    /// Makes the trial also count the load of each key.
    pub(crate) fn with_keys(mut self) -> Self {
        self.keys = Some(HashMap::new());
        self
    }

    pub(crate) fn take(&mut self, batch: &Batch) {
        for record in &batch.records {
            self.records += 1;
            self.bytes += record.data.len() as u64;
            if let Some(shard) = self.shards.of(record) {
                let bytes = record.size_bytes() as u64;
                self.loads[shard].add(bytes);
                self.count_key(&record.partition_key, bytes, shard);
            }
            if self.samples.len() < self.samples_max {
                self.samples.push(Sample {
                    partition_key: record.partition_key.to_string(),
                    data: String::from_utf8_lossy(&record.data).into_owned(),
                });
            }
        }
    }

    fn count_key(&mut self, key: &str, bytes: u64, shard: usize) {
        let Some(keys) = &mut self.keys else { return };
        if let Some(load) = keys.get_mut(key) {
            load.add(bytes);
        } else if keys.len() < KEYS_MAX {
            let mut load = KeyLoad {
                shard,
                ..KeyLoad::default()
            };
            load.add(bytes);
            keys.insert(key.to_owned(), load);
        }
    }

    pub(crate) fn per_shard(&self) -> BTreeMap<String, u64> {
        let shards = self.shards.all().iter().map(|shard| shard.id.to_string());
        shards
            .zip(self.loads.iter().map(|load| load.records))
            .collect()
    }

    /// Returns the data for a plan: the load of each shard and of each key.
    pub(crate) fn sampled(self) -> (Vec<SampledShard>, HashMap<String, KeyLoad>) {
        let shards = self.shards.all().iter().zip(&self.loads);
        let shards = shards.map(|(shard, load)| SampledShard {
            id: shard.id.to_string(),
            range: share(&shard.hash_key_range),
            load: *load,
        });
        (shards.collect(), self.keys.unwrap_or_default())
    }
}

/// Returns the range's share of the key space.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(range: &kinesis_pipeline::HashKeyRange) -> f64 {
    let (start, end) = (range.start.value(), range.end.value());
    (end.saturating_sub(start)) as f64 / u128::MAX as f64
}
