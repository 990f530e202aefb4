//! What a derived record does: its keys, its bytes, its envelope, and that it comes back.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

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

#[test]
fn a_key_error_names_the_field() {
    #[derive(Serialize, Deserialize, KinesisRecord)]
    struct Optional {
        #[kinesis(partition_key)]
        r#type: Option<String>,
    }
    let key = |text: Option<&str>| {
        Optional {
            r#type: text.map(str::to_owned),
        }
        .partition_key()
    };
    assert_eq!(key(Some("a")).unwrap(), "a");
    assert_eq!(key(None), Err(KeyError::missing().in_field("type")));
    assert_eq!(key(Some("")), Err(KeyError::empty().in_field("type")));
    let long = "x".repeat(257);
    assert_eq!(
        key(Some(&long)),
        Err(KeyError::too_long(257).in_field("type"))
    );
    let record = Optional { r#type: None };
    let error = EncodedRecord::of(&record, None, &context()).unwrap_err();
    assert!(matches!(error, RecordError::Key(_)));
}

#[test]
fn keys_of_every_kind_are_their_text() {
    macro_rules! key_of {
        ($type:ty, $value:expr) => {{
            #[derive(Serialize, Deserialize, KinesisRecord)]
            struct Keyed(#[kinesis(partition_key)] $type);
            Keyed($value).partition_key().unwrap().to_string()
        }};
    }
    assert_eq!(key_of!(i64, -1), "-1");
    assert_eq!(key_of!(u128, u128::MAX), u128::MAX.to_string());
    assert_eq!(key_of!(bool, true), "true");
    assert_eq!(key_of!(Uuid, Uuid::max()), Uuid::max().to_string());
    assert_eq!(key_of!(Box<str>, "b".into()), "b");
    assert_eq!(key_of!(Cow<'static, str>, "c".into()), "c");
    assert_eq!(key_of!(Option<Box<u8>>, Some(Box::new(1))), "1");
}

#[test]
fn without_a_key_every_put_draws_a_random_one() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    struct Tick;
    assert_ne!(Tick.partition_key().unwrap(), Tick.partition_key().unwrap());
    assert_eq!(text(&Tick), "null");
    comes_back(&Tick);
}

#[test]
fn explicit_hash_keys_are_integers_decimals_or_absent() {
    #[derive(Serialize, Deserialize, KinesisRecord)]
    struct Placed {
        #[kinesis(partition_key)]
        name: String,
        #[kinesis(explicit_hash_key)]
        point: Option<String>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    struct Typed(#[kinesis(explicit_hash_key)] HashKey);
    let placed = |point: Option<&str>| Placed {
        name: "a".into(),
        point: point.map(str::to_owned),
    };
    assert_eq!(placed(None).explicit_hash_key(), Ok(None));
    assert_eq!(
        placed(Some("7")).explicit_hash_key(),
        Ok(Some(HashKey::new(7)))
    );
    assert_eq!(
        placed(Some("x")).explicit_hash_key(),
        Err(KeyError::not_a_hash_key("x").in_field("point"))
    );
    let typed = Typed(HashKey::MAX);
    assert_eq!(stored(&typed).explicit_hash_key, Some(HashKey::MAX));
    comes_back(&typed);
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
fn the_envelope_comes_first_and_is_skipped_on_reading() {
    let order = Order::Sent {
        order: "8".to_owned(),
    };
    assert_eq!(
        text(&order),
        r#"{"_meta":{"eventType":"order","timestamp":"2015-06-10T20:47:56.172019Z","producedBy":"shop"},"kind":"sent","order":"8"}"#
    );
    comes_back(&order);
    let key = PartitionKey::new("8").unwrap();
    let plain = EncodedRecord::new(key, r#"{"kind":"sent","order":"8"}"#.into());
    assert_eq!(Order::decode(&plain).unwrap(), order);
}

#[test]
fn an_envelope_of_ones_own_sees_the_record_and_the_time() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    #[kinesis(codec = "msgpack", metadata = Note::meta)]
    struct Note {
        text: String,
    }
    #[derive(Serialize)]
    struct Meta {
        length: usize,
        seconds: u64,
    }
    impl Note {
        fn meta(&self, context: &EncodeContext) -> Meta {
            let since = context
                .now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap();
            Meta {
                length: self.text.len(),
                seconds: since.as_secs(),
            }
        }
    }
    let note = Note { text: "abc".into() };
    comes_back(&note);
    let stored = stored(&note);
    let untyped = TritonRecord::decode(&stored).unwrap();
    let fields: Vec<_> = untyped.fields().map(|(name, _)| name).collect();
    assert_eq!(fields, ["_meta", "text"]);
    let meta = untyped.get("_meta").unwrap();
    assert_eq!(meta["length"].as_u64(), Some(3));
    assert_eq!(meta["seconds"].as_u64(), Some(1_433_969_276));
}

#[test]
fn an_envelope_around_a_record_without_fields_is_an_error_at_the_put() {
    #[derive(Debug, Serialize, Deserialize, KinesisRecord)]
    #[kinesis(event_type = "list", produced_by = "test")]
    struct List(Vec<u8>);
    let error = EncodedRecord::of(&List(vec![1]), None, &context()).unwrap_err();
    assert!(matches!(error, RecordError::Encode(_)));
}

#[test]
fn a_computed_key_may_be_any_text_or_fail() {
    #[derive(Serialize, Deserialize, KinesisRecord)]
    #[kinesis(partition_key = pair)]
    struct Pair(u8, u8);
    fn pair(pair: &Pair) -> Result<String, KeyError> {
        match pair.0 {
            0 => Err(KeyError::missing()),
            _ => Ok(format!("{}/{}", pair.0, pair.1)),
        }
    }
    assert_eq!(Pair(1, 2).partition_key().unwrap(), "1/2");
    assert!(Pair(0, 2).partition_key().is_err());
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

#[test]
fn generic_records_need_what_their_fields_need() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    struct Tagged<K, T>
    where
        K: Clone,
    {
        #[kinesis(partition_key)]
        key: Option<K>,
        value: Vec<T>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    struct Lent<'a, const N: usize> {
        #[kinesis(partition_key)]
        key: Cow<'a, str>,
        #[serde(skip)]
        size: PhantomData<[(); N]>,
    }
    let tagged = Tagged {
        key: Some(7_u8),
        value: vec![Some("a".to_owned())],
    };
    assert_eq!(tagged.partition_key().unwrap(), "7");
    comes_back(&tagged);
    let lent = Lent::<0> {
        key: "k".into(),
        size: PhantomData,
    };
    assert_eq!(lent.partition_key().unwrap(), "k");
    comes_back(&lent);
}

#[test]
fn a_record_that_is_only_put_needs_no_way_back_and_may_borrow() {
    #[derive(Serialize, KinesisRecord)]
    #[kinesis(put_only, event_type = "visit.create", produced_by = "demo")]
    struct Visit<'a> {
        #[kinesis(partition_key)]
        page: &'a str,
        seconds: &'a [u8],
    }
    #[derive(Serialize, KinesisRecord)]
    #[kinesis(put_only, codec = "msgpack")]
    struct Lent<'a, T> {
        #[kinesis(partition_key)]
        key: &'a T,
    }
    #[derive(KinesisRecord)]
    #[kinesis(put_only, codec = "bytes")]
    struct Line<'a>(#[kinesis(partition_key)] &'a str);
    #[derive(KinesisRecord)]
    #[kinesis(put_only, codec = "bytes")]
    struct Blob<T>(T);
    let page = String::from("/index");
    let visit = Visit {
        page: &page,
        seconds: &[1, 2],
    };
    assert_eq!(visit.partition_key().unwrap(), "/index");
    assert!(text(&visit).ends_with(r#""producedBy":"demo"},"page":"/index","seconds":[1,2]}"#));
    assert_eq!(stored(&Lent { key: &7_u8 }).data, &b"\x81\xa3key\x07"[..]);
    assert_eq!(text(&Line(&page)), "/index");
    assert_eq!(text(&Blob(b"ab")), "ab");
    let error = Visit::decode(&stored(&visit)).err().unwrap();
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("only put")
    );
}

#[test]
fn a_record_that_is_only_read_needs_no_way_there() {
    #[derive(Debug, PartialEq, Deserialize, KinesisRecord)]
    #[kinesis(get_only)]
    struct Reading {
        device: String,
    }
    #[derive(Debug, PartialEq, Deserialize, KinesisRecord)]
    #[kinesis(get_only, codec = "msgpack")]
    struct Tagged<T> {
        value: T,
    }
    #[derive(Deserialize, KinesisRecord)]
    #[kinesis(get_only, event_type = "x", produced_by = "y")]
    #[serde(deny_unknown_fields)]
    struct Strict {
        device: String,
    }
    let read = |data: &'static [u8]| {
        EncodedRecord::new(PartitionKey::new("k").unwrap(), Bytes::from_static(data))
    };
    let reading = Reading::decode(&read(br#"{"device":"attic","more":1}"#)).unwrap();
    assert_eq!(reading.device, "attic");
    let tagged = Tagged::<u8>::decode(&read(b"\x81\xa5value\x07")).unwrap();
    assert_eq!(tagged, Tagged { value: 7 });
    let strict = Strict::decode(&read(br#"{"_meta":{},"device":"attic"}"#)).unwrap();
    assert_eq!(strict.device, "attic");
    let error = reading
        .encode(&context(), &mut BytesMut::new())
        .unwrap_err();
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("only read")
    );
}

#[test]
fn compat_is_the_old_form_of_msgpack() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    #[kinesis(codec = "msgpack", compat)]
    struct Visit {
        #[kinesis(partition_key)]
        user: Uuid,
        #[serde(with = "kinesis_pipeline::record::triton_time")]
        at: SystemTime,
        page: String,
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    }
    let visit = Visit {
        user: Uuid::nil(),
        at: context().now(),
        page: "p".repeat(32),
        body: vec![0xff],
    };
    comes_back(&visit);
    let data = stored(&visit).data;
    // raw16 for the 36 characters of the id, extension 5 for the time, fixraw for one byte.
    assert!(data.starts_with(b"\x84\xa4user\xda\x00\x2400000000-"));
    assert!(data.windows(3).any(|window| window == b"\xc7\x0c\x05"));
    assert!(data.ends_with(b"\xa4body\xa1\xff"));
}

#[test]
fn the_bytes_codec_writes_the_value_as_it_is() {
    #[derive(Debug, PartialEq, KinesisRecord)]
    #[kinesis(codec = "bytes")]
    struct Line(#[kinesis(partition_key)] String);
    #[derive(Debug, PartialEq, KinesisRecord)]
    #[kinesis(codec = "bytes")]
    struct Blob<T> {
        data: T,
    }
    let line = Line("a\nb".into());
    assert_eq!(text(&line), "a\nb");
    assert_eq!(line.partition_key().unwrap(), "a\nb");
    comes_back(&line);
    comes_back(&Blob {
        data: Bytes::from_static(b"\xff"),
    });
    let broken = EncodedRecord::new(PartitionKey::random(), Bytes::from_static(b"\xff"));
    assert!(Line::decode(&broken).is_err());
}

struct Upper;

impl<T: AsRef<str> + From<String>> Codec<T> for Upper {
    fn encode(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(value.as_ref().to_uppercase().as_bytes());
        Ok(())
    }

    fn decode(data: &Bytes) -> Result<T, DecodeError> {
        let text = String::from_utf8(data.to_vec())
            .map_err(|error| DecodeError::new("upper", data.len(), error))?;
        Ok(T::from(text))
    }
}

#[test]
fn a_codec_of_ones_own_needs_no_serde() {
    #[derive(Debug, PartialEq, KinesisRecord)]
    #[kinesis(codec = "Upper")]
    struct Shout(String);
    impl AsRef<str> for Shout {
        fn as_ref(&self) -> &str {
            &self.0
        }
    }
    impl From<String> for Shout {
        fn from(text: String) -> Self {
            Self(text)
        }
    }
    let shout = Shout("hey".into());
    assert_eq!(text(&shout), "HEY");
    assert_eq!(Shout::decode(&stored(&shout)).unwrap(), Shout("HEY".into()));
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
    // No file of failures: proptest looks for it beside a `lib.rs` that tests do not have.
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
