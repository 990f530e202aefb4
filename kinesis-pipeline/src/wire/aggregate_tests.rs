use md5::{Digest as _, Md5};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::{
    record::EncodedRecord,
    wire::{protobuf::put_bytes, user_record},
};

/// What another implementation wrote.
const VECTORS: &str = include_str!("kpl.json");

fn vectors() -> Json {
    serde_json::from_str(VECTORS).unwrap()
}

fn bytes(hex: &Json) -> Bytes {
    let hex = hex.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn user_record(json: &Json) -> EncodedRecord {
    let key = PartitionKey::new(json["partition_key"].as_str().unwrap()).unwrap();
    let mut record = EncodedRecord::new(key, bytes(&json["data_hex"]));
    let hash_key = json["explicit_hash_key"].as_str();
    record.explicit_hash_key = hash_key.map(|text| text.parse().unwrap());
    record
}

fn written(records: &[EncodedRecord]) -> Bytes {
    let mut writer = Writer::new();
    for record in records {
        writer.push(record);
    }
    writer.finish()
}

/// Returns the records, and checks that views show the same.
fn read(data: &Bytes) -> Option<Vec<EncodedRecord>> {
    let aggregate = split(data)?;
    let records: Vec<_> = aggregate.iter().collect();
    let views = aggregate.views();
    assert_eq!(
        (views.len(), views.clone().count()),
        (records.len(), records.len())
    );
    for (view, record) in views.zip(&records) {
        assert_eq!(view.data(), record.data);
        assert_eq!(view.to_encoded(), *record);
    }
    let last = records.len() - 1;
    assert_eq!(aggregate.iter().nth(last).as_ref(), records.last());
    Some(records)
}

#[test]
fn a_long_key_that_many_records_have_is_in_memory_once_beside_however_many_short_ones() {
    let mut body = Vec::new();
    let long = "x".repeat(500);
    put_bytes(&mut body, PARTITION_KEY_TABLE, long.as_bytes());
    for _ in 0..1_000 {
        put_bytes(&mut body, PARTITION_KEY_TABLE, b"");
    }
    for _ in 0..2 {
        user_record::put(&mut body, 0, None, b"x");
    }
    let keys: Vec<_> = read(&framed(&body))
        .unwrap()
        .into_iter()
        .map(|record| record.partition_key)
        .collect();
    assert_eq!(keys[0].as_str(), long);
    assert_eq!(keys[0].as_str().as_ptr(), keys[1].as_str().as_ptr());
}

#[test]
fn the_key_tables_take_at_most_four_times_the_bytes_of_the_aggregate_or_six_if_keys_are_not_utf_8()
{
    let keys = [
        &b""[..],
        b"k",
        &[b'k'; 23],
        &[b'k'; 24],
        &[b'k'; 500],
        &[0xff; 24],
        &[0xff; 500],
    ];
    let mut most = [0, 0];
    for (key, hash_key) in keys
        .iter()
        .flat_map(|key| [(key, &b"1"[..]), (key, &[b'1'; 39])])
    {
        for (count, empty, hash_keys) in [
            (1_000, 0, 0),
            (1_000, 100, 0),
            (1_000, 100, 500),
            (100, 1_000, 1_000),
        ] {
            let mut body = Vec::new();
            let entries = [
                (PARTITION_KEY_TABLE, *key, count),
                (PARTITION_KEY_TABLE, b"", empty),
                (EXPLICIT_HASH_KEY_TABLE, hash_key, hash_keys),
            ];
            for (table, text, count) in entries {
                for _ in 0..count {
                    put_bytes(&mut body, table, text);
                }
            }
            user_record::put(&mut body, 0, None, b"");
            let aggregate = split(&framed(&body)).unwrap();
            let text = |key: &PartitionKey| {
                if key.len() > 23 {
                    key.len() + 2 * size_of::<usize>()
                } else {
                    0
                }
            };
            let bytes = aggregate.partition_keys.bytes(text) + aggregate.hash_keys.bytes(|_| 0);
            let is_other = usize::from(std::str::from_utf8(key).is_err());
            most[is_other] = most[is_other].max(100 * bytes / body.len());
        }
    }
    assert!(most[0] <= 400 && most[1] <= 600, "per cent: {most:?}");
    assert!(
        most[0] > 250 && most[1] > 400,
        "the bounds are near: {most:?}"
    );
}

#[test]
fn a_view_is_shown_as_its_record_alone() {
    let record = |data: &'static [u8]| EncodedRecord::new(PartitionKey::known("k"), data.into());
    let aggregate = split(&written(&[record(b"first"), record(b"\xffx")])).unwrap();
    let shown: Vec<_> = aggregate.views().map(|view| format!("{view:?}")).collect();
    assert_eq!(
        shown[1],
        r#"UserRecordView { data: b"\xffx", partition_key: "k", explicit_hash_key: None }"#
    );
}

#[test]
fn what_another_implementation_wrote_is_read() {
    for vector in vectors()["aggregated"].as_array().unwrap() {
        let records = read(&bytes(&vector["hex"])).expect("an aggregate");
        let expected = vector["user_records"].as_array().unwrap();
        assert_eq!(records.len(), expected.len());
        for (record, json) in records.iter().zip(expected) {
            let expected = user_record(json);
            // Where none was given, the vector's explicit hash key is that of the partition key.
            assert_eq!(record.hash_key(), expected.hash_key(), "{}", vector["name"]);
            assert_eq!(record.partition_key, expected.partition_key);
            assert_eq!(record.data, expected.data);
        }
    }
}

#[test]
fn what_is_no_aggregate_is_one_raw_record() {
    for vector in vectors()["not_aggregated"].as_array().unwrap() {
        assert!(
            split(&bytes(&vector["hex"])).is_none(),
            "{}",
            vector["note"]
        );
    }
}

/// A frame with a right checksum around any body.
fn framed(body: &[u8]) -> Bytes {
    [&MAGIC[..], body, &Md5::digest(body)].concat().into()
}

#[test]
fn a_body_that_breaks_the_format_is_one_raw_record() {
    let cases: [(&str, &[u8]); 8] = [
        ("no records", b"\x0a\x01k"),
        (
            "an index out of the table",
            b"\x0a\x01k\x1a\x05\x08\x01\x1a\x01x",
        ),
        ("no data", b"\x0a\x01k\x1a\x02\x08\x00"),
        ("no key", b"\x0a\x01k\x1a\x03\x1a\x01x"),
        ("a length past the end", b"\x0a\x7fk"),
        (
            "an explicit hash key's index out of the table",
            b"\x0a\x01k\x12\x011\x1a\x07\x08\x00\x10\x01\x1a\x01x",
        ),
        ("a record that is a number", b"\x0a\x01k\x18\x01"),
        ("a group", b"\x0a\x01k\x1b\x1c"),
    ];
    for (name, body) in cases {
        assert!(split(&framed(body)).is_none(), "{name}");
    }
    let index_max = b"\x0a\x01k\x1a\x0e\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x01x";
    assert!(split(&framed(index_max)).is_none());
}

#[test]
fn tags_and_unknown_fields_are_passed_over_and_tables_may_come_last() {
    let body = b"\x1a\x0a\x08\x00\x1a\x01x\x22\x03\x0a\x01t\x20\x07\x0a\x01k";
    let records = read(&framed(body)).unwrap();
    assert_eq!(records[0].data, "x");
    assert_eq!(records[0].partition_key, "k");
}

#[test]
fn a_body_that_ends_too_early_is_read_without_a_panic() {
    let mut record = EncodedRecord::new(PartitionKey::new("key").unwrap(), vec![7; 300].into());
    record.explicit_hash_key = Some(HashKey::MAX);
    let data = written(&[record.clone(), record]);
    let body = &data[MAGIC.len()..data.len() - MD5_BYTES];
    let whole = (0..=body.len()).filter(|&end| split(&framed(&body[..end])).is_some());
    assert_eq!(whole.count(), 2);
}

#[test]
fn a_key_that_is_not_utf_8_is_replaced_as_java_does_and_its_records_are_split() {
    let body = b"\x0a\x03a\xffb\x0a\x03\xed\xa0\x80\x12\x02\xff1\
        \x1a\x05\x08\x00\x1a\x01x\x1a\x07\x08\x01\x10\x00\x1a\x01y";
    let records = read(&framed(body)).unwrap();
    assert_eq!(records[0].partition_key, "a\u{fffd}b");
    assert_eq!(records[1].partition_key, "\u{fffd}");
    assert_eq!(
        records[1].explicit_hash_key, None,
        "an explicit hash key that is no number"
    );
    assert_eq!(
        (&records[0].data[..], &records[1].data[..]),
        (&b"x"[..], &b"y"[..])
    );
}

#[test]
fn keys_too_many_and_too_short_to_be_made_at_once_are_read_the_same() {
    let keys = ["a", "", "b\u{fffd}", "日"];
    let mut body = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let key = key.replace('\u{fffd}', "\u{0}").into_bytes();
        let key = key
            .into_iter()
            .map(|byte| if byte == 0 { 0xff } else { byte });
        put_bytes(&mut body, PARTITION_KEY_TABLE, &key.collect::<Vec<_>>());
        put_bytes(
            &mut body,
            EXPLICIT_HASH_KEY_TABLE,
            index.to_string().as_bytes(),
        );
    }
    for index in [0, 1, 2, 3, 2] {
        user_record::put(&mut body, index, Some(index), b"");
    }
    let alone = framed(&body);
    // A large field of a later version leaves the tables small beside the aggregate.
    put_bytes(&mut body, 15, &[0; 1_000]);
    let records = read(&alone).unwrap();
    assert_eq!(read(&framed(&body)).unwrap(), records);
    let read_keys: Vec<_> = records
        .iter()
        .map(|record| record.partition_key.as_str())
        .collect();
    assert_eq!(read_keys, ["a", "", keys[2], "日", keys[2]]);
    let hash_keys = [0, 1, 2, 3, 2].map(|key| Some(HashKey::new(key)));
    assert!(
        records
            .iter()
            .map(|record| record.explicit_hash_key)
            .eq(hash_keys)
    );
    let everything = HashKeyRange::ALL;
    assert_eq!(split(&alone).unwrap().keys_outside(everything), [false; 4]);
}

