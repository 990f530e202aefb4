use std::{
    future::poll_fn,
    sync::{Barrier, Weak},
    thread,
};

use tokio::{
    runtime::Builder,
    time::{Duration, sleep},
};

use super::*;

async fn fetch<T>(mut receiver: Receiver<T, ()>) -> Option<T> {
    poll_fn(|cx| receiver.poll(cx)).await
}

#[tokio::test(start_paused = true)]
async fn each_receiver_gets_the_result_of_its_sender_whenever_it_comes() {
    let mut blocks = Blocks::new(());
    let pairs: Vec<_> = (0..3 * SLOTS).map(|_| blocks.pair()).collect();
    let (senders, receivers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let receivers: Vec<_> = receivers
        .into_iter()
        .map(|receiver| tokio::spawn(fetch(receiver)))
        .collect();
    for (number, sender) in senders.into_iter().enumerate().rev() {
        if number % 2 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        match number % 5 {
            0 => drop(sender),
            _ => sender.send(number),
        }
    }
    for (number, receiver) in receivers.into_iter().enumerate() {
        assert_eq!(receiver.await.unwrap(), (number % 5 > 0).then_some(number));
    }
}

#[test]
fn ends_that_meet_on_two_threads_lose_no_result_and_keep_none() {
    const ROUNDS: usize = 2_000;
    let result = Arc::new(());
    let mut blocks = Blocks::new(());
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..ROUNDS).map(|_| blocks.pair()).unzip();
    // Else the results that are left would go with their blocks.
    let blocks: Vec<_> = senders.iter().map(|end| Arc::clone(&end.block)).collect();
    let start = Barrier::new(2);
    let runtime = Builder::new_current_thread().build().unwrap();
    thread::scope(|threads| {
        threads.spawn(|| {
            start.wait();
            for (number, sender) in senders.into_iter().enumerate() {
                match number % 3 {
                    0 => drop(sender),
                    _ => sender.send(Arc::clone(&result)),
                }
            }
        });
        start.wait();
        for (number, mut receiver) in receivers.into_iter().enumerate() {
            if number % 2 == 0 {
                // It hangs if a wake-up is lost.
                let result = runtime.block_on(fetch(receiver));
                assert_eq!(result.is_some(), number % 3 > 0);
            } else {
                drop(receiver.poll(&mut Context::from_waker(Waker::noop())));
            }
        }
    });
    assert_eq!(Arc::strong_count(&result), 1);
    drop(blocks);
}

#[test]
fn a_slot_is_a_word_besides_its_part_of_the_lock() {
    let lock = size_of::<Mutex<usize>>() - size_of::<usize>();
    let slots = SLOTS_A_LOCK * size_of::<usize>();
    assert_eq!(size_of::<Slots<[u8; 99]>>(), lock + slots);
}

#[test]
fn a_sender_drops_the_result_whose_receiver_went_after_it_had_looked() {
    let mut blocks = Blocks::new(());
    let result = Arc::new(());
    let (mut sender, receiver) = blocks.pair();
    assert!(sender.is_waited_for());
    drop(receiver);
    sender.place.set(USED);
    sender.block.send(sender.place, Arc::clone(&result));
    assert_eq!(Arc::strong_count(&result), 2);
    drop(sender);
    assert_eq!(Arc::strong_count(&result), 1);
}

#[test]
fn results_that_nobody_fetches_are_dropped_though_their_block_lives() {
    let mut blocks = Blocks::new(());
    let (result, sent_late) = (Arc::new(()), Arc::new(()));
    let (sender, receiver) = blocks.pair();
    sender.send(Arc::clone(&result));
    drop(receiver);
    let (sender, receiver) = blocks.pair();
    drop(receiver);
    assert!(!sender.is_waited_for());
    sender.send(Arc::clone(&sent_late));
    assert_eq!(
        (Arc::strong_count(&result), Arc::strong_count(&sent_late)),
        (1, 1)
    );
}

#[test]
fn a_receiver_that_goes_takes_its_waker_with_it() {
    struct Task;
    impl std::task::Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let task = Arc::new(Task);
    let waker = Arc::clone(&task).into();
    let (_sender, mut receiver) = Blocks::<u8, _>::new(()).pair();
    assert!(receiver.poll(&mut Context::from_waker(&waker)).is_pending());
    drop((receiver, waker));
    assert_eq!(
        Weak::upgrade(&Arc::downgrade(&task)).map(|task| Arc::strong_count(&task)),
        Some(2)
    );
}
