//! A `PutRecords` request under construction, within the limits of the service.

use tokio::time::Instant;

use super::{
    draft::Drafts,
    entry::{Entry, QueueId},
};
use crate::{
    put::pending::{pending::Completion, slab::RecordSlab},
    record::EncodedRecord,
};

/// The largest number of records that the service takes in one request.
pub(in crate::put) const REQUEST_RECORDS_MAX: usize = 500;
/// The largest number of bytes that Kinesis takes in one request, partition keys included. Firehose takes fewer: see
/// `PutOptions::request_bytes_max`.
pub(in crate::put) const REQUEST_BYTES_MAX: usize = 10 * 1024 * 1024;

const _: () = assert!(
    crate::put::admission::record_limit::RECORD_BYTES_RAISED_MAX <= REQUEST_BYTES_MAX,
    "every record fits a request of its own"
);

/// A request under construction.
#[derive(Debug, Default)]
pub(in crate::put) struct Request {
    pub(in crate::put) entries: Vec<Entry>,
    /// The Kinesis records to send, one for each entry whose attempt has begun.
    pub(in crate::put) drafts: Drafts,
    /// The time at which the request was built.
    pub(in crate::put) begun_at: Option<Instant>,
    bytes: usize,
    /// The number of records that have claimed room.
    claimed: usize,
    bytes_max: usize,
    expected: usize,
}

impl Request {
    /// Makes an empty request of at most `bytes_max` bytes that will have about `records` entries. It allocates with the
    /// first one.
    pub(in crate::put) fn expecting(records: usize, bytes_max: usize) -> Self {
        Self {
            bytes_max,
            expected: records.min(REQUEST_RECORDS_MAX),
            ..Self::default()
        }
    }

    /// Makes a request of these entries and no others.
    pub(in crate::put) fn of(entries: Vec<Entry>) -> Self {
        Self {
            entries,
            ..Self::default()
        }
    }

    pub(in crate::put) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a record of this size fits. A record that does not fit starts the next request.
    pub(in crate::put) fn fits(&self, bytes: usize) -> bool {
        fits(
            self.entries.len() + self.claimed,
            self.bytes,
            bytes,
            self.bytes_max,
        )
    }

    pub(in crate::put) fn push(&mut self, entry: Entry) {
        self.will_begin();
        self.bytes += entry.bytes();
        self.entries.push(entry);
    }

    /// Begins the attempt of all entries.
    pub(in crate::put) fn begin(&mut self, records: &mut RecordSlab) {
        self.drafts.reserve(self.entries.len());
        for entry in &mut self.entries {
            entry.sent(records, &mut self.drafts);
        }
    }

    /// Claims room for a record that [`fits`](Self::fits) and did not wait for its shard.
    pub(in crate::put) fn claim(&mut self, bytes: usize) {
        self.claimed += 1;
        self.bytes += bytes;
    }

    /// Adds the records that have claimed room, whose attempts have begun. [`push_claimed`](Self::push_claimed) follows.
    pub(in crate::put) fn draft_claimed(
        &mut self,
        records: impl ExactSizeIterator<Item = EncodedRecord>,
    ) {
        self.claimed = 0;
        if records.len() > 0 {
            self.will_begin();
        }
        self.drafts.extend(records);
    }

    /// Adds the completions of the records that were drafted last, one for each of these queues.
    pub(in crate::put) fn push_claimed(
        &mut self,
        queues: &[QueueId],
        completions: impl Iterator<Item = Completion>,
    ) {
        let records = self.drafts.last(queues.len()).iter();
        let rows = queues.iter().zip(completions).zip(records);
        self.entries.extend(
            rows.map(|((queue, completion), record)| Entry::fresh(*queue, completion, record)),
        );
    }

    fn will_begin(&mut self) {
        if self.entries.is_empty() {
            self.entries.reserve(self.expected);
            self.drafts.reserve(self.expected);
        }
    }
}

fn fits(records: usize, bytes: usize, more: usize, bytes_max: usize) -> bool {
    records == 0 || (records < REQUEST_RECORDS_MAX && bytes + more <= bytes_max)
}

/// Whether waiting records are sent without lingering: a request is full, or an eager pipeline has nothing in flight
/// or just got an answer, so that a longer wait would only delay the receipts.
pub(in crate::put) fn sends_at_once(
    eager: bool,
    in_flight: usize,
    answered: bool,
    full: bool,
) -> bool {
    full || (eager && (in_flight == 0 || answered))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_closes_at_500_records() {
        assert!(fits(499, 499, 1, REQUEST_BYTES_MAX));
        assert!(!fits(500, 500, 1, REQUEST_BYTES_MAX));
    }

    #[test]
    fn an_idle_pipeline_sends_at_once_and_a_busy_one_gathers() {
        assert!(sends_at_once(true, 0, false, false));
        assert!(!sends_at_once(true, 1, false, false));
        assert!(sends_at_once(true, 1, true, false));
        assert!(sends_at_once(true, 1, false, true));
        assert!(!sends_at_once(false, 0, true, false), "a producer gathers");
    }

    proptest! {
        #[test]
        fn no_request_is_over_a_limit(sizes in prop::collection::vec(0_usize..=1024 * 1024, 0..1500), bytes_max in (1_usize << 20)..=REQUEST_BYTES_MAX) {
            let (mut records, mut bytes) = (0, 0);
            for size in sizes {
                if !fits(records, bytes, size, bytes_max) {
                    let both = records == REQUEST_RECORDS_MAX || bytes + size > bytes_max;
                    prop_assert!(both);
                    (records, bytes) = (0, 0);
                }
                records += 1;
                bytes += size;
                prop_assert!(records <= REQUEST_RECORDS_MAX && bytes <= bytes_max);
            }
        }
    }
}
