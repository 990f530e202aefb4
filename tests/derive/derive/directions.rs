//! Tests of records that are only put or only read, and of generic ones.

use super::*;

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
