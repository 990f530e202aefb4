//! Shards, by the names that commands take and in the form that they print.

use kinesis_pipeline::{GetError, KinesisStream, Shard, ShardSelector};
use serde::Serialize;

use crate::{connect::Connected, failure::Failure, output::Row};

/// Lists all shards that are retained, by id.
pub(crate) async fn list(connected: &Connected) -> Result<Vec<Shard>, Failure> {
    let stream: KinesisStream<bytes::Bytes> = connected.stream();
    Ok(stream.shards().await?)
}

/// Finds the shard of a list that a number or an id names.
pub(crate) fn find<'a>(
    connected: &Connected,
    shards: &'a [Shard],
    wanted: &ShardSelector,
) -> Result<&'a Shard, GetError> {
    let found = match wanted {
        ShardSelector::Number(number) => shards.get(*number),
        ShardSelector::Id(id) => shards.iter().find(|shard| shard.id == *id),
        _ => None,
    };
    found.ok_or_else(|| GetError::shard_not_found(connected.id(), wanted.clone(), shards.len()))
}

/// A shard as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct ShardRow {
    number: usize,
    shard_id: String,
    is_open: bool,
    parents: Vec<String>,
    starting_hash_key: String,
    ending_hash_key: String,
    starting_sequence_number: String,
    ending_sequence_number: Option<String>,
}

impl ShardRow {
    /// Makes the row of the shard at this index of the list.
    pub(crate) fn new(number: usize, shard: &Shard) -> Self {
        let ending = shard.ending_sequence_number.as_ref();
        Self {
            number,
            shard_id: shard.id.to_string(),
            is_open: shard.is_open(),
            parents: shard.parents().map(ToString::to_string).collect(),
            starting_hash_key: shard.hash_key_range.start.to_string(),
            ending_hash_key: shard.hash_key_range.end.to_string(),
            starting_sequence_number: shard.starting_sequence_number.to_string(),
            ending_sequence_number: ending.map(ToString::to_string),
        }
    }
}

/// Returns the rows of a whole list.
pub(crate) fn rows_of(shards: &[Shard]) -> Vec<ShardRow> {
    let numbered = shards.iter().enumerate();
    numbered
        .map(|(number, shard)| ShardRow::new(number, shard))
        .collect()
}

impl Row for ShardRow {
    const TITLES: &'static [&'static str] = &["NUMBER", "SHARD", "STATE", "HASH KEYS", "PARENTS"];

    fn cells(&self) -> Vec<String> {
        let state = if self.is_open { "open" } else { "closed" };
        vec![
            self.number.to_string(),
            self.shard_id.clone(),
            state.to_owned(),
            format!("{}..={}", self.starting_hash_key, self.ending_hash_key),
            self.parents.join(" "),
        ]
    }
}
