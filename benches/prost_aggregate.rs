//! An encoder of KPL aggregates as users write it today: with prost's derive and the crate md-5.

use bytes::Bytes;
use kinesis_pipeline::EncodedRecord;
use md5::{Digest, Md5};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    partition_key_table: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_key_table: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Record>,
}

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(uint64, required, tag = "1")]
    partition_key_index: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "bytes", required, tag = "3")]
    data: Bytes,
}

/// Returns the protobuf body, with a table entry for each distinct key.
#[must_use]
pub fn encode_body(records: &[EncodedRecord]) -> Vec<u8> {
    let mut indices = std::collections::HashMap::new();
    let mut message = AggregatedRecord::default();
    for record in records {
        let next = indices.len() as u64;
        let index = *indices.entry(record.partition_key.as_str()).or_insert(next);
        if index == next {
            message
                .partition_key_table
                .push(record.partition_key.to_string());
        }
        message.records.push(Record {
            partition_key_index: index,
            explicit_hash_key_index: None,
            data: record.data.clone(),
        });
    }
    message.encode_to_vec()
}

/// Returns the whole aggregate: magic bytes, body, MD5.
#[must_use]
pub fn encode(records: &[EncodedRecord]) -> Vec<u8> {
    let body = encode_body(records);
    let mut out = vec![0xF3, 0x89, 0x9A, 0xC2];
    out.extend_from_slice(&body);
    out.extend_from_slice(&Md5::digest(&body));
    out
}
