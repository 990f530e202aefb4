//! Pipelines that outlive the runtimes that drive them.

use std::{future::Future, task::Poll, time::Duration};

use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Runtime};

use super::{Answer, Script, script::record};
use crate::{EncodedRecord, PendingReceipt, Producer, PutError};

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

#[test]
fn a_put_on_another_runtime_starts_another_driver() {
    let script = Script::new([]);
    let stream = script.stream();
    for _ in 0..3 {
        assert!(runtime().block_on(stream.put(&record("k"))).is_ok());
    }
}

#[test]
fn a_runtime_that_is_idle_but_alive_does_not_keep_the_pipeline() {
    let script = Script::new([]);
    let stream = script.stream();
    let idle = runtime();
    assert!(idle.block_on(stream.put(&record("k"))).is_ok());
    assert!(runtime().block_on(stream.put(&record("k"))).is_ok());
    drop(idle);
}

#[test]
fn a_runtime_that_shuts_down_ends_its_puts_and_the_next_one_goes_on() {
    let script = Script::new([Answer::Silence]);
    let stream = script.stream();
    let short = runtime();
    let record_k = record("k");
    let mut put = Box::pin(stream.put(&record_k).map(Result::unwrap_err).shared());
    short.block_on(async {
        let first = std::future::poll_fn(|cx| Poll::Ready(put.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    });
    assert_eq!(script.sizes(), [1]);
    drop(short);
    let error = put.now_or_never().expect("the put has ended");
    assert!(
        matches!(error, PutError::Gone { attempts: 1, .. }),
        "{error}"
    );
    assert!(error.may_have_been_stored() && error.is_retryable());
    assert!(runtime().block_on(stream.put(&record("k"))).is_ok());
}

#[test]
fn a_put_that_was_accepted_but_not_sent_when_the_runtime_ends_was_not_stored() {
    let script = Script::new([]);
    let stream = script.stream();
    let short = runtime();
    let record_k = record("k");
    let mut put = Box::pin(stream.put(&record_k));
    {
        let _context = short.enter();
        assert!(put.as_mut().now_or_never().is_none());
    }
    drop(short);
    let error = put.now_or_never().expect("the put has ended").unwrap_err();
    assert!(!error.may_have_been_stored(), "{error}");
    assert!(script.calls().is_empty());
}

#[test]
fn a_producer_whose_runtime_ends_ends_all_that_it_holds_and_has_its_room_back() {
    for aggregates in [false, true] {
        let script = Script::new([Answer::Silence]);
        let producer = script.stream().producer().aggregate(aggregates);
        let producer = producer.in_flight_records_max(100).build().unwrap();
        let short = runtime();
        // Some are in flight when it ends, others wait for more.
        let mut receipts = short.block_on(async {
            let mut receipts = Vec::new();
            for number in 0..100 {
                receipts.push(producer.put(&record(number)).await.unwrap());
                if number == 50 {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            receipts
        });
        drop(short);
        let mut ends = [0, 0];
        for receipt in receipts.drain(..) {
            let error = receipt.now_or_never().expect("it has ended").unwrap_err();
            assert!(matches!(error, PutError::Gone { .. }), "{error}");
            ends[usize::from(error.may_have_been_stored())] += 1;
        }
        assert_eq!(ends, [49, 51], "those that were in flight may be stored");
        let again = runtime().block_on(async {
            let mut receipts = Vec::new();
            for number in 0..100 {
                receipts.push(producer.put(&record(number)).await.unwrap());
            }
            futures_util::future::try_join_all(receipts).await
        });
        assert_eq!(again.unwrap().len(), 100);
    }
}

#[test]
fn a_put_outside_a_runtime_is_an_error() {
    let script = Script::new([]);
    let put = script.stream().put(&record("k")).now_or_never();
    assert!(matches!(put, Some(Err(PutError::NoRuntime { .. }))));
}

#[test]
fn puts_from_many_short_runtimes_at_once_all_end() {
    let script = Script::new([]);
    let stream = script.stream();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let stream = &stream;
            scope.spawn(move || {
                for number in 0..50 {
                    let key = thread * 1_000 + number;
                    // Another thread's runtime may carry the record, and end: that is an error, not a hang.
                    let _ = runtime().block_on(stream.put(&record(key)));
                }
            });
        }
    });
    assert!(runtime().block_on(stream.put(&record("last"))).is_ok());
}

#[test]
fn a_thread_without_a_runtime_puts_while_a_driver_runs_elsewhere() {
    let script = Script::new([]);
    let stream = script.stream();
    let runtime = runtime();
    let first = runtime.block_on(async {
        let first = stream.producer().build().unwrap();
        let pending = first.put(&record(1)).await.unwrap();
        (first, pending)
    });
    let (producer, pending) = first;
    let second = producer.put(&record(2)).now_or_never();
    let second = second.expect("there is room").unwrap();
    let receipts = runtime.block_on(async { (pending.await, second.await) });
    assert!(receipts.0.is_ok() && receipts.1.is_ok());
}

#[test]
fn close_covers_or_refuses_each_put_of_other_threads() {
    for _ in 0..50 {
        let producer = Script::new([]).stream().producer();
        let producer = producer.in_flight_records_max(100).build().unwrap();
        // Not on virtual time: that runs on to the close's limit while a thread is held up between two instructions.
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.unwrap();
        let pending = std::thread::scope(|scope| {
            let putting: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| put_until_closed(&runtime, &producer)))
                .collect();
            runtime.block_on(async {
                while producer.stats().records_accepted < 100 {
                    tokio::task::yield_now().await;
                }
                producer.clone().close().await.unwrap();
            });
            let pending = putting.into_iter().map(|thread| thread.join().unwrap());
            pending.flatten().collect::<Vec<_>>()
        });
        let accepted = producer.stats().records_accepted;
        assert_eq!(accepted, pending.len() as u64);
        for receipt in pending {
            let stored = receipt.now_or_never().expect("it was accepted, so covered");
            assert!(stored.is_ok());
        }
    }
}

/// Puts as fast as it can. Returns the receipts of what was accepted.
fn put_until_closed(runtime: &Runtime, producer: &Producer<EncodedRecord>) -> Vec<PendingReceipt> {
    let _context = runtime.enter();
    let mut pending = Vec::new();
    loop {
        match producer.try_put(record("k")) {
            Ok(receipt) => pending.push(receipt),
            Err(failure) => match failure.error {
                PutError::Closed { .. } => return pending,
                error => assert!(matches!(error, PutError::NoRoom { .. }), "{error}"),
            },
        }
    }
}
