//! A lease as the attributes of a row, as KCL reads and writes them.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use crate::{
    clock::{epoch_millis, from_epoch_millis},
    fleet::{
        LeaseError,
        lease::{Lease, LeaseCheckpoint, PendingCheckpoint, StreamIdentifier, WorkerId},
        row::{
            CHECKPOINT, CHECKPOINT_OWNER, Item, LEASE_COUNTER, LEASE_KEY, LEASE_OWNER,
            OWNER_SWITCHES, SUB_SEQUENCE_NUMBER, count, number, text,
        },
    },
    shard::{HashKeyRange, ShardId},
};

pub(super) const PENDING_CHECKPOINT: &str = "pendingCheckpoint";
pub(super) const PENDING_SUB_SEQUENCE_NUMBER: &str = "pendingCheckpointSubSequenceNumber";
pub(super) const PENDING_STATE: &str = "pendingCheckpointState";
pub(super) const CHILDREN: &str = "childShardIds";
/// Singular by KCL's choice; a set.
const PARENTS: &str = "parentShardId";
const STARTING_HASH_KEY: &str = "startingHashKey";
const ENDING_HASH_KEY: &str = "endingHashKey";
/// The stream's identifier, in the rows of KCL's multi-stream mode; misnamed by KCL.
const STREAM: &str = "streamName";
/// The shard's id, there too.
const SHARD: &str = "shardId";
const ENTITY_TYPE: &str = "entityType";
const LEASE: &str = "LEASE";

/// Attributes of this library, which KCL leaves alone.
pub(super) const COURTEOUS_OWNER: &str = "kinesisPipelineOwner";
const BEGUN_AT: &str = "kinesisPipelineBegunAt";
/// The map in which a reader with checkpoints keeps the same time.
const MARK: &str = "kinesisPipeline";
const MARK_BEGUN_AT: &str = "begunAtMillis";

const TRIM_HORIZON: &str = "TRIM_HORIZON";
const LATEST: &str = "LATEST";
const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const SHARD_END: &str = "SHARD_END";

/// The checkpoint's attributes: the place, and the sub-sequence number.
pub(super) fn checkpoint(checkpoint: &LeaseCheckpoint) -> (AttributeValue, AttributeValue) {
    let (place, sub_sequence_number) = match checkpoint {
        LeaseCheckpoint::TrimHorizon => (TRIM_HORIZON, 0),
        LeaseCheckpoint::Latest => (LATEST, 0),
        LeaseCheckpoint::AtTimestamp => (AT_TIMESTAMP, 0),
        LeaseCheckpoint::ShardEnd => (SHARD_END, 0),
        LeaseCheckpoint::After {
            sequence_number,
            sub_sequence_number,
        } => (sequence_number.as_str(), *sub_sequence_number),
    };
    (text(place), number(sub_sequence_number))
}

/// A set of shard ids; `None` for an empty one, which DynamoDB does not take.
pub(super) fn shards(ids: &[ShardId]) -> Option<AttributeValue> {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    (!ids.is_empty()).then_some(AttributeValue::Ss(ids))
}

