//! A load without sending: where each record would go.

use std::collections::BTreeMap;

use super::{batch::Batch, shards::OpenShards};
use crate::report::Sample;

/// The counts of a trial.
#[derive(Debug)]
pub(crate) struct Trial {
    shards: OpenShards,
    counts: Vec<u64>,
    samples_max: usize,
    pub(crate) samples: Vec<Sample>,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl Trial {
    pub(crate) fn new(shards: OpenShards, samples_max: usize) -> Self {
        let counts = vec![0; shards.all().len()];
        Self {
            shards,
            counts,
            samples_max,
            samples: Vec::new(),
            records: 0,
            bytes: 0,
        }
    }

    pub(crate) fn take(&mut self, batch: &Batch) {
        for record in &batch.records {
            self.records += 1;
            self.bytes += record.data.len() as u64;
            if let Some(shard) = self.shards.of(record) {
                self.counts[shard] += 1;
            }
            if self.samples.len() < self.samples_max {
                self.samples.push(Sample {
                    partition_key: record.partition_key.to_string(),
                    data: String::from_utf8_lossy(&record.data).into_owned(),
                });
            }
        }
    }

    pub(crate) fn per_shard(&self) -> BTreeMap<String, u64> {
        let shards = self.shards.all().iter().map(|shard| shard.id.to_string());
        shards.zip(self.counts.iter().copied()).collect()
    }
}
