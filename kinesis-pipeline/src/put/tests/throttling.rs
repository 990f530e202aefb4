//! How fast the producer is when the embedded Kinesis throttles records at random.

use std::time::Duration;

use crate::{
    Clock, EncodedRecord, PartitionKey,
    clock::from_epoch_millis,
    local::{Fault, LocalKinesis},
};

/// The part of the rate of one shard that a producer of small records gets stored, with this part throttled.
async fn part_of_rate(throttled: f64, seed: u64) -> f64 {
    const SECONDS: u32 = 60;
    const RECORDS_PER_SECOND: u32 = 1_000;
    let clock = Clock::tokio(from_epoch_millis(1_700_000_000_000));
    let builder = LocalKinesis::builder().clock(clock).seed(seed);
    let kinesis = builder.enforce_limits(true).start().await.unwrap();
    let stream = kinesis
        .stream::<EncodedRecord>("readings", 1)
        .await
        .unwrap();
    let fault = Fault::throttle().each_entry().probability(throttled);
    kinesis.faults().add(fault.always()).unwrap();
    let builder = stream.producer().in_flight_records_max(2_000);
    let producer = builder.throttled_attempts_max(1_000).build().unwrap();
    let begun = Clock::system().instant();
    let mut number = 0;
    while begun.elapsed() < SECONDS * Duration::from_secs(1) {
        let key = PartitionKey::new(format!("device-{number}")).unwrap();
        let record = EncodedRecord::new(key, vec![b'x'; 100].into());
        drop(producer.put(&record).await.unwrap());
        number += 1;
    }
    let stats = producer.stats();
    assert_eq!(stats.records_failed, 0, "{stats:?}");
    let stored = u32::try_from(stats.records_stored).unwrap();
    f64::from(stored) / f64::from(SECONDS * RECORDS_PER_SECOND)
}

#[tokio::test(start_paused = true)]
async fn records_throttled_at_random_do_not_slow_the_others_down() {
    for seed in 1..4 {
        let part = part_of_rate(0.02, seed).await;
        assert!(part > 0.85, "seed {seed}: {part}");
    }
}
