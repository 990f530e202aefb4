use std::time::Duration;

use super::{error::GetError, record::Record};
use crate::{
    record::{EncodedRecord, KinesisRecord},
    service::StoredRecord,
    shard::{Position, ShardId},
};

/// Makes a record of yours from what the service stored.
pub(crate) fn decode<R: KinesisRecord>(
    shard_id: &ShardId,
    stored: StoredRecord,
    behind_latest: Option<Duration>,
) -> Result<Record<R>, GetError> {
    let position = Position::new(shard_id.clone(), stored.sequence_number);
    let encoded = EncodedRecord::new(stored.partition_key, stored.data);
    match R::decode(&encoded) {
        Ok(data) => {
            let mut record = Record::new(data, encoded.partition_key, position, stored.arrived_at);
            record.explicit_hash_key = encoded.explicit_hash_key;
            record.behind_latest = behind_latest;
            record.encryption_type = stored.encryption_type;
            Ok(record)
        }
        Err(source) => Err(GetError::Decode {
            position: Box::new(position),
            raw: encoded.data,
            partition_key: encoded.partition_key,
            arrived_at: stored.arrived_at,
            source: Box::new(source),
        }),
    }
}
