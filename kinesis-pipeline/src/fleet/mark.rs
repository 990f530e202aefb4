//! What KCL has no attribute for, in one attribute of ours beside KCL's.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    identity::Identity,
    row::{count, number, owned, text},
};

/// The name of the attribute.
pub(super) const MARK: &str = "kinesisPipeline";
pub(super) const APP: &str = "app";
pub(super) const STREAM: &str = "stream";
const WRITER: &str = "writer";
const COUNTER: &str = "counter";
const CHECKPOINT: &str = "checkpoint";
const SUB_SEQUENCE_NUMBER: &str = "checkpointSubSequenceNumber";
pub(super) const BEGUN_AT: &str = "begunAtMillis";
const ARRIVED_AT: &str = "arrivedAtMillis";
const CURRENT_AT: &str = "currentAtMillis";
const STREAM_CREATED_AT: &str = "streamCreatedAtMillis";

/// What one of our writes leaves behind in a row. KCL's own updates do not touch it, so it tells which write it
/// belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) identity: Identity,
    /// Who wrote, and the row's counter after it. Counters only grow, so as long as both are there, nobody has
    /// written since.
    pub(super) writer: String,
    pub(super) counter: u64,
    pub(super) notes: Notes,
}

/// What is noted about a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notes {
    /// The checkpoint that the times belong to, as it stands in KCL's attributes: those may have moved on.
    pub(super) checkpoint: String,
    pub(super) sub_sequence_number: u64,
    /// The time that reading began at, for a checkpoint `AT_TIMESTAMP`.
    pub(super) begun_at_millis: Option<u64>,
    pub(super) arrived_at_millis: Option<u64>,
    /// The time before which everything that arrived is finished.
    pub(super) current_at_millis: Option<u64>,
    /// When the stream was created.
    pub(super) stream_created_at_millis: Option<u64>,
}

impl Mark {
    pub(super) fn encode(&self) -> AttributeValue {
        let Notes {
            checkpoint,
            sub_sequence_number,
            begun_at_millis,
            arrived_at_millis,
            current_at_millis,
            stream_created_at_millis,
        } = &self.notes;
        let mut members = HashMap::from([
            (APP, text(&self.identity.app)),
            (STREAM, text(&self.identity.stream)),
            (WRITER, text(&self.writer)),
            (COUNTER, number(self.counter)),
            (CHECKPOINT, text(checkpoint)),
            (SUB_SEQUENCE_NUMBER, number(*sub_sequence_number)),
        ]);
        let times = [
            (BEGUN_AT, begun_at_millis),
            (ARRIVED_AT, arrived_at_millis),
            (CURRENT_AT, current_at_millis),
            (STREAM_CREATED_AT, stream_created_at_millis),
        ];
        for (name, millis) in times {
            members.extend(millis.map(|millis| (name, number(millis))));
        }
        let named = members.into_iter();
        AttributeValue::M(
            named
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// `None` for an attribute that we did not write.
    pub(super) fn decode(value: &AttributeValue) -> Option<Self> {
        let members = value.as_m().ok()?;
        Some(Self {
            identity: Identity {
                app: owned(members, APP)?,
                stream: owned(members, STREAM)?,
            },
            writer: owned(members, WRITER)?,
            counter: count(members, COUNTER)?,
            notes: Notes {
                checkpoint: owned(members, CHECKPOINT)?,
                sub_sequence_number: count(members, SUB_SEQUENCE_NUMBER)?,
                begun_at_millis: count(members, BEGUN_AT),
                arrived_at_millis: count(members, ARRIVED_AT),
                current_at_millis: count(members, CURRENT_AT),
                stream_created_at_millis: count(members, STREAM_CREATED_AT),
            },
        })
    }
}

/// Returns the time that reading began at, in the attribute of a mark.
pub(super) fn begun_at_millis(value: &AttributeValue) -> Option<u64> {
    count(value.as_m().ok()?, BEGUN_AT)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        pub(in crate::fleet) fn notes()(
            checkpoint in "[0-9A-Z_]{1,60}",
            sub_sequence_number: u64,
            begun_at_millis: Option<u64>,
            arrived_at_millis: Option<u64>,
            current_at_millis: Option<u64>,
            stream_created_at_millis: Option<u64>,
        ) -> Notes {
            Notes {
                checkpoint,
                sub_sequence_number,
                begun_at_millis,
                arrived_at_millis,
                current_at_millis,
                stream_created_at_millis,
            }
        }
    }

    prop_compose! {
        pub(in crate::fleet) fn marks()(
            app: String, stream: String, writer: String, counter: u64, notes in notes(),
        ) -> Mark {
            Mark { identity: Identity { app, stream }, writer, counter, notes }
        }
    }

    proptest! {
        #[test]
        fn a_mark_comes_back_as_it_was_written(mark in marks()) {
            prop_assert_eq!(Mark::decode(&mark.encode()), Some(mark));
        }
    }

    #[test]
    fn an_attribute_of_somebody_else_is_no_mark() {
        assert_eq!(Mark::decode(&text("something")), None);
        assert_eq!(Mark::decode(&AttributeValue::M(HashMap::new())), None);
    }
}
