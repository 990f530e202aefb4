use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::{clock::from_epoch_millis, wire::aggregate::Writer};

fn encoded(key: &str, data: &str) -> EncodedRecord {
    EncodedRecord::new(PartitionKey::new(key).unwrap(), data.to_owned().into())
}

fn record(sequence_number: u128, record: &EncodedRecord) -> KinesisEventRecord<'static> {
    let position = Position::new("shardId-000000000006".into(), sequence_number.into());
    KinesisEventRecord::new(&position, from_epoch_millis(1_545_084_650_987), record)
}

fn failed(answer: &BatchAnswer) -> Value {
    serde_json::from_slice(&answer.to_json()).unwrap()
}

#[test]
fn an_event_as_lambda_sends_it_is_read() {
    let json = json!({ "Records": [{
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "1",
            "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
            "approximateArrivalTimestamp": 1_545_084_650.987_f64,
        },
        "eventSource": "aws:kinesis",
        "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
        "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
    }]});
    let json = serde_json::to_vec(&json).unwrap();
    let event = KinesisEvent::parse(&json).unwrap();
    let mut seen = Vec::new();
    let answer = event.process(|record: Record<String>| {
        seen.push(record);
        Ok::<_, BoxError>(())
    });
    assert_eq!(answer.to_json(), br#"{"batchItemFailures":[]}"#);
    assert_eq!(seen[0].data, "Hello, this is a test.");
    assert_eq!(seen[0].partition_key, "1");
    assert_eq!(seen[0].position().shard_id.as_str(), "shardId-000000000006");
    assert_eq!(seen[0].arrived_at, from_epoch_millis(1_545_084_650_987));
}

#[test]
fn aggregates_are_split_and_the_whole_aggregate_comes_again() {
    let mut writer = Writer::new();
    for (key, data) in [("a", "1"), ("b", "2"), ("a", "3")] {
        writer.push(&encoded(key, data));
    }
    let aggregate = EncodedRecord::new(PartitionKey::new("x").unwrap(), writer.finish());
    let event = KinesisEvent::of(vec![
        record(7, &encoded("k", "0")),
        record(8, &aggregate),
        record(9, &encoded("k", "4")),
    ]);
    let mut seen = Vec::new();
    let mut run = |fails_at: &str| {
        seen.clear();
        let answer = event.process(|record: Record<String>| {
            if record.data == fails_at {
                return Err("failed");
            }
            let sub = record.position().sub_sequence_number;
            seen.push((record.partition_key.to_string(), record.data, sub));
            Ok(())
        });
        (failed(&answer), seen.clone())
    };
    let (answer, seen) = run("never");
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    let expected = [
        ("k", "0", 0),
        ("a", "1", 0),
        ("b", "2", 1),
        ("a", "3", 2),
        ("k", "4", 0),
    ];
    assert_eq!(
        seen,
        expected.map(|(key, data, sub)| (key.into(), data.into(), sub))
    );
    let (answer, seen) = run("3");
    assert_eq!(
        answer,
        json!({ "batchItemFailures": [{ "itemIdentifier": "8" }] })
    );
    assert_eq!(seen.len(), 3, "nothing after the one that failed");
}

#[test]
fn a_panic_and_what_cannot_be_decoded_fail_the_batch_from_there() {
    let event = KinesisEvent::of(vec![
        record(7, &encoded("k", "1")),
        record(8, &encoded("k", "x")),
    ]);
    let answer = event.process(|_: Record<Value>| Ok::<_, BoxError>(()));
    assert!(matches!(
        answer.failure(),
        Some(("8", FailureReason::Decode { .. }))
    ));
    let answer = event.process(|_: Record<String>| -> Result<(), BoxError> { panic!("no") });
    assert!(matches!(
        answer.failure(),
        Some(("7", FailureReason::Panicked { .. }))
    ));
}

#[test]
fn a_record_without_a_sequence_number_is_an_error() {
    for json in [
        "{}",
        r#"{"Records":[{"kinesis":{"data":"aGk="}}]}"#,
        r#"{"Records":[{}]}"#,
        "[",
    ] {
        assert!(KinesisEvent::parse(json.as_bytes()).is_err(), "{json}");
    }
}

proptest! {
    #[test]
    fn an_event_comes_back(records in vec((any::<u128>(), ".{1,9}", ".*"), 0..9)) {
        let records = records.iter().map(|(number, key, data)| record(*number, &encoded(key, data)));
        let event = KinesisEvent::of(records.collect());
        let json = event.to_json();
        prop_assert_eq!(KinesisEvent::parse(&json).unwrap(), event);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(noise: Vec<u8>, number: u8, data: Vec<u8>) {
        let _ = KinesisEvent::parse(&noise);
        let raw = EncodedRecord::new(PartitionKey::new("k").unwrap(), data.into());
        let event = KinesisEvent::of(vec![record(number.into(), &raw)]);
        let _ = event.process(|_: Record<Value>| Ok::<_, BoxError>(()));
    }
}
