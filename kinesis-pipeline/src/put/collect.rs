//! What waits is cut into requests.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::accepted::Accepted;

/// The most records that the service takes in one request.
pub(crate) const REQUEST_RECORDS_MAX: usize = 500;
/// The most bytes that the service takes in one request, partition keys included.
pub(crate) const REQUEST_BYTES_MAX: usize = 10 * 1024 * 1024;

const _: () = assert!(
    super::encode::RECORD_BYTES_MAX <= REQUEST_BYTES_MAX,
    "every record fits a request of its own"
);

/// The records of one request.
pub(crate) type Batch = Vec<Accepted>;

/// The records that wait to be sent, the next one first.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    records: VecDeque<Accepted>,
    bytes: usize,
}

impl Waiting {
    pub(crate) fn push(&mut self, record: Accepted) {
        self.bytes += record.record.size_bytes();
        self.records.push_back(record);
    }

    /// Puts a record before all others: it was there before.
    pub(crate) fn push_first(&mut self, record: Accepted) {
        self.bytes += record.record.size_bytes();
        self.records.push_front(record);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether a request cut now is as large as requests may be.
    pub(crate) fn fills_a_request(&self) -> bool {
        self.records.len() >= REQUEST_RECORDS_MAX || self.bytes >= REQUEST_BYTES_MAX
    }

    /// When the record that is next began to wait.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.records.front().map(|record| record.entered_at)
    }

    /// Whether the next record was sent before.
    pub(crate) fn begins_with_a_retry(&self) -> bool {
        self.records
            .front()
            .is_some_and(|record| record.attempts > 0)
    }

    /// All of the records.
    pub(crate) fn into_records(self) -> impl Iterator<Item = Accepted> {
        self.records.into_iter()
    }

    /// Takes the records of one request; only those that were sent before if `retries_only`.
    pub(crate) fn cut(&mut self, retries_only: bool) -> Batch {
        let sizes = self
            .records
            .iter()
            .take_while(|record| !retries_only || record.attempts > 0)
            .map(|record| record.record.size_bytes());
        let (count, bytes) = request_size(sizes);
        self.bytes -= bytes;
        self.records.drain(..count).collect()
    }
}

/// How many of these records, and with them how many bytes, make up the next request: a record that does not
/// fit starts the one after.
fn request_size(sizes: impl Iterator<Item = usize>) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for size in sizes.take(REQUEST_RECORDS_MAX) {
        if count > 0 && bytes + size > REQUEST_BYTES_MAX {
            break;
        }
        count += 1;
        bytes += size;
    }
    (count, bytes)
}

/// What decides whether the records that wait are sent now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// How many requests are in flight.
    pub(crate) in_flight: usize,
    /// How many may be.
    pub(crate) in_flight_max: usize,
    /// A request was answered since the last one was sent.
    pub(crate) answered: bool,
    /// The records that wait fill a request.
    pub(crate) full: bool,
    /// How long the next record has waited.
    pub(crate) waited: Duration,
    /// How long it may wait while another request could be sent.
    pub(crate) linger_max: Duration,
}

/// Whether to send what waits. With nothing in flight nothing is gained by waiting; otherwise records gather
/// until they fill a request, a request is answered, or they have waited long enough.
pub(crate) fn should_send(moment: Moment) -> bool {
    if moment.in_flight >= moment.in_flight_max {
        return false;
    }
    moment.in_flight == 0 || moment.full || moment.answered || moment.waited >= moment.linger_max
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUIET: Moment = Moment {
        in_flight: 1,
        in_flight_max: 2,
        answered: false,
        full: false,
        waited: Duration::ZERO,
        linger_max: Duration::from_millis(20),
    };

    #[test]
    fn a_request_closes_at_500_records() {
        assert_eq!(request_size([1; 501].into_iter()), (500, 500));
    }

    #[test]
    fn a_request_closes_at_the_byte_limit_and_what_does_not_fit_starts_the_next() {
        let mib = 1024 * 1024;
        assert_eq!(request_size([mib; 11].into_iter()), (10, 10 * mib));
        let sizes = [9 * mib, mib + 1, 1];
        assert_eq!(request_size(sizes.into_iter()), (1, 9 * mib));
    }

    #[test]
    fn an_idle_pipeline_sends_at_once_and_a_busy_one_gathers() {
        assert!(should_send(Moment {
            in_flight: 0,
            ..QUIET
        }));
        assert!(!should_send(QUIET));
        assert!(should_send(Moment {
            full: true,
            ..QUIET
        }));
        assert!(should_send(Moment {
            answered: true,
            ..QUIET
        }));
        let waited = QUIET.linger_max;
        assert!(should_send(Moment { waited, ..QUIET }));
        let crowded = Moment {
            in_flight: 2,
            full: true,
            answered: true,
            waited,
            ..QUIET
        };
        assert!(!should_send(crowded));
    }

    proptest! {
        #[test]
        fn requests_hold_every_record_once_within_both_limits(
            sizes in prop::collection::vec(0_usize..=1024 * 1024, 0..1500),
        ) {
            let mut rest = &sizes[..];
            while !rest.is_empty() {
                let (count, bytes) = request_size(rest.iter().copied());
                prop_assert!((1..=REQUEST_RECORDS_MAX).contains(&count));
                prop_assert!(bytes <= REQUEST_BYTES_MAX);
                prop_assert_eq!(bytes, rest[..count].iter().sum::<usize>());
                let next_fits = rest.get(count).is_some_and(|next| bytes + next <= REQUEST_BYTES_MAX);
                prop_assert!(!next_fits || count == REQUEST_RECORDS_MAX);
                rest = &rest[count..];
            }
        }
    }
}
