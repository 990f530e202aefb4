//! Tests of derived records: their keys, their bytes, their envelope, and decoding.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod codecs;
mod directions;
mod envelopes;
mod keys;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::Debug,
    marker::PhantomData,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use kinesis_pipeline::{
    Codec, DecodeError, EncodeError, EncodedRecord, HashKey, KeyError, KinesisRecord, PartitionKey,
    record::{EncodeContext, RecordError, TritonRecord},
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

fn context() -> EncodeContext {
    EncodeContext::at(SystemTime::UNIX_EPOCH + Duration::from_micros(1_433_969_276_172_019))
}

fn stored<R: KinesisRecord>(record: &R) -> EncodedRecord {
    EncodedRecord::of(record, None, &context()).unwrap()
}

fn text<R: KinesisRecord>(record: &R) -> String {
    String::from_utf8(stored(record).data.to_vec()).unwrap()
}

#[track_caller]
fn comes_back<R: KinesisRecord + PartialEq + Debug>(record: &R) {
    assert_eq!(&R::decode(&stored(record)).unwrap(), record);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    temperature: f64,
}

#[test]
fn the_default_is_json_in_the_order_of_the_fields() {
    let reading = Reading {
        device: "d7".into(),
        temperature: 21.5,
    };
    assert_eq!(text(&reading), r#"{"device":"d7","temperature":21.5}"#);
    assert_eq!(reading.partition_key().unwrap(), "d7");
    assert_eq!(reading.explicit_hash_key().unwrap(), None);
    comes_back(&reading);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[kinesis(event_type = "order", produced_by = "shop")]
enum Order {
    Placed {
        #[kinesis(partition_key)]
        id: u64,
        #[kinesis(explicit_hash_key)]
        point: HashKey,
    },
    Sent {
        #[kinesis(partition_key)]
        order: String,
    },
}

#[test]
fn every_variant_of_an_enum_has_its_own_key_field() {
    let placed = Order::Placed {
        id: 7,
        point: HashKey::new(1),
    };
    let sent = Order::Sent {
        order: "8".to_owned(),
    };
    assert_eq!(placed.partition_key().unwrap(), "7");
    assert_eq!(sent.partition_key().unwrap(), "8");
    assert_eq!(placed.explicit_hash_key(), Ok(Some(HashKey::new(1))));
    assert_eq!(sent.explicit_hash_key(), Ok(None));
    comes_back(&placed);
    comes_back(&sent);
}

#[test]
fn serde_decides_the_names_and_shape_of_fields() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    #[serde(rename_all = "camelCase")]
    struct Mapped {
        #[kinesis(partition_key)]
        device_id: u8,
        #[serde(rename = "t", default)]
        temperature: Option<f64>,
        #[serde(flatten)]
        more: BTreeMap<String, u8>,
    }
    let mapped = Mapped {
        device_id: 1,
        temperature: None,
        more: BTreeMap::from([("x".to_owned(), 1)]),
    };
    assert_eq!(text(&mapped), r#"{"deviceId":1,"t":null,"x":1}"#);
    comes_back(&mapped);
}

mod renamed {
    pub(crate) use kinesis_pipeline as pipeline;
}

#[test]
fn the_crate_may_have_another_path() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    #[kinesis(crate = renamed::pipeline)]
    struct Plain(#[kinesis(partition_key)] u8);
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    #[kinesis(crate = "crate::renamed::pipeline")]
    struct Quoted(#[kinesis(partition_key)] u8);
    comes_back(&Plain(1));
    comes_back(&Quoted(1));
}

#[test]
fn names_of_a_users_own_do_not_get_into_the_code() {
    #![expect(non_camel_case_types, dead_code, reason = "the names are the test")]
    type Result<T> = Option<T>;
    struct Ok;
    struct Some;
    fn context(_: &context_type) -> u8 {
        1
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    #[kinesis(partition_key = context)]
    struct context_type {
        error: u8,
    }
    assert_eq!(
        context_type { error: 1 }.partition_key().unwrap().as_str(),
        "1"
    );
}

proptest! {
    // Failures are not persisted: proptest would look for its file beside a `lib.rs`, which tests do not have.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn derived_records_read_back_what_they_wrote(device: String, temperature in -1e300..1e300, id: u64) {
        prop_assume!(!device.is_empty() && device.chars().count() <= 256);
        let reading = Reading { device, temperature };
        prop_assert_eq!(&Reading::decode(&stored(&reading)).unwrap(), &reading);
        let order = Order::Placed { id, point: HashKey::new(u128::from(id) << 64) };
        prop_assert_eq!(&Order::decode(&stored(&order)).unwrap(), &order);
    }
}
