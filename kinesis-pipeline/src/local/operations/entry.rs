//! One record that is put: its checks and its way into a shard, for `PutRecord` and `PutRecords`.

use std::{collections::BTreeMap, fmt::Display};

use bytestring::ByteString;
use serde::Deserialize;

use crate::{
    local::{
        api_error::ApiError,
        core::Core,
        protocol::values::{Blob, read_from_maps},
        state::{
            shard::Shard,
            stream::{Stream, StreamState},
        },
        stream_ref::StreamRef,
        validate::{Checks, HASH_KEY, PARTITION_KEY},
    },
    shard::HashKey,
};

/// The largest record that any stream takes.
const DATA_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A record to put.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", remote = "Self")]
pub(in crate::local) struct Entry {
    pub(in crate::local) data: Option<Blob>,
    pub(in crate::local) partition_key: Option<ByteString>,
    pub(in crate::local) explicit_hash_key: Option<String>,
}

read_from_maps!(Entry);

/// The place of a stored record.
#[derive(Debug)]
pub(in crate::local) struct Stored {
    pub(in crate::local) shard_id: ByteString,
    pub(in crate::local) sequence_number: ByteString,
}

impl Entry {
    /// Returns the bytes that count against the limits: those of the data and the key.
    pub(in crate::local) fn size_bytes(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.0.len())
            + self.partition_key.as_ref().map_or(0, |key| key.len())
    }

    /// Checks the record's members; `place` names the record in its request. Where the stream places records itself, a key
    /// may be missing.
    pub(in crate::local) fn check(
        &self,
        checks: &mut Checks,
        place: &dyn Fn() -> String,
        may_lack_key: bool,
    ) {
        let member = |name: &str| format!("{}{name}", place());
        match self.partition_key.as_deref() {
            // A character has at least one byte: most keys need no counting.
            Some(key) if (1..=PARTITION_KEY.chars_max).contains(&key.len()) => {}
            Some(key) => checks.text(&member("partitionKey"), Some(key), PARTITION_KEY),
            None if may_lack_key => {}
            None => checks.broken(&member("partitionKey"), None, "Member must not be null"),
        }
        match &self.data {
            Some(Blob(data)) if data.len() <= DATA_BYTES_MAX => {}
            Some(Blob(data)) => {
                checks.length(&member("data"), &Buffer(data.len()), "less", DATA_BYTES_MAX);
            }
            None => checks.broken(&member("data"), None, "Member must not be null"),
        }
        if let Some(key) = &self.explicit_hash_key {
            checks.text(&member("explicitHashKey"), Some(key), HASH_KEY);
        }
    }

    /// Checks the record against the stream's limit.
    pub(super) fn check_size(
        &self,
        bytes_max: usize,
        place: &dyn Fn() -> String,
    ) -> Result<(), ApiError> {
        let bytes = self.size_bytes();
        if bytes <= bytes_max {
            return Ok(());
        }
        let mut checks = Checks::new();
        let member = format!("{}data", place());
        checks.length(&member, &Buffer(bytes), "less", bytes_max);
        checks.finish()
    }

    /// Returns the point of the key space that decides the record's shard.
    pub(in crate::local) fn hash_key(&self) -> Result<HashKey, ApiError> {
        match &self.explicit_hash_key {
            Some(text) => text.parse().map_err(|_| {
                ApiError::invalid_argument(format!(
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. \
                     Specified value was {text}"
                ))
            }),
            None => Ok(HashKey::of_partition_key(
                self.partition_key.as_deref().unwrap_or_default(),
            )),
        }
    }
}

/// A blob as the service's messages show one: by its size.
struct Buffer(usize);

impl Display for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.0;
        write!(f, "java.nio.HeapByteBuffer[pos=0 lim={bytes} cap={bytes}]")
    }
}

/// The stream that records are put to, held so that no reshard comes between.
#[derive(Debug)]
pub(in crate::local) struct Destination<'a> {
    pub(in crate::local) stream: &'a Stream,
    pub(in crate::local) state: &'a StreamState,
    pub(in crate::local) now_millis: u64,
    /// Whether the shards' rates hold.
    pub(in crate::local) limited: bool,
}

impl Destination<'_> {
    /// Stores a record in the open shard that takes its hash key.
    ///
    /// `refused` has the reason if a fault makes the shard refuse the record.
    pub(in crate::local) fn store(
        &self,
        record: Entry,
        hash_key: HashKey,
        refused: impl FnOnce(&Shard) -> Option<ApiError>,
    ) -> Result<Stored, ApiError> {
        let shard = self
            .shard_of(hash_key)
            .ok_or_else(|| ApiError::internal_failure("No open shard takes the record."))?;
        if let Some(error) = refused(shard) {
            return Err(error);
        }
        if self.limited
            && !shard
                .rates()
                .allow_put(record.size_bytes(), self.now_millis)
        {
            return Err(self.stream.rate_exceeded(shard));
        }
        let key = record.partition_key.unwrap_or_default();
        let data = record.data.unwrap_or_default().0;
        let horizon_millis = self.state.horizon_millis(self.now_millis);
        let mut log = shard.log(horizon_millis);
        let (counter, arrived_millis) = log.append(&key, data, self.now_millis);
        drop(log);
        shard.wake();
        Ok(Stored {
            shard_id: shard.id.clone(),
            sequence_number: shard.number(counter, arrived_millis).text(),
        })
    }

    /// Returns the shard of a record: by its hash key, or the next one in turn if the stream distributes records itself.
    fn shard_of(&self, hash_key: HashKey) -> Option<&Shard> {
        let topology = &self.state.topology;
        if self.state.is_distributed {
            return topology.next_in_turn();
        }
        topology.shard_of(hash_key)
    }
}

/// Returns the ids of the shards that take these records at the moment, for the choice of faults.
pub(super) fn shard_ids<'a>(
    core: &Core,
    stream: &StreamRef,
    records: impl Iterator<Item = &'a Entry>,
) -> Vec<ByteString> {
    let Ok((stream, now_millis)) = core.named(stream) else {
        return Vec::new();
    };
    let state = stream.read(now_millis);
    let keys = records.filter_map(|record| record.hash_key().ok());
    let shards = keys.filter_map(|key| state.topology.shard_of(key));
    let ids: BTreeMap<u32, ByteString> = shards
        .map(|shard| (shard.index, shard.id.clone()))
        .collect();
    ids.into_values().collect()
}
