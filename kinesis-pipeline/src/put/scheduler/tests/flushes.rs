//! Flushes among the records that a driver takes at once.

use tokio::sync::oneshot;

use super::*;
use crate::put::{
    pending::flush::FlushWait, request::entry::Entry, shard_map::shard_map::HASHED_AT_ONCE,
};

impl Bench {
    fn leave_flush(&mut self) -> oneshot::Receiver<Vec<FlushWait>> {
        let (reply, waits) = oneshot::channel();
        self.inbox.flush(reply);
        waits
    }

    /// Sends all that waits: the second shard refuses its records, the first one stores them.
    fn answer_by_shard(&mut self) {
        for _ in 0..1_000 {
            self.now += MS;
            while let Some(request) = self.request() {
                let is_refused = |entry: &Entry| {
                    entry.first_hash_key(&self.state.records) >= HashKey::new(2 * QUARTER)
                };
                let outcome = |entry| {
                    if is_refused(entry) {
                        Err("InvalidArgumentException")
                    } else {
                        Ok(id(1))
                    }
                };
                let outcomes = request.entries.iter().map(outcome).collect();
                self.answer(request, outcomes);
            }
        }
        assert!(self.state.is_idle());
    }
}

/// Returns the failures of each group, or `None` for one that has not ended.
fn ended(waits: &mut [FlushWait]) -> Vec<Option<u64>> {
    let ended = |wait: &mut FlushWait| wait.ended().now_or_never();
    waits.iter_mut().map(ended).collect()
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_the_records_before_it_though_all_are_taken_at_once() {
    let alone = PutOptions {
        aggregate: false,
        ..aggregating(Order::None)
    };
    for options in [alone, aggregating(Order::None), aggregating(Order::PerKey)] {
        let mut bench = Bench::new(options, children());
        let stored: Vec<_> = (0..HASHED_AT_ONCE + 3).map(|_| bench.leave(0)).collect();
        let mut first = bench.leave_flush();
        let refused = [bench.leave(3 * QUARTER), bench.leave(2 * QUARTER)];
        let (mut second, mut third) = (bench.leave_flush(), bench.leave_flush());
        let last = bench.leave(QUARTER);
        bench.state.take_new();
        bench.state.invalidate_wake();
        let waits = [&mut first, &mut second, &mut third].map(|flush| flush.try_recv().unwrap());
        let [mut first, mut second, mut third] = waits;
        assert_eq!(ended(&mut first), [None]);
        assert_eq!(ended(&mut second), [None, None]);
        assert_eq!(ended(&mut third), [None, None]);
        bench.answer_by_shard();
        assert_eq!(ended(&mut first), [Some(0)]);
        assert_eq!(ended(&mut second), [Some(0), Some(2)]);
        assert_eq!(ended(&mut third), [Some(0), Some(2)]);
        stored
            .into_iter()
            .chain([last])
            .for_each(|pending| drop(receipt(pending)));
        for pending in refused {
            assert!(pending.now_or_never().unwrap().is_err());
        }
    }
}
