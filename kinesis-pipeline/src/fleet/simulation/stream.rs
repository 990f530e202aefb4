//! A stream of the simulation: puts of records, and reshards.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Scenario,
    engine::{Simulation, Violations, broken},
};
use crate::{
    EncodedRecord, KinesisStream, PartitionKey, Position, Shard,
    fleet::{lease::StreamIdentifier, worker::LeaseKeys},
    record::EncodeContext,
    service::{
        DescribeStreamSummary, MergeShards, PutRecords, SplitShard, StreamId, list_all::list_all,
    },
    wire::aggregate,
};

/// A stream of the simulated fleet.
pub(super) struct SimulatedStream<R> {
    pub(super) stream: KinesisStream<R>,
    keys: LeaseKeys,
    shards: Vec<Shard>,
}

impl<R> SimulatedStream<R> {
    pub(super) async fn new(
        stream: KinesisStream<R>,
        is_multi_stream: bool,
    ) -> Result<Self, Violations> {
        let call = DescribeStreamSummary::new(stream.id().clone());
        let summary = stream.service().describe_stream_summary(call).await;
        let summary = summary.map_err(|error| broken(&error))?;
        let identifier = StreamIdentifier::of_stream(&summary).map_err(|error| broken(&error))?;
        let keys = if is_multi_stream {
            LeaseKeys::of(identifier)
        } else {
            LeaseKeys::default()
        };
        Ok(Self {
            stream,
            keys,
            shards: Vec::new(),
        })
    }

    /// Returns the stream's id and the keys of its leases.
    pub(super) fn named(&self) -> (StreamId, LeaseKeys) {
        (self.stream.id().clone(), self.keys.clone())
    }
}

/// The largest number of records in one step.
const RECORDS_MAX: usize = 12;

impl<S: Scenario> Simulation<'_, S> {
    /// Puts some records. Those of one key go one by one or as an aggregate.
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
        let index = self.random.usize(..self.streams.len());
        for (key, records) in by_key {
            self.put_of_key(index, &key, records).await?;
        }
        Ok(())
    }

    async fn put_of_key(
        &mut self,
        index: usize,
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
        let SimulatedStream { stream, keys, .. } = &self.streams[index];
        let call = PutRecords::new(stream.id().clone(), sent);
        let answer = stream.service().put_records(call).await;
        for stored in answer.map_err(|error| broken(&error))?.results {
            let stored = stored.map_err(|error| vec![format!("{error:?}")])?;
            for sub in 0..count as u64 {
                let position =
                    Position::new(stored.shard_id.clone(), stored.sequence_number.clone());
                let position = position.at_sub_sequence_number(sub);
                self.world
                    .store(keys.key(&position.shard_id), &position, key);
            }
        }
        Ok(())
    }

    /// Splits a random shard, or merges two adjacent ones.
    pub(super) async fn reshard(&mut self) -> Result<(), Violations> {
        let chosen = self.random.usize(..self.streams.len());
        let SimulatedStream { stream, shards, .. } = &self.streams[chosen];
        let mut open: Vec<_> = shards.iter().filter(|shard| shard.is_open()).collect();
        open.sort_by_key(|shard| shard.hash_key_range.start);
        let (id, index) = (stream.id().clone(), self.random.usize(..open.len()));
        let shard = open[index];
        let wants_merge = open.len() >= self.shards_max || self.random.bool();
        let service = stream.service();
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
        self.list(chosen).await;
        Ok(())
    }

    pub(super) async fn list(&mut self, index: usize) {
        let SimulatedStream { stream, keys, .. } = &self.streams[index];
        // Injected faults of `ListShards` are meant for the workers only, so this call is repeated.
        let shards = loop {
            match list_all(&**stream.service(), stream.id()).await {
                Ok(shards) => break shards,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        for shard in &shards {
            let parents = shard.parents().map(|parent| keys.key(parent)).collect();
            self.world.add_shard(&keys.key(&shard.id), parents);
        }
        self.streams[index].shards = shards;
    }
}

fn aggregate_of(key: &PartitionKey, records: &[EncodedRecord]) -> EncodedRecord {
    let mut writer = aggregate::Writer::new();
    for record in records {
        writer.push(record);
    }
    EncodedRecord::new(key.clone(), writer.finish())
}
