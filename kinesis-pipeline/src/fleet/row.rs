//! Rows of a lease table, as KCL and this library read and write them. Only this file knows the attributes' names.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{
    LeaseError, current,
    extension::{EXTENSION, Extension, begun_at_millis},
    identity::Identity,
    lease::{Lease, LeaseCheckpoint, PendingCheckpoint, StreamIdentifier, WorkerId},
};
use crate::{
    clock::{epoch_millis, from_epoch_millis},
    shard::{HashKeyRange, ShardId},
};

/// A row in DynamoDB's form.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) const LEASE_KEY: &str = "leaseKey";
pub(super) const LEASE_OWNER: &str = "leaseOwner";
pub(super) const LEASE_COUNTER: &str = "leaseCounter";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const SUB_SEQUENCE_NUMBER: &str = "checkpointSubSequenceNumber";
pub(super) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
/// The old owner of a lease that is being handed over.
pub(super) const CHECKPOINT_OWNER: &str = "checkpointOwner";
/// A checkpoint that was prepared but not made.
pub(super) const PENDING_CHECKPOINT: &str = "pendingCheckpoint";
pub(super) const PENDING_SUB_SEQUENCE_NUMBER: &str = "pendingCheckpointSubSequenceNumber";
pub(super) const PENDING_STATE: &str = "pendingCheckpointState";
pub(super) const CHILDREN: &str = "childShardIds";
/// The parents: a set of ids, though KCL's name is in the singular.
const PARENTS: &str = "parentShardId";
const STARTING_HASH_KEY: &str = "startingHashKey";
const ENDING_HASH_KEY: &str = "endingHashKey";
/// The throughput of the lease. The leader of a KCL 3 fleet shares leases out by it.
pub(super) const THROUGHPUT: &str = "throughputKBps";
/// The stream's identifier, in rows of KCL's multi-stream mode. KCL's name for it is misleading: it is not the stream's
/// name alone.
const STREAM: &str = "streamName";
/// The shard's id, in rows of KCL's multi-stream mode.
const SHARD: &str = "shardId";
/// The kind of a row. From KCL 3.5 on, the table has other rows than leases.
pub(super) const ENTITY_TYPE: &str = "entityType";
const LEASE: &str = "LEASE";

/// Attributes of this library, which KCL leaves alone. The others are the [extension](super::extension)
/// and the [time](super::current) up to which a worker has finished a shard.
pub(super) const COURTEOUS_OWNER: &str = "kinesisPipelineOwner";
const BEGUN_AT: &str = "kinesisPipelineBegunAt";

const TRIM_HORIZON: &str = "TRIM_HORIZON";
const LATEST: &str = "LATEST";
const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const SHARD_END: &str = "SHARD_END";

/// Returns a checkpoint in KCL's form: the sequence number or a word for it, and the sub-sequence number.
pub(super) fn words(checkpoint: &LeaseCheckpoint) -> (&str, u64) {
    match checkpoint {
        LeaseCheckpoint::TrimHorizon => (TRIM_HORIZON, 0),
        LeaseCheckpoint::Latest => (LATEST, 0),
        LeaseCheckpoint::AtTimestamp => (AT_TIMESTAMP, 0),
        LeaseCheckpoint::ShardEnd => (SHARD_END, 0),
        LeaseCheckpoint::After {
            sequence_number,
            sub_sequence_number,
        } => (sequence_number.as_str(), *sub_sequence_number),
    }
}

/// Returns the two attributes of a checkpoint: the sequence number or a word for it, and the sub-sequence number.
pub(super) fn checkpoint(checkpoint: &LeaseCheckpoint) -> (AttributeValue, AttributeValue) {
    let (place, sub_sequence_number) = words(checkpoint);
    (text(place), number(sub_sequence_number))
}

/// Returns a set of shard ids; `None` for an empty one, which DynamoDB does not allow.
pub(super) fn shards(ids: &[ShardId]) -> Option<AttributeValue> {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    (!ids.is_empty()).then_some(AttributeValue::Ss(ids))
}

