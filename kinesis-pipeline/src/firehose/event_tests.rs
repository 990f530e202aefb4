use std::error::Error as _;

use proptest::{collection::vec, option, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::record::Keyed;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests-data/firehose.json")).unwrap()
}

/// Returns an event with one record, which has this data and other fields.
fn event_with(mut record: Value) -> Vec<u8> {
    record["recordId"] = json!("1");
    serde_json::to_vec(&json!({ "invocationId": "i", "records": [record] })).unwrap()
}

#[test]
fn the_vectors_decode_to_what_they_say() {
    for vector in vectors()["decode"].as_array().unwrap() {
        let json = event_with(json!({
            "data": vector["data"],
            "approximateArrivalTimestamp": vector["arrival_ms"],
        }));
        let event = Event::parse(&json).unwrap();
        let record = &event.records[0];
        if let Some(text) = vector["text"].as_str() {
            assert_eq!(record.text().unwrap(), text);
        }
        if vector["json"].is_object() {
            assert_eq!(record.json::<Value>().unwrap(), vector["json"]);
            assert_eq!(record.decode::<Value>().unwrap(), vector["json"]);
        }
        if let Some(arrival) = vector["arrival"].as_str() {
            let arrival: jiff::Timestamp = arrival.parse().unwrap();
            assert_eq!(record.arrived_at(), Some(SystemTime::from(arrival)));
        }
    }
}

#[test]
fn a_record_of_a_kinesis_stream_keeps_its_key_and_position() {
    let json = event_with(json!({
        "data": "aGk=",
        "approximateArrivalTimestamp": 1_507_217_624_302_u64,
        "kinesisRecordMetadata": {
            "shardId": "shardId-000000000000",
            "partitionKey": "4d1ad2b9",
            "approximateArrivalTimestamp": 1_507_217_624_301_u64,
            "sequenceNumber": "49546986683135544286507457936321625675700192471156785154",
            "subsequenceNumber": "7",
        },
    }));
    let event = Event::parse(&json).unwrap();
    let keyed: Keyed<String> = event.records[0].decode().unwrap();
    assert_eq!((&*keyed.partition_key, &*keyed.record), ("4d1ad2b9", "hi"));
    let kinesis = event.records[0].kinesis().unwrap();
    assert_eq!(kinesis.shard_id(), Some("shardId-000000000000".into()));
    assert_eq!(kinesis.sub_sequence_number(), Some(7));
    assert!(kinesis.sequence_number().is_some());
    assert!(kinesis.arrived_at() < event.records[0].arrived_at());
}

#[test]
fn missing_and_odd_fields_are_no_errors_and_a_record_without_data_says_so() {
    let json = br#"{"records":[
        {"recordId":"1"},
        {"recordId":"2","data":null,"approximateArrivalTimestamp":"soon","later":[{"x":[]}]},
        {"recordId":"3","data":{"a":1},"kinesisRecordMetadata":{"shardId":7}},
        {"recordId":"4","d\u0061ta":"\u0061Gk\u003d","kinesisRecordMetadata":null},
        {"recordId":"5\n","kinesisRecordMetadata":[1],"approximateArrivalTimestamp":1e999}
    ],"region":7,"extra":{"deep":[[]]}}"#;
    let event = Event::parse(json).unwrap();
    for record in &event.records[..3] {
        assert!(matches!(record.bytes(), Err(FailureReason::NoData)));
        assert_eq!(record.arrived_at(), None);
    }
    assert_eq!(event.records[3].text().unwrap(), "hi");
    assert_eq!(event.records[4].record_id(), "5\n");
    assert_eq!(event.records[4].arrived_at(), None);
    assert_eq!(event.region, "");
}

#[test]
fn what_cannot_be_answered_is_an_error() {
    let long_ids = json!({ "records": [{ "recordId": "x".repeat(RESPONSE_BYTES_MAX) }] });
    let cases = [
        String::new(),
        "[]".into(),
        "{}".into(),
        r#"{"records":null}"#.into(),
        r#"{"records":[{"data":"aGk="}]}"#.into(),
        r#"{"records":[{"recordId":""}]}"#.into(),
        r#"{"records":[{"recordId":7}]}"#.into(),
        r#"{"records":[null]}"#.into(),
        format!(r#"{{"x":{}"#, "[".repeat(1 << 20)),
        long_ids.to_string(),
    ];
    for json in cases {
        let error = Event::parse(json.as_bytes()).unwrap_err();
        assert_eq!(error.bytes, json.len());
        assert!(error.source().is_some());
    }
}

fn any_record() -> impl Strategy<Value = InputRecord<'static>> {
    let metadata = (option::of(".{1,9}"), option::of(0_u64..9), any::<u32>()).prop_map(
        |(key, sub, millis)| KinesisMetadata {
            partition_key: key.map(Cow::Owned),
            subsequence_number: sub,
            approximate_arrival_timestamp: Some(millis.into()),
            ..KinesisMetadata::default()
        },
    );
    let parts = (
        ".{1,9}",
        vec(any::<u8>(), 0..99),
        any::<u64>(),
        option::of(metadata),
    );
    parts.prop_map(|(id, data, millis, metadata)| {
        let mut record = InputRecord::new(id, &data);
        record.approximate_arrival_timestamp = Some(millis);
        record.kinesis_record_metadata = metadata.map(Box::new);
        record
    })
}

proptest! {
    #[test]
    fn an_event_comes_back(records in vec(any_record(), 0..9), region: String) {
        let mut event = Event::of(records);
        event.region = region.into();
        let json = event.to_json();
        prop_assert_eq!(Event::parse(&json).unwrap(), event);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        records in vec(any_record(), 1..4),
        at: prop::sample::Index,
        byte: u8,
        noise: Vec<u8>,
    ) {
        let mut json = Event::of(records).to_json();
        let at = at.index(json.len());
        json[at] = byte;
        let _ = Event::parse(&json).map(|event| event.records.iter().map(InputRecord::text).count());
        let _ = Event::parse(&noise).map(|event| event.records.len());
    }
}
