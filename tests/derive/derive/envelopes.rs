//! Tests of envelopes around records.

use super::*;

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
