use std::time::Duration;

use super::{deaggregate::UserRecord, record::Record};
use crate::{
    get::error::GetError,
    record::{DecodeError, KinesisRecord, own},
};

/// Decodes a user record. Bytes that the codec refuses become one error item that keeps them.
#[inline]
pub(super) fn decode<R: KinesisRecord>(
    mut read: UserRecord,
    behind_latest: Option<Duration>,
) -> Result<Record<R>, GetError> {
    item(read.encoded.take_record(), read, behind_latest)
}

/// Makes the item of a user record from the outcome of its decoding: for readers and for workers. Only an error item
/// keeps the bytes, a few of them in memory of their own: it may be laid aside for long.
#[inline]
pub(crate) fn item<R>(
    decoded: Result<R, DecodeError>,
    read: UserRecord,
    behind_latest: Option<Duration>,
) -> Result<Record<R>, GetError> {
    let UserRecord {
        position,
        mut encoded,
        arrived_at,
        encryption_type,
        ..
    } = read;
    match decoded {
        Ok(data) => Ok(Record {
            data,
            partition_key: encoded.partition_key,
            explicit_hash_key: encoded.explicit_hash_key,
            arrived_at,
            behind_latest,
            encryption_type,
            position,
            ack: None,
        }),
        Err(source) => {
            own(&mut encoded.data, true);
            Err(GetError::Decode {
                position: Box::new(position),
                raw: encoded.data,
                partition_key: encoded.partition_key,
                arrived_at,
                source: Box::new(source),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;

    use super::*;
    use crate::{
        get::dispatch::deaggregate::UserRecords,
        record::PartitionKey,
        service::StoredRecord,
        shard::{SequenceNumber, ShardId},
    };

    #[test]
    fn an_undecodable_record_keeps_no_memory_of_its_neighbours() {
        let page = Bytes::from(vec![7; 100]);
        let (number, key) = (SequenceNumber::from(1), PartitionKey::new("k").unwrap());
        let stored = StoredRecord::new(number, SystemTime::UNIX_EPOCH, page.slice(..9), key);
        let mut read = UserRecords::new(ShardId::from("s"), vec![stored], None, false);
        let refused = Err(DecodeError::new("record's", 9, "no"));
        match item::<()>(refused, read.next().unwrap(), None) {
            Err(GetError::Decode { raw, .. }) => assert!(raw == [7; 9][..] && raw.is_unique()),
            other => panic!("{other:?}"),
        }
    }
}
