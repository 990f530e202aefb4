//! `PutRecords` in JSON.

use std::io::Write as _;

use base64_simd::STANDARD;
use bytes::Bytes;

use super::{
    Entries, Entry,
    answer::{EntryValues, entries},
};
use crate::{
    json::{Malformed, Scanner},
    record::EncodedRecord,
    service::{PutRecords, StoredAt},
    shard::{HashKey, SequenceNumber, ShardId},
};

/// Writes the request to an empty body, in the API's JSON.
pub(super) fn body(call: &PutRecords, empty: impl FnOnce(usize) -> Vec<u8>) -> Bytes {
    const ENTRY: &str = r#"{"Data":"","PartitionKey":"","ExplicitHashKey":""},"#;
    let expected = |record: &EncodedRecord| {
        let key = record.partition_key.len() + HashKey::DIGITS_MAX;
        STANDARD.encoded_length(record.data.len()) + key + ENTRY.len()
    };
    let frame = 64 + call.stream.as_str().len();
    let bytes = frame + call.records.iter().map(expected).sum::<usize>();
    let mut out = empty(bytes);
    let name = if call.stream.arn().is_some() {
        "StreamARN"
    } else {
        "StreamName"
    };
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    put_text(&mut out, call.stream.as_str());
    out.extend_from_slice(b",\"Records\":[");
    for (index, record) in call.records.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_entry(&mut out, record);
    }
    out.extend_from_slice(b"]}");
    out.into()
}

fn put_entry(out: &mut Vec<u8>, record: &EncodedRecord) {
    out.extend_from_slice(b"{\"Data\":\"");
    STANDARD.encode_append(&record.data, out);
    out.extend_from_slice(b"\",\"PartitionKey\":");
    put_text(out, &record.partition_key);
    if let Some(key) = record.explicit_hash_key {
        write!(out, ",\"ExplicitHashKey\":\"{key}\"").expect("memory takes what is written");
    }
    out.push(b'}');
}

/// Writes a JSON string.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("memory takes what is written");
    }
}

/// Reads the results, one per record.
pub(super) fn answer(body: &[u8]) -> Result<Entries, Malformed> {
    entries(Scanner::new(body), body.len())
}

impl<'a> EntryValues<'a> for Scanner<'a> {
    /// Reads a stored record if it is written exactly as the service does, byte for byte.
    fn stored_entry(&mut self, entries: &mut Vec<Entry>) -> Option<()> {
        let mut ahead = self.clone();
        ahead.pass(b"{\"SequenceNumber\":\"")?;
        let number = SequenceNumber::of_digits(ahead.until_quote()?)?;
        ahead.pass(b"\",\"ShardId\":\"")?;
        let shard_id = ahead.until_quote()?;
        ahead.pass(b"\"}")?;
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        let shard_id = str::from_utf8(shard_id)
            .ok()
            .filter(|id| id.as_bytes().iter().all(is_plain))?;
        *self = ahead;
        entries.push(Ok(StoredAt::new(ShardId::from(shard_id), number)));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{record::PartitionKey, service::EntryFailure};

    proptest! {
        #[test]
        fn the_body_is_the_json_that_the_api_asks_for(
            records in prop::collection::vec(
                (any::<Vec<u8>>(), "[\\PC\\\\\"\n\u{1}]{1,20}", any::<Option<u128>>()), 0..9),
            arn in any::<bool>(),
        ) {
            let stream = if arn { "arn:aws:kinesis:eu-west-1:0:stream/s" } else { "a \"name\"" };
            let encoded = records.iter().map(|(data, key, hash_key)| {
                let mut record = EncodedRecord::new(PartitionKey::stored(key.as_str()), data.clone().into());
                record.explicit_hash_key = hash_key.map(HashKey::new);
                record
            });
            let body = body(&PutRecords::new(stream.into(), encoded.collect()), Vec::with_capacity);
            let read: Value = serde_json::from_slice(&body).unwrap();
            let expected: Vec<_> = records.iter().map(|(data, key, hash_key)| {
                let mut record = json!({"Data": STANDARD.encode_to_string(data), "PartitionKey": key});
                if let Some(key) = hash_key {
                    record["ExplicitHashKey"] = key.to_string().into();
                }
                record
            }).collect();
            let name = if arn { "StreamARN" } else { "StreamName" };
            prop_assert_eq!(read, json!({name: stream, "Records": expected}));
        }
    }

    #[test]
    fn an_answer_is_read_whatever_stands_beside_what_is_looked_for() {
        let entries = answer(
            br#" {"EncryptionType":"NONE","Records":[
                {"SequenceNumber":"17","ShardId":"shard\u0049d-1","New":[{"a":[1e3,null,true]}],"ErrorCode":null},
                {"ErrorMessage":null,"ErrorCode":"InternalFailure","ErrorCode":null},
                {"ShardId":"s"}, {"SequenceNumber":"x","ShardId":"s"}],"FailedRecordCount":1} "#,
        )
        .unwrap();
        let stored = StoredAt::new("shardId-1".into(), 17_u128.into());
        assert_eq!(entries.told[0], Ok(stored));
        assert_eq!(
            entries.told[1],
            Err(EntryFailure::new("InternalFailure", ""))
        );
        assert_eq!((entries.told.len(), entries.untold), (2, 2));
        for nothing in [
            "{}",
            r#"{"Records":null}"#,
            r#"{"Records":[{}],"Records":null,"X":1}"#,
        ] {
            assert_eq!(answer(nothing.as_bytes()).unwrap().len(), 0, "{nothing}");
        }
        for broken in ["", "{", r#"{"Records":[{]}"#, r#"{"Records":[]}x"#, "[]"] {
            assert!(answer(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