pub(super) fn state(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// A lease, and the extension of the reader that last saved its checkpoint, if there is one. Other attributes stay in
/// the table unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeaseRow {
    pub(super) lease: Lease,
    pub(super) extension: Option<Extension>,
}

impl LeaseRow {
    /// Returns the owner of the row, if a reader of this library wrote the row.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.extension.as_ref().map(|extension| &extension.identity)
    }

    /// Whether both rows are equal in all attributes that a reader writes.
    pub(super) fn is_as_written(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.lease, &other.lease);
        ours.shard_id == theirs.shard_id
            && ours.counter == theirs.counter
            && ours.owner == theirs.owner
            && ours.checkpoint == theirs.checkpoint
            && self.extension == other.extension
    }

    /// Returns the row in the form in which it is created.
    pub(super) fn encode(&self) -> Item {
        let mut item = encode(&self.lease);
        let extension = self.extension.as_ref();
        item.extend(extension.map(|extension| (EXTENSION.to_owned(), extension.encode())));
        item
    }

    /// Reads a row; `None` if it is not a lease.
    pub(super) fn decode(item: &Item) -> Result<Option<Self>, LeaseError> {
        let extension = item.get(EXTENSION).and_then(Extension::decode);
        Ok(decode(item)?.map(|lease| Self { lease, extension }))
    }
}

/// Returns the row for a new lease.
pub(super) fn encode(lease: &Lease) -> Item {
    let (place, sub_sequence_number) = checkpoint(&lease.checkpoint);
    let mut item = Item::from([
        (LEASE_KEY.to_owned(), text(lease.shard_id.as_str())),
        (LEASE_COUNTER.to_owned(), number(lease.counter)),
        (CHECKPOINT.to_owned(), place),
        (SUB_SEQUENCE_NUMBER.to_owned(), sub_sequence_number),
        (OWNER_SWITCHES.to_owned(), number(lease.owner_switches)),
    ]);
    let mut set = |name: &str, value: Option<AttributeValue>| {
        item.extend(value.map(|value| (name.to_owned(), value)));
    };
    if let Some((stream, shard_id)) = StreamIdentifier::of_lease_key(&lease.shard_id) {
        set(STREAM, Some(text(&stream.to_string())));
        set(SHARD, Some(text(shard_id.as_str())));
    }
    let worker = |id: &Option<WorkerId>| id.as_ref().map(|id| text(id.as_str()));
    set(LEASE_OWNER, worker(&lease.owner));
    set(CHECKPOINT_OWNER, worker(&lease.checkpoint_owner));
    set(COURTEOUS_OWNER, worker(&lease.courteous_owner));
    set(
        BEGUN_AT,
        lease.begun_at.map(|time| number(epoch_millis(time))),
    );
    let time = lease.current_at;
    set(
        current::CURRENT,
        time.map(|time| current::encode(&lease.checkpoint, lease.counter, time)),
    );
    set(PARENTS, shards(&lease.parents));
    set(CHILDREN, shards(&lease.children));
    if let Some(range) = lease.hash_key_range {
        set(STARTING_HASH_KEY, Some(text(&range.start.to_string())));
        set(ENDING_HASH_KEY, Some(text(&range.end.to_string())));
    }
    if let Some(pending) = &lease.pending {
        let (place, sub_sequence_number) = checkpoint(&pending.checkpoint);
        set(PENDING_CHECKPOINT, Some(place));
        set(PENDING_SUB_SEQUENCE_NUMBER, Some(sub_sequence_number));
        set(PENDING_STATE, pending.state.as_deref().map(state));
    }
    item
}

