//! The consumers of a stream: their limits and their removal.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stream_with_as_many_consumers_as_it_takes_is_told_at_once() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let arn = summary(&stream).await.arn;
    for number in 0..20 {
        let call = RegisterStreamConsumer::new(&arn, format!("other-{number}"));
        stream
            .service()
            .register_stream_consumer(call)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let before = stream.target.clock.instant();
    let error = reader(&stream).open().await.unwrap_err();
    assert!(stream.target.clock.instant() - before < Duration::from_secs(1));
    assert_eq!(
        error.service_error().unwrap().class,
        ErrorClass::LimitExceeded
    );
    assert!(
        error.to_string().contains("as many as the service allows"),
        "{error}"
    );
}

async fn summary(stream: &KinesisStream<Bytes>) -> crate::service::StreamSummary {
    let call = DescribeStreamSummary::new(stream.id().clone());
    stream
        .service()
        .describe_stream_summary(call)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_consumers_in_creation_is_waited_for() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let arn = summary(&stream).await.arn;
    for number in 0..5 {
        let call = RegisterStreamConsumer::new(&arn, format!("other-{number}"));
        stream
            .service()
            .register_stream_consumer(call)
            .await
            .unwrap();
    }
    drop(reader(&stream).open().await.unwrap());
    assert_eq!(summary(&stream).await.consumer_count, 6);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_removed_ends_its_reader_and_can_come_again() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let mut records = reader(&stream).open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    stream.deregister_consumer(NAME).await.unwrap();
    let error = records.next().await.unwrap().unwrap_err();
    assert!(matches!(error, GetError::Consumer { .. }), "{error:?}");
    assert!(records.next().await.is_none());
    stream.deregister_consumer(NAME).await.unwrap();
    assert_eq!(summary(&stream).await.consumer_count, 0);
    drop(reader(&stream).open().await.unwrap());
    stream.deregister_consumer(NAME).await.unwrap();
    // It is still being removed: that is waited for.
    drop(reader(&stream).open().await.unwrap());
}
