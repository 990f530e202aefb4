//! Tests of both CBOR protocols: the newer one through the official SDK, and the Java SDKs' one by hand.

use aws_sdk_kinesis::{
    Client,
    primitives::Blob,
    types::{PutRecordsRequestEntry, ShardIteratorType},
};
use aws_smithy_cbor::protocol::RpcV2CborProtocol;
use bytes::Bytes;
use ciborium::{Value, cbor};
use kinesis_pipeline::{
    EncodedRecord, KinesisStream, PartitionKey, StartAt, Until, local::LocalServer,
};

use crate::{
    sdk::{STREAM, iterator, page, put, served, shards, texts},
    wire::{SIGNED, send},
};

async fn served_cbor() -> (LocalServer, Client) {
    let (server, _) = served(1).await;
    let config = server.kinesis_config().protocol(RpcV2CborProtocol::new());
    let client = Client::from_conf(config.build());
    (server, client)
}

#[tokio::test]
async fn the_sdk_on_rpc_v2_puts_and_gets_what_json_stored() {
    let (server, cbor) = served_cbor().await;
    let json = server.kinesis_client();
    put(&json, "key", "one").await;
    let entry = PutRecordsRequestEntry::builder().partition_key("key");
    let entry = entry.data(Blob::new("two")).build().unwrap();
    let call = cbor.put_records().stream_name(STREAM).records(entry);
    assert_eq!(call.send().await.unwrap().failed_record_count, Some(0));
    let shard = shards(&cbor).await.remove(0).shard_id;
    for client in [&json, &cbor] {
        let place = iterator(client, &shard, ShardIteratorType::TrimHorizon, None).await;
        assert_eq!(texts(&page(client, place).await), ["one", "two"]);
    }
}

#[tokio::test]
async fn the_library_puts_and_reads_through_a_client_on_rpc_v2() {
    let (_server, cbor) = served_cbor().await;
    let stream = KinesisStream::<EncodedRecord>::with_client(cbor, STREAM);
    let key = PartitionKey::new("é").unwrap();
    let record = EncodedRecord::new(key, Bytes::from_static(b"one"));
    let receipt = stream.put(&record).await.unwrap();
    let reader = stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    let read = records.next().await.unwrap().unwrap();
    assert_eq!(*read.position(), receipt.position());
    assert_eq!(read.data, record);
    assert!(records.next().await.is_none());
}

#[tokio::test]
async fn times_keep_their_milliseconds_through_rpc_v2() {
    let (server, cbor) = served_cbor().await;
    let (shard, _) = put(&cbor, "key", "one").await;
    let mut times = Vec::new();
    for client in [&server.kinesis_client(), &cbor] {
        let place = iterator(client, &shard, ShardIteratorType::TrimHorizon, None).await;
        times.push(
            page(client, place).await.records[0]
                .approximate_arrival_timestamp
                .unwrap(),
        );
    }
    assert_eq!(times[0].to_millis().unwrap(), times[1].to_millis().unwrap());
    let call = cbor
        .get_shard_iterator()
        .stream_name(STREAM)
        .shard_id(&shard);
    let call = call
        .shard_iterator_type(ShardIteratorType::AtTimestamp)
        .timestamp(times[0]);
    let place = call.send().await.unwrap().shard_iterator.unwrap();
    assert_eq!(texts(&page(&cbor, place).await), ["one"]);
}

#[tokio::test]
async fn errors_are_typed_through_rpc_v2_too() {
    let (_server, cbor) = served_cbor().await;
    let unknown = cbor
        .put_record()
        .stream_name("nothing")
        .partition_key("k")
        .data(Blob::new("x"));
    let error = unknown.send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
}

#[tokio::test]
async fn the_java_sdks_put_and_get_bytes_and_milliseconds() {
    let (server, _) = served(1).await;
    let call = async |operation: &str, members: Value| {
        let mut body = Vec::new();
        ciborium::into_writer(&members, &mut body).unwrap();
        let headers = format!(
            "{SIGNED}Content-Type: application/x-amz-cbor-1.1\r\n\
             X-Amz-Target: Kinesis_20131202.{operation}\r\n"
        );
        let answer = send(&server, "/", &headers, &body).await;
        assert_eq!(answer.status, 200, "{operation}");
        ciborium::from_reader::<Value, _>(&answer.body[..]).unwrap()
    };
    let mut record = cbor!({"StreamName" => STREAM, "PartitionKey" => "key"}).unwrap();
    let data = (Value::from("Data"), Value::Bytes(vec![0, 255]));
    record.as_map_mut().unwrap().push(data.clone());
    let stored = call("PutRecord", record).await;
    let start = cbor!({
        "StreamName" => STREAM,
        "ShardId" => member(&stored, "ShardId"),
        "ShardIteratorType" => "TRIM_HORIZON",
    });
    let place = call("GetShardIterator", start.unwrap()).await;
    let page = call("GetRecords", place).await;
    let record = &member(&page, "Records").as_array().unwrap()[0];
    assert_eq!(*member(record, "Data"), data.1);
    let Value::Tag(1, millis) = member(record, "ApproximateArrivalTimestamp") else {
        panic!("not tagged as a time: {record:?}");
    };
    let millis = i128::from(millis.as_integer().expect("whole milliseconds"));
    assert!(
        millis > 1_700_000_000_000,
        "{millis} counts no milliseconds"
    );
}

fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    let mut members = value.as_map().unwrap().iter();
    &members
        .find(|(key, _)| key.as_text() == Some(name))
        .unwrap()
        .1
}
