//! The encoding of a user's record into bytes and keys that the service takes.

use std::sync::Arc;

use crate::{
    clock::Clock,
    put::error::PutError,
    record::{
        self, EncodeContext, Encoded, KeyError, KinesisRecord, PARTITION_KEY_CHARS_MAX,
        PartitionKey, RecordError,
    },
    service::StreamId,
};

/// Encodes a record, checks its key, and hands it out. Errors are in boxes: a put moves its result some times, and a
/// large one would cost as much as the rest.
///
/// Together with the check of its size ([`RecordLimit`](super::record_limit::RecordLimit)) this finds every
/// record that the service would refuse, so that no bad record gets into a request with good ones.
#[inline]
pub(in crate::put) fn encode<R: KinesisRecord, T, E: From<Box<PutError>>>(
    record: &R,
    key_field: Option<&str>,
    stream: &StreamId,
    clock: &Clock,
    then: impl FnOnce(Encoded<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let context = EncodeContext::of(clock);
    record::encode(record, key_field, &context, |encoded| {
        let encoded = encoded.map_err(|error| Box::new(not_encoded(error, stream)))?;
        check_key(encoded.partition_key)
            .map_err(|source| Box::new(not_encoded(source.into(), stream)))?;
        then(encoded)
    })
}

#[cold]
fn not_encoded(error: RecordError, stream: &StreamId) -> PutError {
    let stream = stream.clone();
    match error {
        RecordError::Key(source) => PutError::Key { stream, source },
        RecordError::Encode(source) => PutError::Encode {
            stream,
            source: Arc::new(source),
        },
    }
}

/// Checks the length of a key. A key that was read from a stream ([`PartitionKey::stored`]) has not been checked before.
fn check_key(key: &PartitionKey) -> Result<(), KeyError> {
    match key.len() {
        0 => Err(KeyError::Empty { field: None }),
        1..=PARTITION_KEY_CHARS_MAX => Ok(()),
        _ => match key.chars().count() {
            chars if chars > PARTITION_KEY_CHARS_MAX => {
                Err(KeyError::TooLong { field: None, chars })
            }
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::EncodedRecord;

    fn encoded(key: PartitionKey, data_bytes: usize) -> Result<EncodedRecord, Box<PutError>> {
        let record = EncodedRecord::new(key, Bytes::from(vec![0; data_bytes]));
        let own = |encoded: Encoded<'_>| Ok(encoded.into_record());
        encode(&record, None, &"s".into(), &Clock::system(), own)
    }

    #[test]
    fn a_key_that_came_out_of_a_stream_is_checked_again() {
        for text in [String::new(), "é".repeat(257)] {
            let error = encoded(PartitionKey::stored(text), 1).unwrap_err();
            assert!(matches!(*error, PutError::Key { .. }), "{error}");
        }
        assert!(encoded(PartitionKey::stored("日".repeat(256)), 1).is_ok());
    }
}
