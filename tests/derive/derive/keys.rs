//! Tests of partition keys and explicit hash keys.

use super::*;

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
