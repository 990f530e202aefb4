//! The tutorial's model over the vectors of data-migrator: `data/loader.json` says how they were made.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis, record::EncodeContext};
use kinesis_pipeline_load::{Input, LoadReport, Loader};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

const VECTORS: &str = include_str!("data/loader.json");

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(metadata = meta)]
struct TrialModel {
    #[kinesis(pos = 3, uuid)]
    uuid: Option<Uuid>,
    #[kinesis(pos = 8)]
    value: i64,
    #[kinesis(pos = 10)]
    created_by: String,
    #[kinesis(pos = 9)]
    created_at: String,
    #[kinesis(pos = 12)]
    updated_by: String,
    #[kinesis(pos = 11)]
    updated_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    event_type: &'static str,
    timestamp: &'static str,
    produced_by: &'static str,
}

/// The vectors have a fixed time.
fn meta(_: &TrialModel, _: &EncodeContext) -> Meta {
    Meta {
        event_type: "model.create",
        timestamp: "2020-01-01T00:00:00Z",
        produced_by: "data-migrator",
    }
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(drop_if_none = s, drop_non_unique)]
struct Unique {
    #[kinesis(pos = 0, unique)]
    id: String,
    #[kinesis(pos = 1)]
    s: Option<String>,
    #[kinesis(pos = 1, max_length = 5)]
    label: String,
}

/// The records that a trial would send.
async fn tried<M>(table: String) -> (Vec<String>, LoadReport)
where
    M: kinesis_pipeline::record::row::FromRow + 'static,
{
    let local = LocalKinesis::start().await.unwrap();
    let stream: KinesisStream<M> = local.stream("vectors", 2).await.unwrap();
    let input = Input::reader("vectors", std::io::Cursor::new(table));
    let loader = Loader::new(&stream).trial(true).samples(100);
    let report = loader.load(input).await.unwrap();
    let data = report.samples.iter().map(|sample| sample.data.clone());
    (data.collect(), report)
}

/// Takes the UUID out of a message: every run makes another.
fn without_uuid(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    match value["uuid"].as_str() {
        Some(uuid) => {
            assert_eq!(Uuid::parse_str(uuid).unwrap().get_version_num(), 4);
            text.replace(uuid, "<v4>")
        }
        None => text.to_owned(),
    }
}

#[tokio::test]
async fn the_tutorials_model_gives_the_messages_of_the_vectors() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    let header = (0..13)
        .map(|n| format!("c{n}"))
        .collect::<Vec<_>>()
        .join("\t");
    let rows = cases.iter().map(|case| case["row"].as_str().unwrap());
    let table = std::iter::once(header.as_str()).chain(rows);
    let table = table.collect::<Vec<_>>().join("\n");
    let (messages, report) = tried::<TrialModel>(table).await;
    assert_eq!(report.records, cases.len() as u64);
    for (message, case) in messages.iter().zip(cases) {
        let message = without_uuid(message);
        let value: Value = serde_json::from_str(&message).unwrap();
        assert_eq!(value, case["message"]);
    }
    // The order of the fields, `_meta` first, is part of the message.
    assert_eq!(
        without_uuid(&messages[0]),
        r#"{"_meta":{"eventType":"model.create","timestamp":"2020-01-01T00:00:00Z","producedBy":"data-migrator"},"uuid":"<v4>","value":42,"created_by":"bob","created_at":"2017-01-01","updated_by":"","updated_at":""}"#
    );
}

#[tokio::test]
async fn unique_and_none_drop_the_rows_of_the_vectors() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let unique = &vectors["unique"];
    let rows = unique["rows"].as_array().unwrap().iter().map(|row| {
        let cell = |at: usize| row[at].as_str().unwrap().replace('"', "\"\"");
        format!("{}\t\"{}\"", cell(0), cell(1))
    });
    let table = std::iter::once("id\tlabel".to_owned()).chain(rows);
    let (messages, report) = tried::<Unique>(table.collect::<Vec<_>>().join("\n")).await;
    assert_eq!(report.rows, unique["in"]);
    assert_eq!(report.records, unique["out"]);
    assert_eq!(report.dropped, unique["dropped"]);
    let last: Value = serde_json::from_str(messages.last().unwrap()).unwrap();
    assert_eq!(last["label"], unique["label_of_3"]);
}
