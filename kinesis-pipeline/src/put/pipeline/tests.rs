//! A pipeline without a driver, or between two.

use std::sync::Arc;

use super::pipeline::Pipeline;
use crate::{
    EncodedRecord, FlushError, PutError,
    put::{pending::receipt::PendingReceipt, tests::shared},
};

fn pipeline() -> Arc<Pipeline> {
    let shared = Arc::try_unwrap(shared()).unwrap();
    Pipeline::new(shared, fastrand::Rng::with_seed(0))
}

#[tokio::test]
async fn a_state_whose_driver_was_interrupted_while_it_waited_rests_with_the_next() {
    let pipeline = pipeline();
    let mut state = pipeline.home().state.take().unwrap();
    state.next_wake(pipeline.now());
    pipeline.abandon(state);
    // As if what called for a driver had been taken by another meanwhile.
    pipeline.start_driver();
    tokio::task::yield_now().await;
    assert!(pipeline.home().state.is_some());
}

#[tokio::test]
async fn records_that_come_when_the_state_is_lost_end_and_give_their_room_back() {
    let pipeline = pipeline();
    pipeline.lose_state();
    let budget = pipeline.shared.options.in_flight_records_max;
    for _ in 0..=budget {
        let key = crate::PartitionKey::new("k").unwrap();
        let record = EncodedRecord::new(key, bytes::Bytes::new());
        let pending: PendingReceipt = pipeline.put(record).await.unwrap();
        assert!(matches!(pending.await, Err(PutError::Gone { .. })));
    }
    assert_eq!(
        pipeline.shared.counters.snapshot().records_failed,
        budget as u64 + 1
    );
}

fn a_record() -> EncodedRecord {
    let key = crate::PartitionKey::new("k").unwrap();
    EncodedRecord::new(key, bytes::Bytes::new())
}

#[tokio::test(start_paused = true)]
async fn a_flush_or_a_close_is_an_error_when_the_state_is_lost() {
    let pipeline = pipeline();
    pipeline.flush().await.unwrap();
    pipeline.lose_state();
    let stream = pipeline.shared.target.stream.clone();
    let gone = Err(FlushError::Gone { stream });
    assert_eq!(pipeline.flush().await, gone);
    assert_eq!(pipeline.close().await, gone);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_was_overtaken_by_close_is_turned_away_and_counts_nowhere() {
    let pipeline = pipeline();
    pipeline.close().await.unwrap();
    let budget = pipeline.shared.options.in_flight_records_max;
    for _ in 0..=budget {
        let charge = pipeline.shared.budget.try_acquire(1).unwrap();
        let refused = pipeline.accept((&a_record()).into(), charge);
        let refused = refused.map_err(|error| *error);
        assert!(matches!(refused, Err(PutError::Closed { .. })));
    }
    let stats = pipeline.shared.counters.snapshot();
    assert_eq!((stats.records_accepted, stats.records_pending), (0, 0));
    pipeline.close().await.unwrap();
}