#[test]
fn the_count_of_records_left_goes_down_to_none() {
    let record = EncodedRecord::new(PartitionKey::new("k").unwrap(), Bytes::new());
    let aggregate = split(&written(&[record.clone(), record])).unwrap();
    let mut records = aggregate.iter();
    assert_eq!(records.len(), 2);
    records.next();
    assert_eq!(records.clone().count(), records.len());
    records.next();
    assert_eq!((records.len(), records.next()), (0, None));
}

#[test]
fn data_is_not_copied() {
    let data = written(&[EncodedRecord::new(
        PartitionKey::new("k").unwrap(),
        "abc".into(),
    )]);
    let record = read(&data).unwrap().remove(0);
    assert!(data.as_ptr_range().contains(&record.data.as_ptr()));
}

#[test]
fn a_key_is_written_once() {
    let key = "k".repeat(200);
    let record = EncodedRecord::new(PartitionKey::new(key).unwrap(), Bytes::new());
    let other = EncodedRecord::new(PartitionKey::new("o").unwrap(), Bytes::new());
    let data = written(&[record.clone(), other, record.clone(), record]);
    assert!(data.len() < 260, "{}", data.len());
}

fn any_record() -> impl Strategy<Value = EncodedRecord> {
    let key = "[a-c]{1,3}|\\PC{1,40}";
    let data = prop::collection::vec(any::<u8>(), 0..300);
    (key, prop::option::of(any::<u128>()), data).prop_map(|(key, hash_key, data)| {
        let mut record = EncodedRecord::new(PartitionKey::stored(key), data.into());
        record.explicit_hash_key = hash_key.map(HashKey::new);
        record
    })
}

