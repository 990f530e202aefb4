//! Records whose bytes share arenas, of all sizes.

use super::{
    network::{Faults, Network},
    numbered::{Copied, receipts},
};
use crate::{EncodedRecord, Order, PartitionKey, record::EncodeContext};

/// The sizes of the records' data in turn: none, few bytes, as much as an arena takes of a record, and more.
const SIZES: [usize; 9] = [0, 1, 100, 8_192, 3, 8_193, 700, 40_000, 256];

fn sized(number: usize) -> EncodedRecord {
    let key = PartitionKey::new(format!("key-{}", number % 31)).unwrap();
    let byte = number.to_le_bytes()[0];
    EncodedRecord::new(key, vec![byte; SIZES[number % SIZES.len()]].into())
}

#[tokio::test(start_paused = true)]
async fn records_of_all_sizes_are_stored_as_they_were_whatever_becomes_of_their_requests() {
    let modes = [
        (false, Order::None),
        (true, Order::None),
        (true, Order::PerKey),
    ];
    for (seed, (aggregate, order)) in (0..).zip(modes.into_iter().cycle().take(9)) {
        let network = Network::new(4, seed).await;
        let stream = network.stream().with_record_type::<Copied>();
        let builder = stream.producer().aggregate(aggregate).order(order);
        let producer = builder.build().unwrap();
        network.set_faults(Faults {
            lost_answers: 0.1,
            throttled_records: 0.1,
            failed_records: 0.1,
            failed_requests: 0.1,
            ..Faults::default()
        });
        let mut pending = Vec::new();
        for number in 0..600 {
            pending.push(producer.put(&Copied(sized(number))).await.unwrap());
        }
        let receipts = receipts(pending).await;
        let log = network.log().await;
        for (number, receipt) in receipts.iter().enumerate() {
            assert!(*log.user(receipt) == sized(number), "seed {seed}: {number}");
        }
    }
}

#[test]
fn an_encoder_that_fails_leaves_nothing_for_the_next_record() {
    let context = EncodeContext::at(std::time::SystemTime::UNIX_EPOCH);
    let record = |number| EncodedRecord::of(&Copied(sized(number)), None, &context).unwrap();
    assert_eq!((record(2), record(1)), (sized(2), sized(1)));
}
