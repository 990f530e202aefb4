//! The records that the benchmark of puts sends by each of its sides.

use bytes::BytesMut;
use kinesis_pipeline::{
    DecodeError, EncodeError, EncodedRecord, HashKey, KeyError, KinesisRecord, PartitionKey,
    record::{EncodeContext, ToPartitionKey as _},
};

/// The number of records of a request.
pub const RECORDS_A_REQUEST: usize = 500;
const KEYS: usize = 10_000;

/// A record of a service. Both sides make bytes and a key of it.
#[derive(Debug)]
pub struct Reading {
    /// The partition key.
    pub device: String,
    /// The bytes.
    pub data: Vec<u8>,
}

impl KinesisRecord for Reading {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        self.device.to_partition_key()
    }

    fn encode(&self, _context: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.data);
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            device: stored.partition_key.to_string(),
            data: stored.data.to_vec(),
        })
    }
}

/// Returns records whose keys are spread evenly over this number of shards, a power of two.
///
/// # Panics
/// Panics if there are no shards.
#[must_use]
pub fn records(data_bytes: usize, shards: usize) -> Vec<Reading> {
    let mut keys_of = vec![0; shards];
    let names = (0..).map(|number| format!("device-{number:05}"));
    let even = names.filter(|name| {
        let bits = shards.trailing_zeros();
        let shard = HashKey::of_partition_key(name).value() >> (u128::BITS - bits);
        let keys = &mut keys_of[usize::try_from(shard).expect("few bits")];
        *keys += 1;
        *keys <= KEYS.div_ceil(shards)
    });
    let record = |device| Reading {
        device,
        data: vec![b'x'; data_bytes],
    };
    even.take(KEYS).map(record).collect()
}

/// Returns the records of a request.
///
/// # Panics
/// Panics if there are fewer than [`RECORDS_A_REQUEST`].
#[must_use]
pub fn chunk(records: &[Reading], request: usize) -> &[Reading] {
    let from = request * RECORDS_A_REQUEST % records.len();
    &records[from..from + RECORDS_A_REQUEST]
}
