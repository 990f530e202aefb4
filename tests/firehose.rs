//! Checks of Firehose transforms' responses with types and rules that others wrote.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use aws_lambda_events::event::{
    firehose::{KinesisFirehoseEvent, KinesisFirehoseResponse},
    kinesis::KinesisEvent as TheirKinesisEvent,
};
use kinesis_pipeline::{
    EncodedRecord, PartitionKey, Position,
    firehose::{
        Event, InputRecord, KinesisMetadata, RESPONSE_BYTES_MAX, Response, Transform, Verdict,
        lambda::{KinesisEvent, KinesisEventRecord},
    },
};
use serde_json::json;

/// Returns events of many kinds, with the responses to them.
fn pairs() -> Vec<(Vec<u8>, Vec<u8>)> {
    let record = |id: String, data: &[u8]| InputRecord::new(id, data);
    let numbered = |count: usize, data: &str| {
        let records = (0..count).map(|index| record(format!("{index:05}"), data.as_bytes()));
        Event::of(records.collect()).to_json()
    };
    let odd = br#"{"records":[{"recordId":"a\"\\\n","data":"?"},{"recordId":"b"},
        {"recordId":"c","data":7,"x":{"y":[]}},{"recordId":"d","data":"aGk"},
        {"recordId":"e","data":"aGk="},{"recordId":"e","data":"aGk="},{"recordId":"f","data":"MQ=="},
        {"recordId":"f","data":"Mg=="}]}"#;
    let events = [
        numbered(0, ""),
        numbered(1, "NY"),
        numbered(10_000, "keep a b"),
        numbered(10_000, &"x".repeat(400)),
        odd.to_vec(),
    ];
    events
        .into_iter()
        .map(|event| {
            let response = answer(&event).into_json();
            (event, response)
        })
        .collect()
}

/// Answers an event with every kind of verdict, in turn. Long records exceed the response's limit.
fn answer(event: &[u8]) -> Response {
    let event = Event::parse(event).expect("an event");
    let mut calls = 0;
    let transform =
        Transform::new().partition_keys(|line: &String| [("bytes", line.len().to_string())]);
    transform.run(event, |line: String| {
        calls += 1;
        match calls % 6 {
            0 => Verdict::Drop,
            1 => Verdict::Fail("one in six"),
            2 => Verdict::KeepAll(line.split(' ').map(str::to_owned).collect()),
            _ => Verdict::Keep(line.repeat(4)),
        }
    })
}

#[test]
fn the_types_of_aws_read_every_response() {
    for (event, response) in pairs() {
        let event = Event::parse(&event).expect("an event");
        let read: KinesisFirehoseResponse = serde_json::from_slice(&response).expect("a response");
        let mut ids: Vec<_> = event.records.iter().map(InputRecord::record_id).collect();
        let mut answered: Vec<_> = read
            .records
            .iter()
            .filter_map(|r| r.record_id.as_deref())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        answered.sort_unstable();
        assert_eq!(answered, ids);
        assert!(response.len() <= RESPONSE_BYTES_MAX);
    }
}

#[test]
fn the_types_of_aws_read_our_events_and_we_read_theirs() {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_495_072_949_453);
    let record = InputRecord::new("1", b"hi")
        .at(at)
        .from_kinesis(KinesisMetadata::under("key"));
    let json = serde_json::to_value(Event::of(vec![record])).expect("JSON");
    let mut json = json.as_object().expect("an object").clone();
    // AWS's type requires all of these fields.
    json["records"][0]["kinesisRecordMetadata"] = json!({
        "shardId": "shardId-000000000000", "partitionKey": "key", "subsequenceNumber": 7,
        "approximateArrivalTimestamp": 1_495_072_949_453_u64, "sequenceNumber": "49",
    });
    let theirs: KinesisFirehoseEvent =
        serde_json::from_value(json.into()).expect("an event of theirs");
    assert_eq!(&theirs.records[0].data[..], b"hi");
    let back = serde_json::to_vec(&theirs).expect("JSON");
    let ours = Event::parse(&back).expect("an event of ours");
    assert_eq!(ours.records[0].text().expect("text"), "hi");
    assert_eq!(ours.records[0].arrived_at(), Some(at));
    assert_eq!(
        ours.records[0]
            .kinesis()
            .and_then(KinesisMetadata::partition_key),
        Some("key")
    );

    let key = PartitionKey::new("key").expect("a key");
    let encoded = EncodedRecord::new(key, "hi".into());
    let position = Position::new("shardId-000000000000".into(), 7_u128.into());
    let event = KinesisEvent::of(vec![KinesisEventRecord::new(&position, at, &encoded)]);
    let mut json = serde_json::to_value(&event).expect("JSON");
    json["Records"][0]["kinesis"]["kinesisSchemaVersion"] = "1.0".into();
    let theirs: TheirKinesisEvent = serde_json::from_value(json).expect("an event of theirs");
    assert_eq!(&theirs.records[0].kinesis.data[..], b"hi");
    let back = serde_json::to_vec(&theirs).expect("JSON");
    let ours = KinesisEvent::parse(&back).expect("an event of ours");
    assert_eq!(ours.records[0].bytes().expect("bytes"), "hi");
}

/// The checker is plain Python without packages. A machine without Python skips this test, but `.ci/foreign` does not.
#[test]
fn the_published_rules_hold() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/foreign/firehose_rules.py");
    let python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut python = match python {
        Ok(python) => python,
        Err(error) => return println!("no python3 here: {error}"),
    };
    let mut stdin = python.stdin.take().expect("a pipe");
    for (event, response) in pairs() {
        let text = |json: &[u8]| String::from_utf8(json.to_vec()).expect("UTF-8");
        let line = json!({ "event": text(&event), "response": text(&response) });
        writeln!(stdin, "{line}").expect("it reads");
    }
    drop(stdin);
    let output = python.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("5 responses, 0 broken rules"), "{told}");
}