/// Reads the lease in a row; `None` if the row is not a lease.
pub(super) fn decode(item: &Item) -> Result<Option<Lease>, LeaseError> {
    if !is_lease(item) {
        return Ok(None);
    }
    let lease_key = owned(item, LEASE_KEY).unwrap_or_default();
    let malformed = |attribute| LeaseError::Malformed {
        lease_key: lease_key.clone(),
        attribute,
    };
    if item.contains_key(SUB_SEQUENCE_NUMBER) && count(item, SUB_SEQUENCE_NUMBER).is_none() {
        return Err(malformed(SUB_SEQUENCE_NUMBER));
    }
    let place = place(item, CHECKPOINT, SUB_SEQUENCE_NUMBER);
    let place = place.ok_or_else(|| malformed(CHECKPOINT))?;
    let mut lease = Lease::new(lease_key.as_str().into(), place);
    lease.counter = count(item, LEASE_COUNTER).ok_or_else(|| malformed(LEASE_COUNTER))?;
    let worker = |name| owned(item, name).map(WorkerId::from);
    lease.owner = worker(LEASE_OWNER);
    lease.checkpoint_owner = worker(CHECKPOINT_OWNER);
    lease.courteous_owner = worker(COURTEOUS_OWNER);
    lease.owner_switches = count(item, OWNER_SWITCHES).unwrap_or_default();
    lease.begun_at = begun_at(item).map(from_epoch_millis);
    lease.current_at = current::decode(item, &lease);
    lease.parents = ids(item, PARENTS);
    lease.children = ids(item, CHILDREN);
    lease.hash_key_range = range(item);
    // KCL's create call writes the state as a number by mistake.
    let state = item.get(PENDING_STATE).and_then(|state| state.as_b().ok());
    let state = state.map(|state| state.as_ref().to_vec().into());
    lease.pending = self::place(item, PENDING_CHECKPOINT, PENDING_SUB_SEQUENCE_NUMBER)
        .map(|place| PendingCheckpoint::new(place, state));
    Ok(Some(lease))
}

fn place(item: &Item, name: &str, sub_name: &str) -> Option<LeaseCheckpoint> {
    let place = item.get(name)?.as_s().ok()?;
    Some(match place.as_str() {
        TRIM_HORIZON => LeaseCheckpoint::TrimHorizon,
        LATEST => LeaseCheckpoint::Latest,
        AT_TIMESTAMP => LeaseCheckpoint::AtTimestamp,
        SHARD_END => LeaseCheckpoint::ShardEnd,
        digits => LeaseCheckpoint::After {
            sequence_number: digits.parse().ok()?,
            sub_sequence_number: match item.get(sub_name) {
                Some(_) => count(item, sub_name)?,
                None => 0,
            },
        },
    })
}

/// Returns the start time of a lease, as set by a worker or else by an earlier reader.
fn begun_at(item: &Item) -> Option<u64> {
    let ours = count(item, BEGUN_AT);
    ours.or_else(|| begun_at_millis(item.get(EXTENSION)?))
}

/// Whether a row is a lease. Rows of KCL up to 3.4 have no `entityType`.
fn is_lease(item: &Item) -> bool {
    let entity = item.get(ENTITY_TYPE);
    entity.is_none_or(|entity| entity.as_s().is_ok_and(|kind| kind == LEASE))
}

fn range(item: &Item) -> Option<HashKeyRange> {
    let key = |name| owned(item, name)?.parse().ok();
    Some(HashKeyRange::new(
        key(STARTING_HASH_KEY)?,
        key(ENDING_HASH_KEY)?,
    ))
}

/// Reads a set of shard ids, and sorts them.
fn ids(item: &Item, name: &str) -> Vec<ShardId> {
    let ids = item.get(name).and_then(|value| value.as_ss().ok());
    let ids = ids.into_iter().flatten();
    let mut ids: Vec<_> = ids.map(|id| ShardId::from(id.as_str())).collect();
    ids.sort();
    ids
}

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Returns a throughput in KCL's unit, 1,024 bytes a second, with three decimals.
pub(super) fn kilobytes(bytes: u64) -> AttributeValue {
    let thousandths = u128::from(bytes) * 1_000 / 1_024;
    AttributeValue::N(format!(
        "{}.{:03}",
        thousandths / 1_000,
        thousandths % 1_000
    ))
}

pub(super) fn count(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(super) fn owned(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

#[cfg(test)]
mod tests;
