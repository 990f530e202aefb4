//! The envelope of a record that could not be processed.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::BoxError;
use crate::{
    PartitionKey,
    clock::{epoch_millis, from_epoch_millis},
    shard::{HashKey, Position},
};

/// A record that could not be processed, with its bytes unchanged and the error.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The stream that the record was read from.
    pub stream: String,
    /// The position of the record.
    pub position: Position,
    /// The record's partition key.
    pub partition_key: PartitionKey,
    /// The record's explicit hash key, if it is known.
    pub explicit_hash_key: Option<HashKey>,
    /// The time at which the service received the record, in whole milliseconds.
    pub arrived_at: SystemTime,
    /// The error of the last attempt.
    pub error: String,
    /// The number of attempts; 0 for a record that could not be decoded.
    pub attempts: u32,
    /// The number of earlier redrives: the times that [`Redrive`](super::Redrive) put the record back.
    pub redrives: u32,
    /// The record's bytes.
    pub data: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    stream: String,
    shard_id: String,
    sequence_number: String,
    sub_sequence_number: u64,
    partition_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    explicit_hash_key: Option<String>,
    arrived_at_millis: u64,
    error: String,
    attempts: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    redrives: u32,
    data_base64: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl DeadLetter {
    /// Returns the letter as one line of JSON, without a line break at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let position = &self.position;
        let envelope = Envelope {
            stream: self.stream.clone(),
            shard_id: position.shard_id.to_string(),
            sequence_number: position.sequence_number.to_string(),
            sub_sequence_number: position.sub_sequence_number,
            partition_key: self.partition_key.to_string(),
            explicit_hash_key: self.explicit_hash_key.map(|key| key.to_string()),
            arrived_at_millis: epoch_millis(self.arrived_at),
            error: self.error.clone(),
            attempts: self.attempts,
            redrives: self.redrives,
            data_base64: BASE64.encode(&self.data),
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }

    /// Makes a letter from its JSON.
    ///
    /// # Errors
    /// The text is not in the form that [`to_json`](Self::to_json) writes.
    pub fn from_json(json: &str) -> Result<Self, BoxError> {
        let envelope: Envelope = serde_json::from_str(json)?;
        let number = envelope.sequence_number.parse()?;
        let position = Position::new(envelope.shard_id.into(), number);
        let hash_key = envelope.explicit_hash_key.map(|key| key.parse());
        Ok(Self {
            stream: envelope.stream,
            position: position.at_sub_sequence_number(envelope.sub_sequence_number),
            partition_key: PartitionKey::new(envelope.partition_key)?,
            explicit_hash_key: hash_key.transpose()?,
            arrived_at: from_epoch_millis(envelope.arrived_at_millis),
            error: envelope.error,
            attempts: envelope.attempts,
            redrives: envelope.redrives,
            data: BASE64.decode(envelope.data_base64)?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn letters()(
            stream: String,
            number: u128,
            sub_sequence_number: u64,
            key in "[a-z]{1,9}",
            hash_key: Option<u128>,
            millis in 0..u64::from(u32::MAX),
            error: String,
            attempts: u32,
            redrives: u32,
            data: Vec<u8>,
        ) -> DeadLetter {
            let position = Position::new("shardId-000000000000".into(), number.into());
            DeadLetter {
                stream,
                position: position.at_sub_sequence_number(sub_sequence_number),
                partition_key: PartitionKey::new(key).unwrap(),
                explicit_hash_key: hash_key.map(HashKey::new),
                arrived_at: from_epoch_millis(millis),
                error,
                attempts,
                redrives,
                data: data.into(),
            }
        }
    }

    #[test]
    fn a_letter_of_an_older_version_was_never_put_back() {
        let json = r#"{"stream":"s","shard_id":"shardId-000000000000","sequence_number":"7","sub_sequence_number":0,
            "partition_key":"k","arrived_at_millis":5,"error":"bad","attempts":3,"data_base64":"AAE="}"#;
        let letter = DeadLetter::from_json(json).unwrap();
        assert_eq!((letter.redrives, &letter.data[..]), (0, &b"\0\x01"[..]));
    }

    proptest! {
        #[test]
        fn a_letter_comes_back_as_it_was_written(letter in letters()) {
            let json = letter.to_json();
            prop_assert!(!json.contains('\n'));
            prop_assert_eq!(DeadLetter::from_json(&json).unwrap(), letter);
        }
    }
}
