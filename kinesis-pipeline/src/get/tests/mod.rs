//! The whole reader over a Kinesis of the tests' own, on paused time.

mod aggregates;
mod by_shard;
mod checkpoints;
mod clocks;
mod crashes;
mod credentials;
mod divided;
mod ends;
mod failing_stores;
#[cfg(feature = "local")]
mod fan_out;
mod faults;
mod found_again;
mod handles;
mod last_save;
mod listings;
#[cfg(feature = "local")]
mod local;
mod pace;
mod records;
mod reshard;
mod retained;
mod service;
#[cfg(feature = "local")]
mod simulation;
mod single;
mod starts;
mod stores;
mod unread;
#[cfg(feature = "local")]
mod unsteady;

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::{
    DecodeError, EncodeError, EncodedRecord, GetError, KeyError, KinesisRecord, PartitionKey,
    Record, Records, record::EncodeContext,
};

/// A text that must not be `bad`.
#[derive(Debug, PartialEq)]
struct Good(String);

impl KinesisRecord for Good {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        PartitionKey::new("k")
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        match std::str::from_utf8(&stored.data) {
            Ok("bad") | Err(_) => Err(DecodeError::new("good", stored.data.len(), "it is bad")),
            Ok(text) => Ok(Self(text.to_owned())),
        }
    }
}

type Item = Result<Record<Bytes>, GetError>;

fn text(item: Option<Item>) -> String {
    String::from_utf8(
        item.expect("a record")
            .expect("a good record")
            .data
            .to_vec(),
    )
    .unwrap()
}

async fn take(records: &mut Records<Bytes>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(records.next().await));
    }
    texts
}

async fn rest(records: &mut Records<Bytes>) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(item) = records.next().await {
        texts.push(text(Some(item)));
    }
    texts
}

/// Whether nothing comes for ten minutes.
async fn is_silent(records: &mut Records<Bytes>) -> bool {
    tokio::time::timeout(Duration::from_mins(10), records.next())
        .await
        .is_err()
}