proptest! {
    #[test]
    fn records_come_back_and_fit_the_bound(records in prop::collection::vec(any_record(), 1..60)) {
        let data = written(&records);
        let most: usize = records.iter().map(record_bytes_max).sum();
        prop_assert!(data.len() <= empty_bytes() + most);
        let aggregate = split(&data).unwrap();
        prop_assert_eq!(aggregate.len(), records.len());
        prop_assert_eq!(aggregate.iter().collect::<Vec<_>>(), records);
    }

    #[test]
    fn any_body_is_read_without_a_panic(body: Vec<u8>) {
        if let Some(aggregate) = split(&framed(&body)) {
            prop_assert_eq!(aggregate.iter().count(), aggregate.len());
        }
    }

    #[test]
    fn a_changed_byte_makes_it_raw(
        records in prop::collection::vec(any_record(), 1..5),
        at: prop::sample::Index,
        bit in 0_u8..8,
    ) {
        let mut data = written(&records).to_vec();
        let at = at.index(data.len());
        data[at] ^= 1 << bit;
        prop_assert!(split(&Bytes::from(data)).is_none());
    }

    #[test]
    fn a_mutated_body_with_a_right_checksum_is_read_without_a_panic(
        records in prop::collection::vec(any_record(), 1..5),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let data = written(&records);
        let mut body = data[MAGIC.len()..data.len() - MD5_BYTES].to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        if let Some(aggregate) = split(&framed(&body)) {
            prop_assert_eq!(aggregate.iter().count(), aggregate.len());
        }
    }
}
