use std::time::{Duration, SystemTime};

use super::ack::Ack;
use crate::{
    record::PartitionKey,
    service::EncryptionType,
    shard::{HashKey, Position},
};

/// A record that was read: your data, and the service's facts about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record<R> {
    /// The decoded record.
    pub data: R,
    /// The partition key.
    pub partition_key: PartitionKey,
    /// The explicit hash key. Known only for records that came in an [aggregate](crate::guide::words).
    pub explicit_hash_key: Option<HashKey>,
    /// The time at which the service took the record, in whole milliseconds.
    pub arrived_at: SystemTime,
    /// The lag of the record's page behind the tip of its shard; `None` if the service did not say.
    pub behind_latest: Option<Duration>,
    /// The encryption at rest; `None` if the service did not say.
    pub encryption_type: Option<EncryptionType>,
    pub(super) position: Position,
    pub(super) ack: Option<Ack>,
}

impl<R> Record<R> {
    /// Makes a record as a reader gives it out, for tests of your code.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use kinesis_pipeline::{PartitionKey, Position, Record, SequenceNumber};
    ///
    /// let position = Position::new("shardId-000000000000".into(), SequenceNumber::from(1_u128));
    /// let record = Record::new(21.5, PartitionKey::new("attic")?, position, SystemTime::UNIX_EPOCH);
    /// assert_eq!(record.map(|celsius| celsius * 2.0).data, 43.0);
    /// # Ok::<(), kinesis_pipeline::KeyError>(())
    /// ```
    #[must_use]
    pub fn new(
        data: R,
        partition_key: PartitionKey,
        position: Position,
        arrived_at: SystemTime,
    ) -> Self {
        Self {
            data,
            partition_key,
            explicit_hash_key: None,
            arrived_at,
            behind_latest: None,
            encryption_type: None,
            position,
            ack: None,
        }
    }

    /// Returns the record's position in the stream.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Marks the record as finished, so that a checkpoint may pass it once all records before it in its shard are finished
    /// too. Has no effect if the record is acked already, or the reader was opened without
    /// [`require_ack`](crate::Reader::require_ack).
    ///
    /// The next checkpoint saves it. Acks that come after the reader's end are saved by
    /// [`Records::close`](crate::Records::close), or by a [`CheckpointHandle`](crate::CheckpointHandle) that was taken
    /// before.
    pub fn ack(&self) {
        if let Some(ack) = &self.ack {
            ack.finish(&self.position.shard_id);
        }
    }

    pub(crate) fn set_ack(&mut self, ack: Ack) {
        self.ack = Some(ack);
    }

    /// Returns the record with its data converted.
    #[must_use]
    pub fn map<T>(self, change: impl FnOnce(R) -> T) -> Record<T> {
        Record {
            data: change(self.data),
            partition_key: self.partition_key,
            explicit_hash_key: self.explicit_hash_key,
            arrived_at: self.arrived_at,
            behind_latest: self.behind_latest,
            encryption_type: self.encryption_type,
            position: self.position,
            ack: self.ack,
        }
    }
}

impl<R: PartialEq> PartialEq for Record<R> {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
            && self.data == other.data
            && self.partition_key == other.partition_key
            && self.explicit_hash_key == other.explicit_hash_key
            && self.arrived_at == other.arrived_at
            && self.behind_latest == other.behind_latest
            && self.encryption_type == other.encryption_type
    }
}
