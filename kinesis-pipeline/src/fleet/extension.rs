//! The extension of a row: one attribute of this library with the facts that have no KCL attribute.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    identity::Identity,
    row::{count, number, owned, text},
};

/// The name of the attribute.
pub(super) const EXTENSION: &str = "kinesisPipeline";
pub(super) const APP: &str = "app";
pub(super) const STREAM: &str = "stream";
const WRITER: &str = "writer";
pub(super) const COUNTER: &str = "counter";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const SUB_SEQUENCE_NUMBER: &str = "checkpointSubSequenceNumber";
pub(super) const BEGUN_AT: &str = "begunAtMillis";
const ARRIVED_AT: &str = "arrivedAtMillis";
pub(super) const CURRENT_AT: &str = "currentAtMillis";
const STREAM_CREATED_AT: &str = "streamCreatedAtMillis";

/// The extension of a row. A reader writes it with each of its writes. KCL's updates do not touch it, so it states
/// which write it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) identity: Identity,
    /// The writer, and the row's counter after the write. Counters only grow: while the row has this counter, no other
    /// write has followed.
    pub(super) writer: String,
    pub(super) counter: u64,
    pub(super) times: CheckpointTimes,
}

/// The times that belong to a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckpointTimes {
    /// The checkpoint that the times belong to, in KCL's form. KCL may have moved the row's checkpoint since.
    pub(super) checkpoint: String,
    pub(super) sub_sequence_number: u64,
    /// The time at which reading began, for a checkpoint `AT_TIMESTAMP`.
    pub(super) begun_at_millis: Option<u64>,
    pub(super) arrived_at_millis: Option<u64>,
    /// The time before which all records that arrived are finished.
    pub(super) current_at_millis: Option<u64>,
    /// The creation time of the stream.
    pub(super) stream_created_at_millis: Option<u64>,
}

impl Extension {
    pub(super) fn encode(&self) -> AttributeValue {
        let CheckpointTimes {
            checkpoint,
            sub_sequence_number,
            begun_at_millis,
            arrived_at_millis,
            current_at_millis,
            stream_created_at_millis,
        } = &self.times;
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

    /// Reads an extension; `None` for an attribute that this library did not write.
    pub(super) fn decode(value: &AttributeValue) -> Option<Self> {
        let members = value.as_m().ok()?;
        Some(Self {
            identity: Identity {
                app: owned(members, APP)?,
                stream: owned(members, STREAM)?,
            },
            writer: owned(members, WRITER)?,
            counter: count(members, COUNTER)?,
            times: CheckpointTimes {
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

/// Returns the time at which reading began, from the attribute of an extension.
pub(super) fn begun_at_millis(value: &AttributeValue) -> Option<u64> {
    count(value.as_m().ok()?, BEGUN_AT)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        pub(in crate::fleet) fn times()(
            checkpoint in "[0-9A-Z_]{1,60}",
            sub_sequence_number: u64,
            begun_at_millis: Option<u64>,
            arrived_at_millis: Option<u64>,
            current_at_millis: Option<u64>,
            stream_created_at_millis: Option<u64>,
        ) -> CheckpointTimes {
            CheckpointTimes {
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
        pub(in crate::fleet) fn extensions()(
            app: String, stream: String, writer: String, counter: u64, times in times(),
        ) -> Extension {
            Extension { identity: Identity { app, stream }, writer, counter, times }
        }
    }

    proptest! {
        #[test]
        fn an_extension_comes_back_as_it_was_written(extension in extensions()) {
            prop_assert_eq!(Extension::decode(&extension.encode()), Some(extension));
        }
    }

    #[test]
    fn an_attribute_of_somebody_else_is_no_mark() {
        assert_eq!(Extension::decode(&text("something")), None);
        assert_eq!(Extension::decode(&AttributeValue::M(HashMap::new())), None);
    }
}
