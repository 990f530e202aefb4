//! The rows of a lease table, as KCL reads and writes them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    LeaseError,
    identity::Identity,
    mark::{MARK, Mark},
};
use crate::shard::SequenceNumber;

/// A row as DynamoDB has it.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) const LEASE_KEY: &str = "leaseKey";
pub(super) const LEASE_OWNER: &str = "leaseOwner";
pub(super) const LEASE_COUNTER: &str = "leaseCounter";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const SUB_SEQUENCE_NUMBER: &str = "checkpointSubSequenceNumber";
pub(super) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
/// The old owner of a lease that is being handed over.
pub(super) const CHECKPOINT_OWNER: &str = "checkpointOwner";
/// A checkpoint that was prepared and not made. What is in them is not read: they go with the next checkpoint.
pub(super) const PENDING: [&str; 3] = [
    "pendingCheckpoint",
    "pendingCheckpointSubSequenceNumber",
    "pendingCheckpointState",
];
/// What a row is about. KCL 3.5 keeps more than leases in the table.
const ENTITY_TYPE: &str = "entityType";
const LEASE: &str = "LEASE";

const TRIM_HORIZON: &str = "TRIM_HORIZON";
const LATEST: &str = "LATEST";
const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const SHARD_END: &str = "SHARD_END";

/// What we need of a lease. Attributes that are not here stay in the table as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeaseRow {
    pub(super) lease_key: String,
    /// The worker that holds the lease.
    pub(super) owner: Option<String>,
    /// Counted up by every write of the owner.
    pub(super) counter: u64,
    pub(super) place: LeasePlace,
    pub(super) mark: Option<Mark>,
}

/// A checkpoint in KCL's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeasePlace {
    TrimHorizon,
    Latest,
    AtTimestamp,
    /// Up to and with this user record.
    At {
        sequence_number: SequenceNumber,
        sub_sequence_number: u64,
    },
    ShardEnd,
}

impl LeasePlace {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::TrimHorizon => TRIM_HORIZON,
            Self::Latest => LATEST,
            Self::AtTimestamp => AT_TIMESTAMP,
            Self::At {
                sequence_number, ..
            } => sequence_number.as_str(),
            Self::ShardEnd => SHARD_END,
        }
    }

    pub(super) fn sub_sequence_number(&self) -> u64 {
        match self {
            Self::At {
                sub_sequence_number,
                ..
            } => *sub_sequence_number,
            _ => 0,
        }
    }

    fn parse(text: &str, sub_sequence_number: u64) -> Option<Self> {
        Some(match text {
            TRIM_HORIZON => Self::TrimHorizon,
            LATEST => Self::Latest,
            AT_TIMESTAMP => Self::AtTimestamp,
            SHARD_END => Self::ShardEnd,
            number => Self::At {
                sequence_number: number.parse().ok()?,
                sub_sequence_number,
            },
        })
    }
}

