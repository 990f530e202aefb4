//! Faults strike the calls that they were asked for.

use futures_util::StreamExt;
use serde_json::json;

use super::*;
use crate::{
    local::{Fault, LocalError, operations::subscribe_to_shard},
    service::{ErrorClass, ServiceError},
};

async fn try_put(kinesis: &LocalKinesis) -> Result<(), ServiceError> {
    let call = PutRecords::new(stream(), vec![record("k", "x")]);
    kinesis.put_records(call).await.map(|_| ())
}

#[tokio::test(start_paused = true)]
async fn a_lost_response_leaves_the_record_stored() {
    let kinesis = start_with(1).await;
    kinesis
        .faults()
        .add(Fault::lose_response().on("PutRecords"))
        .unwrap();
    let error = try_put(&kinesis).await.unwrap_err();
    assert!(error.may_have_been_done && error.class == ErrorClass::Transient);
    try_put(&kinesis).await.unwrap();
    let shard = shards(&kinesis).await.remove(0).id;
    assert_eq!(texts(&kinesis, &shard).await, ["x", "x"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_does_nothing_and_the_next_one_works() {
    let kinesis = start_with(1).await;
    for (fault, class) in [
        (Fault::fail(), ErrorClass::Transient),
        (Fault::throttle(), ErrorClass::Throttled),
        (Fault::deny(), ErrorClass::AccessDenied),
        (
            Fault::answer("KMSDisabledException", "off"),
            ErrorClass::AccessDenied,
        ),
    ] {
        kinesis.faults().add(fault).unwrap();
        assert_eq!(try_put(&kinesis).await.unwrap_err().class, class);
    }
    let shard = shards(&kinesis).await.remove(0).id;
    assert!(texts(&kinesis, &shard).await.is_empty());
    try_put(&kinesis).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_takes_that_much_longer() {
    let kinesis = start_with(1).await;
    kinesis
        .faults()
        .add(Fault::delay(Duration::from_secs(3)))
        .unwrap();
    let before = now(&kinesis);
    try_put(&kinesis).await.unwrap();
    assert_eq!(
        now(&kinesis).duration_since(before).unwrap(),
        Duration::from_secs(3)
    );
}

#[tokio::test(start_paused = true)]
async fn an_iterator_expires_on_request() {
    let kinesis = start_with(1).await;
    kinesis.faults().add(Fault::expire_iterator()).unwrap();
    let shard = shards(&kinesis).await.remove(0).id;
    let call = GetShardIterator::new(stream(), shard, IteratorStart::Latest);
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    let read = GetRecords::new(stream(), iterator);
    let error = kinesis.get_records(read.clone()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::IteratorExpired);
    kinesis.get_records(read).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shards_fault_strikes_its_entries_and_its_reads_only() {
    let kinesis = start_with(2).await;
    kinesis
        .faults()
        .add(
            Fault::throttle()
                .shard("shardId-000000000001")
                .on("PutRecords"),
        )
        .unwrap();
    let mut records = vec![record("k", "low"), record("k", "high")];
    records[0].explicit_hash_key = Some(HashKey::MIN);
    records[1].explicit_hash_key = Some(HashKey::MAX);
    let answer = kinesis
        .put_records(PutRecords::new(stream(), records))
        .await
        .unwrap();
    assert!(answer.results[0].is_ok());
    let refused = answer.results[1].as_ref().unwrap_err();
    assert_eq!(refused.code, "ProvisionedThroughputExceededException");
    kinesis
        .faults()
        .add(Fault::fail().shard("shardId-000000000000").on("GetRecords"))
        .unwrap();
    assert!(
        texts(&kinesis, &"shardId-000000000001".into())
            .await
            .is_empty()
    );
    let call = GetShardIterator::new(
        stream(),
        "shardId-000000000000".into(),
        IteratorStart::TrimHorizon,
    );
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    let error = kinesis
        .get_records(GetRecords::new(stream(), iterator))
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_subscription_stays_silent() {
    let kinesis = start_with(1).await;
    let register = json!({"StreamARN": STREAM_ARN, "ConsumerName": "c"});
    let consumer = by_name(&kinesis.core, "RegisterStreamConsumer", register)
        .await
        .unwrap();
    let request = json!({"ConsumerARN": consumer["Consumer"]["ConsumerARN"], "ShardId": "0",
        "StartingPosition": {"Type": "TRIM_HORIZON"}});
    let request = serde_json::from_value(request).unwrap();
    let mut subscription = subscribe_to_shard::open(&kinesis.core, request)
        .await
        .unwrap();
    kinesis.faults().add(Fault::half_open().after(1)).unwrap();
    subscription.next().await.unwrap().unwrap();
    put(&kinesis, "k", "x").await;
    let silent = tokio::time::timeout(Duration::from_hours(1), subscription.next()).await;
    assert!(silent.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_run_with_chances_repeats_with_its_seed() {
    let mut runs = Vec::new();
    for seed in [3, 3, 4] {
        let kinesis = builder().seed(seed).start().await.unwrap();
        kinesis.core.ensure_stream(STREAM, 1).unwrap();
        let fault = Fault::throttle().each_entry().probability(0.5).always();
        kinesis.faults().add(fault).unwrap();
        let records = vec![record("k", "x"); 100];
        let answer = kinesis
            .put_records(PutRecords::new(stream(), records))
            .await
            .unwrap();
        runs.push(answer.results.iter().map(Result::is_ok).collect::<Vec<_>>());
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_can_never_strike_is_refused() {
    let kinesis = start().await;
    for fault in [
        Fault::fail().on("PutRecord5"),
        Fault::expire_iterator().on("PutRecords"),
        Fault::delay(Duration::from_secs(1)).each_entry(),
    ] {
        let refused = kinesis.faults().add(fault);
        assert!(
            matches!(refused, Err(LocalError::Settings { .. })),
            "{refused:?}"
        );
    }
    kinesis.faults().add(Fault::fail().always()).unwrap();
    kinesis.faults().clear();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    try_put(&kinesis).await.unwrap();
}
