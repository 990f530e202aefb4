//! The conversion of records and positions between reader, lease and processor.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::context::panic_text;
use crate::{
    Checkpoint, CheckpointPlace, DecodeError, GetError, KinesisRecord, Record,
    fleet::lease::{Lease, LeaseCheckpoint},
    get::{Begin, UserRecord, item},
    service::IteratorStart,
    shard::Position,
};

/// The sub-sequence number of a Kinesis record that is finished as a whole, with all user records in it.
const WHOLE: u64 = i64::MAX as u64;

pub(super) fn checkpoint_after(position: &Position) -> Checkpoint {
    let place = CheckpointPlace::After {
        sequence_number: position.sequence_number.clone(),
        sub_sequence_number: Some(position.sub_sequence_number),
    };
    Checkpoint::new(position.shard_id.clone(), place)
}

/// Returns the start after this record.
pub(super) fn after_record(record: &UserRecord) -> Begin {
    let position = &record.position;
    after(position).finished_until(&position.shard_id, record.arrived_at)
}

pub(super) fn after(position: &Position) -> Begin {
    Begin::after(
        position.sequence_number.clone(),
        position.sub_sequence_number,
    )
}

/// Returns the position at which reading begins in a lease's shard.
pub(super) fn begin_at(lease: &Lease) -> Begin {
    match (&lease.checkpoint, lease.begun_at) {
        (
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number: WHOLE,
            },
            _,
        ) => IteratorStart::AfterSequenceNumber(sequence_number.clone()).into(),
        (
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number,
            },
            _,
        ) => Begin::after(sequence_number.clone(), *sub_sequence_number),
        (LeaseCheckpoint::Latest | LeaseCheckpoint::AtTimestamp, Some(time)) => {
            IteratorStart::AtTimestamp(time).into()
        }
        (LeaseCheckpoint::Latest, None) => IteratorStart::Latest.into(),
        _ => IteratorStart::TrimHorizon.into(),
    }
}

/// Decodes a record. A panic of the decoder becomes an error of the record.
pub(super) fn decode_one<R: KinesisRecord>(
    read: &UserRecord,
    behind_latest: Option<Duration>,
) -> Result<Record<R>, GetError> {
    let encoded = &read.encoded;
    let decoded = catch_unwind(AssertUnwindSafe(|| encoded.to_record()));
    let decoded = decoded.unwrap_or_else(|panic| {
        let (bytes, text) = (encoded.data.len(), panic_text(&*panic));
        Err(DecodeError::new("record's", bytes, text))
    });
    let mut copy = read.without_data();
    if decoded.is_err() {
        copy.encoded.data = encoded.data.clone();
    }
    item(decoded, copy, behind_latest)
}
