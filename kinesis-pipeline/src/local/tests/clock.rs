//! The clock of a Kinesis that is given none.

use super::*;
use crate::{KinesisStream, Record, clock::epoch_millis};

async fn first(stream: &KinesisStream<String>) -> Record<String> {
    let mut records = stream.iter_from_all().await.unwrap();
    records.next().await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn under_paused_time_records_expire_when_the_test_lets_a_day_pass() {
    let kinesis = LocalKinesis::start().await.unwrap();
    let stream = kinesis.stream::<String>(STREAM, 1).await.unwrap();
    stream.put(&"early".to_owned()).await.unwrap();
    let early = first(&stream).await;
    assert_eq!(early.data, "early");
    advance(Duration::from_hours(25)).await;
    stream.put(&"late".to_owned()).await.unwrap();
    let late = first(&stream).await;
    assert_eq!(late.data, "late");
    let passed = late.arrived_at.duration_since(early.arrived_at).unwrap();
    assert!(passed >= Duration::from_hours(25));
}

#[tokio::test(start_paused = true)]
async fn under_paused_time_a_handle_over_the_seam_goes_by_the_same_clock() {
    let kinesis = LocalKinesis::start().await.unwrap();
    kinesis.stream::<String>(STREAM, 1).await.unwrap();
    advance(Duration::from_hours(25)).await;
    let stream = KinesisStream::<String>::with_service(kinesis.service(), STREAM);
    let (here, there) = (stream.clock().now(), kinesis.core.clock.now());
    let apart = here.max(there).duration_since(here.min(there)).unwrap();
    assert!(apart < Duration::from_secs(1), "{apart:?}");
}

#[tokio::test]
async fn in_a_usual_runtime_records_arrive_by_the_systems_clock() {
    let millis = || epoch_millis(Clock::system().now());
    let kinesis = LocalKinesis::start().await.unwrap();
    let stream = kinesis.stream::<String>(STREAM, 1).await.unwrap();
    let before = millis();
    stream.put(&"now".to_owned()).await.unwrap();
    let arrived = epoch_millis(first(&stream).await.arrived_at);
    assert!((before..=millis()).contains(&arrived));
}

#[cfg(feature = "local-durable")]
#[tokio::test(start_paused = true)]
async fn under_paused_time_a_day_that_passed_has_passed_after_a_restart() {
    let name = format!("kinesis-pipeline-clock-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let start = || LocalKinesis::builder().data_dir(&directory).start();
    let kinesis = start().await.unwrap();
    let stream = kinesis.stream::<String>(STREAM, 1).await.unwrap();
    stream.put(&"early".to_owned()).await.unwrap();
    advance(Duration::from_hours(23)).await;
    stream.put(&"late".to_owned()).await.unwrap();
    drop((stream, kinesis));
    advance(Duration::from_hours(2)).await;
    let kinesis = start().await.unwrap();
    let stream = kinesis.stream::<String>(STREAM, 1).await.unwrap();
    let late = first(&stream).await;
    let age = kinesis.core.clock.now().duration_since(late.arrived_at);
    drop((stream, kinesis));
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(late.data, "late");
    assert!(age.unwrap() > Duration::from_mins(119));
}
