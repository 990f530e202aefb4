use std::time::Duration;

use aws_sdk_kinesis::{
    Client,
    config::{Credentials, StalledStreamProtectionConfig},
};
use bytes::Bytes;
use ciborium::cbor;
use tokio::time::timeout;

use crate::{
    record::{EncodedRecord, PartitionKey},
    service::{
        ErrorClass, GetRecords, Kinesis, PutRecords, PutRecordsAnswer, RecordPage, ServiceError,
        ShardIterator, StreamId,
        aws::{
            AwsKinesis,
            stub::{Answer, Stub, config},
        },
    },
};

const STORED: &str =
    r#"{"FailedRecordCount":0,"Records":[{"ShardId":"shardId-1","SequenceNumber":"17"}]}"#;
const PAGE: &str = r#"{"Records":[],"NextShardIterator":"next","MillisBehindLatest":0}"#;

async fn put(aws: &AwsKinesis) -> Result<PutRecordsAnswer, ServiceError> {
    let key = PartitionKey::new("k").unwrap();
    let records = vec![EncodedRecord::new(key, Bytes::from_static(b"one"))];
    aws.put_records(PutRecords::new(StreamId::from("s"), records))
        .await
}

async fn get(aws: &AwsKinesis) -> Result<RecordPage, ServiceError> {
    let iterator = ShardIterator::from("it".to_owned());
    aws.get_records(GetRecords::new(StreamId::from("s"), iterator))
        .await
}

fn bytes(value: Result<ciborium::Value, ciborium::value::Error>) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&value.unwrap(), &mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn an_endpoint_that_refuses_cbor_gets_the_same_call_in_json_and_then_all() {
    for refusal in [
        (404, "<UnknownOperationException/>"),
        (415, ""),
        (400, r#"{"__type":"SerializationException"}"#),
        (
            404,
            r#"{"__type":"UnknownOperationException","message":"m"}"#,
        ),
    ] {
        let stub = Stub::start(Answer::ByForm([(200, STORED), refusal])).await;
        let aws = stub.aws();
        for _ in 0..2 {
            assert!(put(&aws).await.unwrap().results[0].is_ok());
        }
        assert_eq!(stub.forms().await, [true, false, false], "{refusal:?}");
        let stub = Stub::start(Answer::ByForm([(200, PAGE), refusal])).await;
        let aws = stub.aws();
        for _ in 0..2 {
            assert!(get(&aws).await.unwrap().next_iterator.is_some());
        }
        assert_eq!(stub.forms().await, [true, false, false], "{refusal:?}");
    }
}

#[tokio::test]
async fn a_call_that_may_have_been_done_is_not_made_again_but_the_next_one_is_in_json() {
    let stub = Stub::start(Answer::ByForm([(200, STORED), (500, "<html>")])).await;
    let aws = stub.aws();
    let error = put(&aws).await.unwrap_err();
    assert!(error.may_have_been_done);
    assert_eq!(stub.forms().await, [true]);
    put(&aws).await.unwrap();
    assert_eq!(stub.forms().await, [false]);
}

#[tokio::test]
async fn a_throttle_in_json_counts_as_it_is() {
    let throttle = r#"{"__type":"ProvisionedThroughputExceededException"}"#;
    let stub = Stub::answering(400, throttle).await;
    let aws = stub.aws();
    for _ in 0..2 {
        assert_eq!(put(&aws).await.unwrap_err().class, ErrorClass::Throttled);
    }
    assert_eq!(stub.forms().await, [true, true]);
}

#[tokio::test]
async fn a_refusal_of_what_is_asked_is_asked_once_more_and_reported() {
    let stub = Stub::answering(400, r#"{"__type":"ValidationException","message":"no"}"#).await;
    let error = put(&stub.aws()).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("ValidationException"));
    assert_eq!(stub.forms().await, [true, false]);
}

#[tokio::test]
async fn answers_in_cbor_are_read_and_their_errors_are_those_of_json() {
    let stored = cbor!({"Records" => [{"ShardId" => "shardId-1", "SequenceNumber" => "17"}]});
    let stub = Stub::start(Answer::Cbor(200, bytes(stored))).await;
    let answer = put(&stub.aws()).await.unwrap();
    assert_eq!(
        answer.results[0].as_ref().unwrap().shard_id.as_str(),
        "shardId-1"
    );
    for (status, code, class) in [
        (
            400,
            "ProvisionedThroughputExceededException",
            ErrorClass::Throttled,
        ),
        (
            400,
            "com.amazonaws.kinesis#ResourceNotFoundException",
            ErrorClass::NotFound,
        ),
        (400, "ExpiredIteratorException", ErrorClass::IteratorExpired),
        (400, "SerializationException", ErrorClass::Invalid),
        (400, "NewRefusal", ErrorClass::Invalid),
        (400, "ExpiredTokenException", ErrorClass::Transient),
        (500, "InternalFailure", ErrorClass::Transient),
        (503, "NewFault", ErrorClass::Transient),
    ] {
        let body = bytes(cbor!({"__type" => code, "message" => "the \"words\""}));
        let stub = Stub::start(Answer::Cbor(status, body)).await;
        let aws = stub.aws();
        for error in [put(&aws).await.unwrap_err(), get(&aws).await.unwrap_err()] {
            assert_eq!(error.class, class, "{code}");
            assert_eq!(error.code.as_deref(), code.rsplit('#').next());
            assert!(error.message.starts_with("the \"words\""), "{error}");
            assert_eq!(error.request_id.as_deref(), Some("request-1"));
            assert!(!error.may_have_been_done);
        }
        assert_eq!(stub.forms().await, [true, true], "{code}");
    }
}

#[tokio::test]
async fn an_answer_in_cbor_that_is_cut_off_may_have_stored_the_records() {
    let whole = bytes(cbor!({"Records" => [{"ShardId" => "s", "SequenceNumber" => "17"}]}));
    for cut in 0..whole.len() {
        let stub = Stub::start(Answer::Cbor(200, whole[..cut].to_vec())).await;
        let error = put(&stub.aws()).await.unwrap_err();
        assert!(error.may_have_been_done, "{cut}: {error:?}");
    }
}

#[tokio::test]
async fn a_page_in_cbor_that_is_cut_off_is_an_error() {
    let members = cbor!({"Records" => [{"SequenceNumber" => "17"}]});
    let whole = bytes(members);
    for cut in 0..whole.len() {
        let stub = Stub::start(Answer::Cbor(200, whole[..cut].to_vec())).await;
        let error = get(&stub.aws()).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient, "{cut}: {error:?}");
    }
}

