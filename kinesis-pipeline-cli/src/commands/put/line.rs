use bytes::{Bytes, BytesMut};
use kinesis_pipeline::{
    DecodeError, EncodeError, EncodedRecord, HashKey, KeyError, KinesisRecord, PartitionKey,
    record::EncodeContext,
};

/// A line of the input: its record, or the reason why it is no record, which is then the error of the put.
#[derive(Debug)]
pub(super) struct Line {
    /// The line number, counted from 1.
    pub(super) number: u64,
    pub(super) record: Result<EncodedRecord, Refusal>,
}

/// The reason why a line is no record.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The line has no usable key.
    Key(KeyError),
    /// The line does not have the format.
    Format(EncodeError),
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<EncodeError> for Refusal {
    fn from(error: EncodeError) -> Self {
        Self::Format(error)
    }
}

impl KinesisRecord for Line {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        match &self.record {
            Ok(record) => Ok(record.partition_key.clone()),
            Err(Refusal::Key(error)) => Err(error.clone()),
            // `encode` refuses it, which is called after this.
            Err(Refusal::Format(_)) => Ok(PartitionKey::random()),
        }
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self
            .record
            .as_ref()
            .ok()
            .and_then(|record| record.explicit_hash_key))
    }

    fn shared_data(&self) -> Option<Bytes> {
        self.record.as_ref().ok().map(|record| record.data.clone())
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        match &self.record {
            Ok(record) => {
                out.extend_from_slice(&record.data);
                Ok(())
            }
            Err(Refusal::Format(error)) => Err(again(error)),
            Err(Refusal::Key(error)) => Err(EncodeError::new("lines", error.clone())),
        }
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            number: 0,
            record: Ok(stored.clone()),
        })
    }
}

/// Returns a copy of the error, because errors of codecs cannot be cloned.
fn again(error: &EncodeError) -> EncodeError {
    let cause = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
    EncodeError::new(error.codec, cause)
}
