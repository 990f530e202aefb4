use std::time::Duration;

use super::{deaggregate::UserRecord, record::Record};
use crate::{
    get::error::GetError,
    record::{DecodeError, KinesisRecord},
};

/// Decodes a user record. Bytes that the codec refuses become one error item that keeps them.
pub(super) fn decode<R: KinesisRecord>(
    read: UserRecord,
    behind_latest: Option<Duration>,
) -> Result<Record<R>, GetError> {
    item(read.encoded.to_record(), read, behind_latest)
}

/// Makes the item of a user record from the outcome of its decoding: for readers and for workers. Only an error item
/// keeps the bytes.
pub(crate) fn item<R>(
    decoded: Result<R, DecodeError>,
    read: UserRecord,
    behind_latest: Option<Duration>,
) -> Result<Record<R>, GetError> {
    let UserRecord {
        position,
        encoded,
        arrived_at,
        encryption_type,
        ..
    } = read;
    match decoded {
        Ok(data) => {
            let mut record = Record::new(data, encoded.partition_key, position, arrived_at);
            record.explicit_hash_key = encoded.explicit_hash_key;
            record.behind_latest = behind_latest;
            record.encryption_type = encryption_type;
            Ok(record)
        }
        Err(source) => Err(GetError::Decode {
            position: Box::new(position),
            raw: encoded.data,
            partition_key: encoded.partition_key,
            arrived_at,
            source: Box::new(source),
        }),
    }
}
