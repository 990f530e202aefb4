//! Records and reshards.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Scenario,
    engine::{Simulation, Violations, broken},
};
use crate::{
    EncodedRecord, PartitionKey, Position,
    record::EncodeContext,
    service::{MergeShards, PutRecords, SplitShard, list_all::list_all},
    wire::aggregate,
};

/// The most records of one step.
const RECORDS_MAX: usize = 12;

impl<S: Scenario> Simulation<'_, S> {
    /// Puts some records: those of each key alone, or as an aggregate.
    pub(super) async fn put(&mut self) -> Result<(), Violations> {
        let mut by_key: BTreeMap<PartitionKey, Vec<EncodedRecord>> = BTreeMap::new();
        for _ in 0..self.random.usize(1..RECORDS_MAX) {
            let record = self.scenario.record(self.next_record);
            self.next_record += 1;
            let context = EncodeContext::of(&self.world.clock);
            let record = EncodedRecord::of(&record, None, &context);
            let record = record.map_err(|error| broken(&error))?;
            let records = by_key.entry(record.partition_key.clone()).or_default();
            records.push(record);
        }
        for (key, records) in by_key {
            self.put_of_key(&key, records).await?;
        }
        Ok(())
    }

    async fn put_of_key(
        &mut self,
        key: &PartitionKey,
        records: Vec<EncodedRecord>,
    ) -> Result<(), Violations> {
        let is_aggregated = self.random.bool();
        let count = if is_aggregated { records.len() } else { 1 };
        let sent = if is_aggregated {
            vec![aggregate_of(key, &records)]
        } else {
            records
        };
        let call = PutRecords::new(self.stream.id().clone(), sent);
        let answer = self.stream.service().put_records(call).await;
        for stored in answer.map_err(|error| broken(&error))?.results {
            let stored = stored.map_err(|error| vec![format!("{error:?}")])?;
            for sub in 0..count as u64 {
                let position =
                    Position::new(stored.shard_id.clone(), stored.sequence_number.clone());
                self.world.store(&position.at_sub_sequence_number(sub), key);
            }
        }
        Ok(())
    }

    /// Splits a random shard or merges two that touch.
    pub(super) async fn reshard(&mut self) -> Result<(), Violations> {
        let mut open: Vec<_> = self.shards.iter().filter(|shard| shard.is_open()).collect();
        open.sort_by_key(|shard| shard.hash_key_range.start);
        let (id, index) = (self.stream.id().clone(), self.random.usize(..open.len()));
        let shard = open[index];
        let wants_merge = open.len() >= self.shards_max || self.random.bool();
        let service = self.stream.service();
        let resharded = match open.get(index + 1) {
            Some(next) if wants_merge => {
                let call = MergeShards::new(id, shard.id.clone(), next.id.clone());
                service.merge_shards(call).await
            }
            _ if open.len() < self.shards_max => {
                let call = SplitShard::new(id, shard.id.clone(), shard.hash_key_range.middle());
                service.split_shard(call).await
            }
            _ => return Ok(()),
        };
        resharded.map_err(|error| broken(&error))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.list().await;
        Ok(())
    }

    pub(super) async fn list(&mut self) {
        // The disturbance of listings is for the workers.
        let shards = loop {
            match list_all(&**self.stream.service(), self.stream.id()).await {
                Ok(shards) => break shards,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        for shard in &shards {
            let parents = shard.parents().cloned().collect();
            self.world.add_shard(&shard.id, parents);
        }
        self.shards = shards;
    }
}

fn aggregate_of(key: &PartitionKey, records: &[EncodedRecord]) -> EncodedRecord {
    let mut writer = aggregate::Writer::new();
    for record in records {
        writer.push(record);
    }
    EncodedRecord::new(key.clone(), writer.finish())
}