impl LeaseRow {
    /// Whose row it is, if one of ours wrote it.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.mark.as_ref().map(|mark| &mark.identity)
    }

    /// The row of a lease that nobody holds, as KCL creates it, with a mark.
    pub(super) fn encode(&self) -> Item {
        let mut item = Item::from([
            (LEASE_KEY.to_owned(), text(&self.lease_key)),
            (OWNER_SWITCHES.to_owned(), number(0)),
        ]);
        let values = self.changing_values().into_iter();
        item.extend(values.map(|(name, value)| (name.to_owned(), value)));
        let owner = self.owner.as_ref();
        item.extend(owner.map(|owner| (LEASE_OWNER.to_owned(), text(owner))));
        item
    }

    /// What a checkpoint sets, by attribute, beside `ownerSwitchesSinceCheckpoint`, which becomes 0.
    pub(super) fn changing_values(&self) -> Vec<(&'static str, AttributeValue)> {
        let mut values = vec![
            (LEASE_COUNTER, number(self.counter)),
            (CHECKPOINT, text(self.place.text())),
            (
                SUB_SEQUENCE_NUMBER,
                number(self.place.sub_sequence_number()),
            ),
        ];
        values.extend(self.mark.as_ref().map(|mark| (MARK, mark.encode())));
        values
    }

    /// `None` for a row that is not about a lease.
    pub(super) fn decode(item: &Item) -> Result<Option<Self>, LeaseError> {
        let entity = item.get(ENTITY_TYPE);
        if entity.is_some_and(|entity| entity.as_s().map_or(true, |kind| kind != LEASE)) {
            return Ok(None);
        }
        let lease_key = owned(item, LEASE_KEY).unwrap_or_default();
        let malformed = |attribute| LeaseError::Malformed {
            lease_key: lease_key.clone(),
            attribute,
        };
        // `account:stream:creationEpoch:shardId`
        if lease_key.contains(':') {
            return Err(LeaseError::ManyStreams { lease_key });
        }
        let counter = count(item, LEASE_COUNTER).ok_or_else(|| malformed(LEASE_COUNTER))?;
        let sub_sequence_number = match item.get(SUB_SEQUENCE_NUMBER) {
            Some(_) => {
                count(item, SUB_SEQUENCE_NUMBER).ok_or_else(|| malformed(SUB_SEQUENCE_NUMBER))?
            }
            None => 0,
        };
        let place = owned(item, CHECKPOINT)
            .and_then(|text| LeasePlace::parse(&text, sub_sequence_number))
            .ok_or_else(|| malformed(CHECKPOINT))?;
        let row = Self {
            owner: owned(item, LEASE_OWNER),
            counter,
            place,
            mark: item.get(MARK).and_then(Mark::decode),
            lease_key,
        };
        Ok(Some(row))
    }
}

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn count(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn owned(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::{mark::tests::marks, place};

    prop_compose! {
        fn rows()(
            number in 0..100_000_u32,
            owner: Option<String>,
            counter: u64,
            checkpoint in place::tests::checkpoints(),
            mark in proptest::option::of(marks()),
        ) -> LeaseRow {
            let lease_key = format!("shardId-{number:012}");
            let place = place::encode(&checkpoint).0;
            LeaseRow { lease_key, owner, counter, place, mark }
        }
    }

    proptest! {
        #[test]
        fn a_row_comes_back_as_it_was_written(row in rows()) {
            prop_assert_eq!(LeaseRow::decode(&row.encode()).unwrap(), Some(row));
        }

        #[test]
        fn whatever_stands_in_a_row_is_no_panic(
            values in proptest::collection::hash_map(
                proptest::sample::select(&[
                    LEASE_KEY, LEASE_OWNER, LEASE_COUNTER, CHECKPOINT, SUB_SEQUENCE_NUMBER,
                    ENTITY_TYPE, MARK,
                ][..]),
                prop_oneof![".*".prop_map(AttributeValue::S), ".*".prop_map(AttributeValue::N)],
                0..7,
            ),
        ) {
            let item = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let _ = LeaseRow::decode(&item);
        }
    }

    fn minimal() -> Item {
        Item::from([
            (LEASE_KEY.to_owned(), text("shardId-000000000000")),
            (LEASE_COUNTER.to_owned(), number(1)),
            (CHECKPOINT.to_owned(), text("LATEST")),
        ])
    }

    #[test]
    fn rows_of_other_kinds_are_passed_over() {
        let mut item = minimal();
        assert!(LeaseRow::decode(&item).unwrap().is_some());
        item.insert(ENTITY_TYPE.to_owned(), text("LEASE"));
        assert!(LeaseRow::decode(&item).unwrap().is_some());
        for kind in [text("LEADER"), text("WORKER_METRIC_STATS"), number(1)] {
            item.insert(ENTITY_TYPE.to_owned(), kind);
            assert_eq!(LeaseRow::decode(&item).unwrap(), None);
        }
    }

    #[test]
    fn a_prepared_checkpoint_is_passed_over_in_both_of_kcls_types() {
        let mut item = minimal();
        let plain = LeaseRow::decode(&item).unwrap();
        for state in [
            number(1),
            AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([1])),
        ] {
            item.insert("pendingCheckpoint".to_owned(), text("7"));
            item.insert("pendingCheckpointState".to_owned(), state);
            assert_eq!(LeaseRow::decode(&item).unwrap(), plain);
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

    #[test]
    fn a_row_of_a_fleet_of_many_streams_is_refused() {
        let mut item = minimal();
        let key = text("123456789012:readings:1700000000:shardId-000000000000");
        item.insert(LEASE_KEY.to_owned(), key);
        let error = LeaseRow::decode(&item).unwrap_err();
        assert!(matches!(error, LeaseError::ManyStreams { .. }), "{error}");
    }

    fn number_text(text: &str) -> AttributeValue {
        AttributeValue::N(text.to_owned())
    }
}
