//! The vectors of py-triton, in both forms, and the properties of both codecs.

use std::collections::BTreeMap;

use proptest::{collection, prelude::*};
use serde::Deserialize;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

use super::*;

const VECTORS: &str = include_str!("../../../tests-data/triton.json");

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn compat(value: &impl Serialize) -> Vec<u8> {
    let mut out = BytesMut::new();
    MsgPackCompat::write(value, &mut out).unwrap();
    out.to_vec()
}

fn modern(value: &impl Serialize) -> Vec<u8> {
    let mut out = BytesMut::new();
    MsgPack::write(value, &mut out).unwrap();
    out.to_vec()
}

/// The payloads as (value, bytes). The fields of one vector's map come in the order of their names, which is
/// the order of `serde_json`'s map.
fn payloads() -> Vec<(Value, Vec<u8>)> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let payloads = vectors["payloads"].as_array().unwrap().iter();
    payloads
        .map(|vector| match vector["repeat"].as_array() {
            Some(repeat) => {
                let count = usize::try_from(repeat[1].as_u64().unwrap()).unwrap();
                let text = repeat[0].as_str().unwrap().repeat(count);
                let mut data = hex(vector["hex_prefix"].as_str().unwrap());
                data.extend_from_slice(text.as_bytes());
                assert_eq!(vector["length"], data.len());
                (json!({ vector["key"].as_str().unwrap(): text }), data)
            }
            None => (
                vector["value"].clone(),
                hex(vector["hex"].as_str().unwrap()),
            ),
        })
        .collect()
}

#[test]
fn compat_writes_the_bytes_of_py_triton() {
    let payloads = payloads();
    assert_eq!(payloads.len(), 6);
    for (value, data) in payloads {
        assert_eq!(compat(&value), data, "{value}");
    }
}

#[test]
fn both_codecs_read_both_forms() {
    for (value, old) in payloads() {
        for data in [old, modern(&value)] {
            assert_eq!(MsgPack::read::<Value>(&data).unwrap(), value);
            assert_eq!(MsgPackCompat::read::<Value>(&data).unwrap(), value);
        }
    }
}

#[test]
fn the_bad_record_is_one_error_between_two_values() {
    #[derive(Deserialize)]
    struct Record {
        value: u8,
    }
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let records = vectors["bad_record"]["records_hex"].as_array().unwrap();
    let read: Vec<_> = records
        .iter()
        .map(|record| MsgPack::read::<Record>(&hex(record.as_str().unwrap())))
        .map(|record| record.ok().map(|record| record.value))
        .collect();
    assert_eq!(read, [Some(1), None, Some(2)]);
}

#[test]
fn structs_are_maps_by_name_and_texts_of_values_are_text() {
    #[derive(Serialize)]
    struct Hit {
        from: std::net::IpAddr,
    }
    let hit = Hit {
        from: [127, 0, 0, 1].into(),
    };
    assert_eq!(modern(&hit), b"\x81\xa4from\xa9127.0.0.1");
}

#[test]
fn the_old_form_has_neither_str8_nor_bin() {
    for (bytes, header) in [
        (31, &b"\xbf"[..]),
        (32, b"\xda\x00\x20"),
        (255, b"\xda\x00\xff"),
        (256, b"\xda\x01\x00"),
        (65_535, b"\xda\xff\xff"),
        (65_536, b"\xdb\x00\x01\x00\x00"),
    ] {
        let text = "a".repeat(bytes);
        let expected = [header, text.as_bytes()].concat();
        assert_eq!(compat(&text), expected, "text of {bytes}");
        assert_eq!(compat(&ByteBuf::from(text)), expected, "bytes of {bytes}");
    }
}

#[test]
fn what_stands_before_the_record_in_the_buffer_stays() {
    let mut out = BytesMut::from(&b"\xc4\xff"[..]);
    MsgPackCompat::write(&("a", ByteBuf::from("b"), 1), &mut out).unwrap();
    assert_eq!(&out[..], b"\xc4\xff\x93\xa1a\xa1b\x01");
}

#[test]
fn byte_fields_read_raw_and_bin_that_is_no_text() {
    for data in [
        &b"\xa2\xff\xfe"[..],
        b"\xc4\x02\xff\xfe",
        b"\xd9\x02\xff\xfe",
    ] {
        assert_eq!(MsgPack::read::<ByteBuf>(data).unwrap(), b"\xff\xfe");
    }
    assert!(MsgPack::read::<String>(b"\xa2\xff\xfe").is_err());
}

#[test]
fn deep_nesting_of_any_kind_is_an_error_and_not_a_stack_overflow() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    enum Chain {
        Link(Box<Chain>),
        End,
    }
    let chain = b"\x81\xa4Link".repeat(100_000);
    assert!(MsgPack::read::<Chain>(&chain).is_err());
    let lists = vec![0x91; 100_000];
    assert!(MsgPack::read::<rmpv::Value>(&lists).is_err());
    assert!(MsgPack::read::<serde::de::IgnoredAny>(&lists).is_err());
}

/// The types that both forms keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    text: String,
    data: ByteBuf,
    signed: i64,
    unsigned: u64,
    float: f64,
    flag: Option<bool>,
    list: Vec<String>,
    map: BTreeMap<String, Kind>,
    #[serde(flatten)]
    more: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    Newtype(ByteBuf),
    Tuple(i8, String),
    Struct { long: String },
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Unit),
        any::<Vec<u8>>().prop_map(|data| Kind::Newtype(data.into())),
        (any::<i8>(), ".*").prop_map(|(number, text)| Kind::Tuple(number, text)),
        ".{0,80}".prop_map(|long| Kind::Struct { long }),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let simple = (
        ".{0,80}",
        any::<Vec<u8>>(),
        any::<i64>(),
        any::<u64>(),
        -1e300..1e300,
    );
    let nested = (
        any::<Option<bool>>(),
        collection::vec(".*", 0..17),
        collection::btree_map(".{0,40}", kind(), 0..4),
        collection::btree_map("x[a-z]{0,40}", any::<i64>(), 0..4),
    );
    (simple, nested).prop_map(
        |((text, data, signed, unsigned, float), (flag, list, map, more))| Sample {
            text,
            data: data.into(),
            signed,
            unsigned,
            float,
            flag,
            list,
            map,
            more,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_forms_read_back_what_they_wrote(sample in sample()) {
        let old = compat(&sample);
        prop_assert_eq!(&MsgPackCompat::read::<Sample>(&old).unwrap(), &sample);
        let new = modern(&sample);
        prop_assert_eq!(&MsgPack::read::<Sample>(&new).unwrap(), &sample);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(data: Vec<u8>) {
        let _ = MsgPack::read::<Sample>(&data);
        let _ = MsgPack::read::<Kind>(&data);
        let _ = MsgPack::read::<rmpv::Value>(&data);
    }

    #[test]
    fn damaged_records_are_read_or_refused_without_a_panic(
        sample in sample(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut data = compat(&sample);
        let at = at.index(data.len());
        data[at] = byte;
        let _ = MsgPack::read::<Sample>(&data);
        prop_assert!(MsgPack::read::<Sample>(&data[..at]).is_err());
    }
}
