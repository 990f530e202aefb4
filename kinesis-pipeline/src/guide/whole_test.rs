use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use kinesis_pipeline::{
    Clock, GetError, KinesisRecord, KinesisStream, LocalKinesis, MemoryCheckpoints, StartAt, Until,
    local::Fault,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Payment {
    #[kinesis(partition_key)]
    account: u32,
    cents: u64,
}

/// The code under test: adds up what it has not added up before.
async fn new_cents(
    stream: &KinesisStream<Payment>,
    store: &Arc<MemoryCheckpoints>,
) -> Result<u64, GetError> {
    let reader = stream.reader().start(StartAt::TrimHorizon);
    let reader = reader.checkpoints(Arc::clone(store), "totals");
    let mut records = reader.until(Until::Tip).open().await?;
    let mut cents = 0;
    while let Some(record) = records.next().await {
        cents += record?.data.cents;
    }
    Ok(cents)
}

/// A Kinesis whose time is tokio's: it stands still until the test, or tokio itself, moves it.
async fn kinesis() -> Result<LocalKinesis, Box<dyn std::error::Error>> {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH);
    Ok(LocalKinesis::builder().clock(clock).start().await?)
}

#[tokio::test(start_paused = true)]
async fn a_payment_counts_once_whatever_the_network_does() -> Result<(), Box<dyn std::error::Error>>
{
    let kinesis = kinesis().await?;
    let stream: KinesisStream<Payment> = kinesis.stream("payments", 2).await?;
    let store = Arc::new(MemoryCheckpoints::new());
    kinesis
        .faults()
        .add(Fault::throttle().on("PutRecords").times(5))?;
    kinesis
        .faults()
        .add(Fault::fail().on("GetRecords").times(5))?;

    let payments = (0..100).map(|account| Payment { account, cents: 10 });
    stream.put_all(payments).await.ok()?;
    assert_eq!(new_cents(&stream, &store).await?, 1_000);
    assert_eq!(
        new_cents(&stream, &store).await?,
        0,
        "a second run goes on behind the first"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn payments_of_two_days_ago_are_reported_missing() -> Result<(), Box<dyn std::error::Error>> {
    let kinesis = kinesis().await?;
    let stream: KinesisStream<Payment> = kinesis.stream("payments", 1).await?;
    let store = Arc::new(MemoryCheckpoints::new());
    stream
        .put(&Payment {
            account: 1,
            cents: 10,
        })
        .await?;
    assert_eq!(new_cents(&stream, &store).await?, 10);

    stream
        .put(&Payment {
            account: 1,
            cents: 20,
        })
        .await?;
    tokio::time::advance(Duration::from_hours(48)).await; // no time passes on your machine
    let trimmed = new_cents(&stream, &store).await;
    assert!(
        matches!(trimmed, Err(GetError::Trimmed { .. })),
        "{trimmed:?}"
    );
    Ok(())
}