/// Our reading of parts must not hide them from the SDK, which gives up a body that stands still.
#[tokio::test]
async fn a_page_that_comes_slowly_is_read_and_one_that_stands_still_is_an_error() {
    let data = ciborium::Value::Bytes(vec![7; 4_000]);
    let page = cbor!({"Records" => [
        {"SequenceNumber" => "17", "PartitionKey" => "k", "Data" => data},
    ]});
    let page = bytes(page);
    let grace = StalledStreamProtectionConfig::enabled().grace_period(Duration::from_millis(300));
    for (answer, is_read) in [
        (Answer::Slowly(page.clone()), true),
        (Answer::Half(page), false),
    ] {
        let stub = Stub::start(answer).await;
        let config = config(stub.endpoint())
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .stalled_stream_protection(grace.clone().build());
        let aws = AwsKinesis::new(&Client::from_conf(config.build()));
        let got = timeout(Duration::from_secs(30), get(&aws)).await.unwrap();
        let records = got.map(|page| page.records.len());
        assert_eq!(records.ok(), is_read.then_some(1));
    }
}

#[tokio::test]
async fn a_client_without_cbor_never_sends_it() {
    let stub = Stub::answering(200, STORED).await;
    put(&stub.aws().without_cbor()).await.unwrap();
    assert_eq!(stub.forms().await, [false]);
}

#[cfg(feature = "local-server")]
#[tokio::test]
async fn the_embedded_kinesis_takes_and_gives_records_in_cbor() {
    use std::time::Duration;

    use crate::{
        local::LocalKinesis,
        service::{Capacity, CreateStream, GetShardIterator, IteratorStart},
    };
    let local = LocalKinesis::builder().transition(Duration::ZERO);
    let local = local.start().await.unwrap();
    let server = local.serve("127.0.0.1:0").await.unwrap();
    let aws = || AwsKinesis::new(&server.kinesis_client());
    let knows_cbor = |aws: &AwsKinesis| !aws.dialect.failed_otherwise(404, None);
    let writer = aws();
    let create = CreateStream::new("s", Capacity::Provisioned(1));
    writer.create_stream(create).await.unwrap();
    let stored = put(&writer).await.unwrap().results.remove(0).unwrap();
    assert!(knows_cbor(&writer));
    let (reader, json) = (aws(), aws().without_cbor());
    let mut pages = Vec::new();
    for aws in [&reader, &json] {
        let shard = stored.shard_id.clone();
        let start = GetShardIterator::new("s".into(), shard, IteratorStart::TrimHorizon);
        let iterator = aws.get_shard_iterator(start).await.unwrap();
        let call = GetRecords::new("s".into(), iterator);
        pages.push(aws.get_records(call).await.unwrap().records);
    }
    assert!(knows_cbor(&reader) && !knows_cbor(&json));
    assert_eq!(pages[0], pages[1], "the same in both forms");
    assert_eq!(&pages[0][0].data[..], b"one");
    let iterator = ShardIterator::from("nonsense".to_owned());
    let failed = |aws: AwsKinesis| {
        let call = GetRecords::new("s".into(), iterator.clone());
        async move {
            let error = aws.get_records(call).await.unwrap_err();
            (error.class, error.code, error.message)
        }
    };
    assert_eq!(failed(reader).await, failed(json).await);
}