pub(super) fn state(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// The row of a lease that is created.
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

/// `None` for a row that is not about a lease.
pub(super) fn decode(item: &Item) -> Result<Option<Lease>, LeaseError> {
    let entity = item.get(ENTITY_TYPE);
    if entity.is_some_and(|entity| entity.as_s().map_or(true, |kind| kind != LEASE)) {
        return Ok(None);
    }
    let lease_key = owned(item, LEASE_KEY).unwrap_or_default();
    let malformed = |attribute| LeaseError::Malformed {
        lease_key: lease_key.clone(),
        attribute,
    };
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
    lease.parents = ids(item, PARENTS);
    lease.children = ids(item, CHILDREN);
    lease.hash_key_range = range(item);
    // KCL's create writes the state as a number by mistake.
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

fn begun_at(item: &Item) -> Option<u64> {
    let ours = count(item, BEGUN_AT);
    ours.or_else(|| count(item.get(MARK)?.as_m().ok()?, MARK_BEGUN_AT))
}

fn range(item: &Item) -> Option<HashKeyRange> {
    let key = |name| owned(item, name)?.parse().ok();
    Some(HashKeyRange::new(
        key(STARTING_HASH_KEY)?,
        key(ENDING_HASH_KEY)?,
    ))
}

/// In the order of their ids: a set has none.
fn ids(item: &Item, name: &str) -> Vec<ShardId> {
    let ids = item.get(name).and_then(|value| value.as_ss().ok());
    let ids = ids.into_iter().flatten();
    let mut ids: Vec<_> = ids.map(|id| ShardId::from(id.as_str())).collect();
    ids.sort();
    ids
}

fn owned(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shard::HashKey;

    fn places() -> impl Strategy<Value = LeaseCheckpoint> {
        prop_oneof![
            Just(LeaseCheckpoint::TrimHorizon),
            Just(LeaseCheckpoint::Latest),
            Just(LeaseCheckpoint::AtTimestamp),
            Just(LeaseCheckpoint::ShardEnd),
            (any::<u128>(), any::<u64>()).prop_map(|(number, sub_sequence_number)| {
                LeaseCheckpoint::After {
                    sequence_number: number.into(),
                    sub_sequence_number,
                }
            }),
        ]
    }

    prop_compose! {
        fn leases()(
            checkpoint in places(),
            pending in prop::option::of((places(), prop::option::of(any::<Vec<u8>>()))),
            owners in prop::array::uniform3(prop::option::of("[a-z]{1,9}")),
            counter: u64,
            owner_switches: u64,
            begun_at in prop::option::of(0..u64::from(u32::MAX) * 1_000),
            parents in prop::collection::btree_set("shardId-[0-9]{12}", 0..3),
            children in prop::collection::btree_set("shardId-[0-9]{12}", 0..3),
            keys in prop::option::of(any::<(u128, u128)>()),
        ) -> Lease {
            let mut lease = Lease::new("shardId-000000000003".into(), checkpoint);
            let [owner, checkpoint_owner, courteous_owner] = owners;
            lease.owner = owner.map(WorkerId::from);
            lease.checkpoint_owner = checkpoint_owner.map(WorkerId::from);
            lease.courteous_owner = courteous_owner.map(WorkerId::from);
            lease.counter = counter;
            lease.owner_switches = owner_switches;
            lease.begun_at = begun_at.map(from_epoch_millis);
            lease.pending = pending.map(|(place, state)| {
                PendingCheckpoint::new(place, state.map(Into::into))
            });
            lease.parents = parents.into_iter().map(ShardId::from).collect();
            lease.children = children.into_iter().map(ShardId::from).collect();
            lease.hash_key_range = keys.map(|(start, end)| {
                HashKeyRange::new(HashKey::new(start), HashKey::new(end))
            });
            lease
        }
    }

    proptest! {
        #[test]
        fn a_lease_comes_back_as_it_was_written(lease in leases()) {
            prop_assert_eq!(decode(&encode(&lease)).unwrap(), Some(lease));
        }

        #[test]
        fn whatever_stands_in_a_row_is_no_panic(
            values in prop::collection::hash_map(
                prop::sample::select(&[
                    LEASE_KEY, LEASE_COUNTER, CHECKPOINT, SUB_SEQUENCE_NUMBER, ENTITY_TYPE, MARK,
                    PENDING_CHECKPOINT, PENDING_STATE, PARENTS, STARTING_HASH_KEY,
                ][..]),
                prop_oneof![".*".prop_map(AttributeValue::S), ".*".prop_map(AttributeValue::N)],
                0..10,
            ),
        ) {
            let item = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let _ = decode(&item);
        }
    }

    #[test]
    fn rows_of_other_kinds_are_passed_over() {
        let lease = Lease::new("s".into(), LeaseCheckpoint::TrimHorizon);
        let mut item = encode(&lease);
        item.insert(ENTITY_TYPE.to_owned(), text(LEASE));
        assert!(decode(&item).unwrap().is_some());
        for kind in [text("LEADER"), text("WORKER_METRIC_STATS"), number(1)] {
            item.insert(ENTITY_TYPE.to_owned(), kind);
            assert_eq!(decode(&item).unwrap(), None);
        }
    }

    #[test]
    fn the_time_that_a_reader_began_at_is_the_fleets_too() {
        let lease = Lease::new("s".into(), LeaseCheckpoint::AtTimestamp);
        let mut item = encode(&lease);
        let mark = Item::from([(MARK_BEGUN_AT.to_owned(), number(1_234))]);
        item.insert(MARK.to_owned(), AttributeValue::M(mark));
        let begun_at = decode(&item).unwrap().unwrap().begun_at;
        assert_eq!(begun_at, Some(from_epoch_millis(1_234)));
    }
}
