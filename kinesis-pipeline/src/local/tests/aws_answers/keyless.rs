//! Streams that place records themselves, whose records need no key.

use super::*;

const DEMAND: &str = "demand";

async fn distributed() -> LocalKinesis {
    let kinesis = start_with(1).await;
    let request = json!({"StreamName": DEMAND, "RecordDistributionStrategy": "AUTO"});
    answer(&kinesis, "CreateStream", request).await;
    kinesis
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_key_is_read_without_one() {
    let kinesis = distributed().await;
    let put = json!({"StreamName": DEMAND, "Data": "eA=="});
    let stored = answer(&kinesis, "PutRecord", put).await;
    let records = json!([{"Data": "eQ=="}, {"Data": "eg==", "PartitionKey": "k"}]);
    let request = json!({"StreamName": DEMAND, "Records": records});
    let all = answer(&kinesis, "PutRecords", request).await;
    assert_eq!(all["FailedRecordCount"], 0);
    let mut keys = Vec::new();
    for shard in [&stored, &all["Records"][0], &all["Records"][1]] {
        let request = json!({"StreamName": DEMAND, "ShardId": shard["ShardId"],
            "ShardIteratorType": "TRIM_HORIZON"});
        let place = answer(&kinesis, "GetShardIterator", request).await;
        let page = json!({"ShardIterator": place["ShardIterator"]});
        let page = answer(&kinesis, "GetRecords", page).await;
        keys.push(page["Records"][0].get("PartitionKey").cloned());
    }
    assert_eq!(keys, [None, None, Some(json!("k"))]);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_wanted_where_it_decides_and_an_empty_one_is_none() {
    let kinesis = distributed().await;
    for (stream, record) in [
        (STREAM, json!({"Data": "eA=="})),
        ("missing", json!({"Data": "eA=="})),
        (DEMAND, json!({"Data": "eA==", "PartitionKey": ""})),
    ] {
        let mut one = record.clone();
        one["StreamName"] = json!(stream);
        let many = json!({"StreamName": stream, "Records": [record]});
        for (name, request) in [("PutRecord", one), ("PutRecords", many)] {
            let error = refusal(&kinesis, name, request).await;
            assert_eq!(error.code, "ValidationException", "{name} {stream}");
            assert!(error.message.contains("partitionKey"), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_provisioned_stream_does_not_place_records_itself() {
    let kinesis = start_with(1).await;
    let update = json!({"StreamARN": STREAM_ARN, "RecordDistributionStrategy": "AUTO"});
    let create = json!({"StreamName": "new", "ShardCount": 1,
        "RecordDistributionStrategy": "AUTO"});
    for (name, request) in [
        ("UpdateStreamRecordDistributionStrategy", update),
        ("CreateStream", create),
    ] {
        let error = refusal(&kinesis, name, request).await;
        assert_eq!(error.code, "InvalidArgumentException", "{name}");
    }
}
