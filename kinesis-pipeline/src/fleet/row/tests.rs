//! Tests of rows in DynamoDB's form, and of their decoding.
use proptest::prelude::*;

use super::*;
use crate::{
    fleet::extension::{BEGUN_AT as EXTENSION_BEGUN_AT, tests::extensions},
    shard::HashKey,
};

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
        current_at in prop::option::of(0..u64::from(u32::MAX) * 1_000),
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
        lease.current_at = current_at.map(from_epoch_millis);
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
    fn a_row_comes_back_as_it_was_written(
        mut lease in leases(),
        extension in prop::option::of(extensions()),
    ) {
        // Without its own time, a lease has the time of the extension.
        lease.begun_at.get_or_insert(from_epoch_millis(1));
        let row = LeaseRow { lease, extension };
        prop_assert_eq!(LeaseRow::decode(&row.encode()).unwrap(), Some(row));
    }

    #[test]
    fn whatever_stands_in_a_row_is_no_panic(
        values in prop::collection::hash_map(
            prop::sample::select(&[
                LEASE_KEY, LEASE_COUNTER, CHECKPOINT, SUB_SEQUENCE_NUMBER, ENTITY_TYPE, EXTENSION,
                PENDING_CHECKPOINT, PENDING_STATE, PARENTS, STARTING_HASH_KEY,
            ][..]),
            prop_oneof![".*".prop_map(AttributeValue::S), ".*".prop_map(AttributeValue::N)],
            0..10,
        ),
    ) {
        let item = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let _ = LeaseRow::decode(&item);
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
    let members = Item::from([(EXTENSION_BEGUN_AT.to_owned(), number(1_234))]);
    item.insert(EXTENSION.to_owned(), AttributeValue::M(members));
    let begun_at = decode(&item).unwrap().unwrap().begun_at;
    assert_eq!(begun_at, Some(from_epoch_millis(1_234)));
}

fn minimal() -> Item {
    Item::from([
        (LEASE_KEY.to_owned(), text("shardId-000000000000")),
        (LEASE_COUNTER.to_owned(), number(1)),
        (CHECKPOINT.to_owned(), text("LATEST")),
    ])
}

#[test]
fn a_prepared_checkpoint_is_read_in_both_of_kcls_types() {
    let mut item = minimal();
    item.insert(PENDING_CHECKPOINT.to_owned(), text("7"));
    for (value, read) in [(number(1), None), (state(&[1]), Some(vec![1].into()))] {
        item.insert(PENDING_STATE.to_owned(), value);
        let pending = decode(&item).unwrap().unwrap().pending.unwrap();
        assert_eq!(
            (words(&pending.checkpoint), pending.state),
            (("7", 0), read)
        );
    }
}

#[test]
fn a_row_that_cannot_be_read_is_an_error_that_names_it() {
    for (name, value) in [
        (CHECKPOINT, text("nonsense")),
        (LEASE_COUNTER, text("1")),
        (SUB_SEQUENCE_NUMBER, number_text("-1")),
    ] {
        let mut item = minimal();
        item.insert(name.to_owned(), value);
        let error = LeaseRow::decode(&item).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("shardId-000000000000"),
            "{error}"
        );
    }
}

/// The row is in the form of KCL's `DynamoDBMultiStreamLeaseSerializer`.
#[test]
fn a_row_of_a_fleet_of_several_streams_names_its_stream_and_its_shard() {
    let key = "123456789012:readings:1700000000:shardId-000000000000";
    let lease = Lease::new(key.into(), LeaseCheckpoint::Latest);
    let row = encode(&lease);
    assert_eq!(row[LEASE_KEY], text(key));
    assert_eq!(row["streamName"], text("123456789012:readings:1700000000"));
    assert_eq!(row["shardId"], text("shardId-000000000000"));
    assert_eq!(decode(&row).unwrap(), Some(lease));
    let of_one = encode(&Lease::new(
        "shardId-000000000000".into(),
        LeaseCheckpoint::Latest,
    ));
    assert!(!of_one.contains_key("streamName") && !of_one.contains_key("shardId"));
}

fn number_text(text: &str) -> AttributeValue {
    AttributeValue::N(text.to_owned())
}
