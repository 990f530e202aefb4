use std::time::Duration;

use tokio::time::Instant;

use crate::get::poll_budget::PollBudget;

/// The shortest time between two calls of a shard: the service allows 5 a second.
const CALL_INTERVAL_MIN: Duration = Duration::from_millis(200);
/// The longest time between two calls of a shard that throttling leads to.
const CALL_INTERVAL_MAX: Duration = Duration::from_secs(2);
/// The read rate of a shard, in bytes a second.
const READ_BYTES_PER_SECOND: u32 = 2 * 1024 * 1024;
/// The write rate of a shard, in bytes a second.
const WRITE_BYTES_PER_SECOND: f64 = 1024.0 * 1024.0;
/// The bytes that a page may hold on top of the write rate: one record of the default limit.
const WRITE_BYTES_BURST: usize = 1024 * 1024;
/// The largest page of the service, in bytes.
pub(in crate::get) const PAGE_BYTES_MAX: usize = 10 * 1024 * 1024;
/// The smallest page that the byte budget leads to: five of them a second are more than the read rate.
const PAGE_BYTES_MIN: usize = 512 * 1024;
/// The assumed record size before the first page of a shard: the limit of most streams. So a reader of a thousand
/// shards begins with one record of each, and learns.
const RECORD_BYTES_ASSUMED: usize = 1024 * 1024;
/// The time between calls to a server without limits, which lets other tasks run.
const CALL_INTERVAL_UNLIMITED: Duration = Duration::from_millis(1);
/// The number of empty polls in a row after which a shard counts as quiet, and each wait is twice the last.
const QUIET_POLLS: u32 = 5;
/// The longest wait of a quiet shard: an iterator expires after 5 minutes.
const QUIET_INTERVAL_MAX: Duration = Duration::from_mins(4);
/// The largest number of doublings: 200 ms doubled this often is more than [`QUIET_INTERVAL_MAX`].
const DOUBLINGS_MAX: u32 = 11;
const _: () = assert!(
    CALL_INTERVAL_MIN.as_millis() << DOUBLINGS_MAX > QUIET_INTERVAL_MAX.as_millis(),
    "a quiet shard reaches every longest wait"
);

/// The poll pacer of a shard: the time of the next call and the size of its page. It learns from every answer.
#[derive(Clone, Debug)]
pub(in crate::get) struct PollPacer {
    poll_interval: Duration,
    quiet: QuietPolls,
    /// The number of empty polls at the tip since the last other one.
    empty_polls: u32,
    /// Whether the service has limits.
    is_limited: bool,
    /// The shortest time between calls, longer while other readers use up the shard's calls.
    call_interval: Duration,
    /// The largest number of records of a page, fewer after a page that timed out.
    page_records_max: u32,
    page_records_wish: u32,
    /// The size of a record, learnt from pages; `None` before the first one with records.
    record_bytes: Option<usize>,
    is_at_tip: bool,
}

/// The polls at the tip of a quiet shard.
#[derive(Clone, Debug)]
enum QuietPolls {
    /// As of any shard.
    Steady,
    /// Less and less often, down to one in this time.
    BackingOffTo(Duration),
    /// Less and less often, as far as the budget asks for it.
    Within(PollBudget),
}

/// The facts of a page that the pacer learns from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PageFacts {
    pub(super) records: usize,
    /// The number of records that were asked for.
    pub(super) records_asked: u32,
    /// The memory of the page, in bytes.
    pub(super) bytes: usize,
    /// The bytes that the service counts towards its limit: data and partition keys.
    pub(super) counted_bytes: usize,
    /// The lag; `None` if the service did not say.
    pub(super) behind_latest: Option<Duration>,
}

/// A page to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::get) struct PageSize {
    pub(in crate::get) records_max: u32,
    /// The likely upper bound of the page's size, in bytes.
    pub(in crate::get) bytes: usize,
}

impl PollPacer {
    /// Makes a pacer. `poll_interval` is the time between calls while a shard has no new records.
    pub(in crate::get) fn new(poll_interval: Duration, page_records_max: u32) -> Self {
        Self {
            poll_interval,
            quiet: QuietPolls::Steady,
            empty_polls: 0,
            is_limited: true,
            call_interval: CALL_INTERVAL_MIN,
            page_records_max,
            page_records_wish: page_records_max,
            record_bytes: None,
            is_at_tip: false,
        }
    }

    /// Ignores limits: a shard that is behind is read as fast as the server answers.
    pub(in crate::get) fn unlimited(self) -> Self {
        Self {
            is_limited: false,
            call_interval: CALL_INTERVAL_UNLIMITED,
            ..self
        }
    }

    /// Polls the tip of a quiet shard less and less often, down to once in this time.
    pub(in crate::get) fn backing_off_to(self, poll_interval_max: Duration) -> Self {
        Self {
            quiet: QuietPolls::BackingOffTo(poll_interval_max.min(QUIET_INTERVAL_MAX)),
            ..self
        }
    }

    /// Polls the tip of a quiet shard less and less often, as far as the budget of all shards asks for it.
    pub(in crate::get) fn within(self, budget: PollBudget) -> Self {
        Self {
            quiet: QuietPolls::Within(budget),
            ..self
        }
    }

    fn call_interval_min(&self) -> Duration {
        if self.is_limited {
            CALL_INTERVAL_MIN
        } else {
            CALL_INTERVAL_UNLIMITED
        }
    }

    /// Learns from a page that was asked for at `called_at`. Returns the time of the next call.
    pub(super) fn on_page(&mut self, called_at: Instant, facts: PageFacts) -> Instant {
        self.learn(facts);
        let mut wait = self.call_interval;
        if self.is_limited {
            wait = wait.max(bytes_interval(facts.counted_bytes));
        }
        if self.is_at_tip {
            wait = wait.max(self.tip_interval());
        }
        called_at + wait
    }

    /// Returns the time between calls at the tip, which grows while no records come.
    fn tip_interval(&self) -> Duration {
        let doublings = self.empty_polls.saturating_sub(QUIET_POLLS);
        let doubled =
            self.poll_interval.max(CALL_INTERVAL_MIN) * (1 << doublings.min(DOUBLINGS_MAX));
        if doublings == 0 {
            return self.poll_interval;
        }
        let longest = match &self.quiet {
            QuietPolls::Steady => self.poll_interval,
            QuietPolls::BackingOffTo(longest) => *longest,
            QuietPolls::Within(budget) => budget.interval().min(QUIET_INTERVAL_MAX),
        };
        doubled.min(longest).max(self.poll_interval)
    }

    fn learn(&mut self, facts: PageFacts) {
        let is_full = facts.records > 0 && facts.records >= facts.records_asked as usize;
        self.is_at_tip = match facts.behind_latest {
            Some(behind) => behind.is_zero() && !is_full,
            None => facts.records == 0,
        };
        self.empty_polls = if self.is_at_tip && facts.records == 0 {
            self.empty_polls.saturating_add(1)
        } else {
            0
        };
        if let Some(average) = facts.bytes.checked_div(facts.records) {
            // It falls slowly, so that after a few small records the next page is not much larger than expected.
            self.record_bytes = Some(average.max(self.record_bytes.unwrap_or(0) / 2).max(1));
        }
        self.call_interval = (self.call_interval.mul_f64(0.9)).max(self.call_interval_min());
        let grown = self.page_records_max.saturating_mul(2);
        self.page_records_max = grown.min(self.page_records_wish);
    }

    /// Lengthens the time between calls, since another reader of the shard uses its calls too.
    pub(super) fn on_throttled(&mut self) {
        self.call_interval = (self.call_interval * 2).min(CALL_INTERVAL_MAX);
    }

    /// Halves the page after a time-out.
    pub(super) fn on_timeout(&mut self) {
        self.page_records_max = (self.page_records_max / 2).max(1);
    }

    /// Returns the page to ask for, `since_last` after the call before, if the shard may use `share` bytes of the prefetch
    /// budget.
    pub(super) fn page_size(&self, since_last: Duration, share: usize) -> PageSize {
        let records_max = self.page_records_max;
        let mut bytes = share.clamp(PAGE_BYTES_MIN, PAGE_BYTES_MAX);
        if self.is_at_tip {
            bytes = bytes.min(written_bytes_max(since_last));
        }
        if bytes == PAGE_BYTES_MAX {
            // The service limits the page by itself.
            return PageSize { records_max, bytes };
        }
        let record_bytes = self.record_bytes.unwrap_or(RECORD_BYTES_ASSUMED);
        let bytes = bytes.max(record_bytes.min(RECORD_BYTES_ASSUMED));
        let fitting = u32::try_from(bytes / record_bytes).unwrap_or(u32::MAX);
        PageSize {
            records_max: fitting.clamp(1, records_max),
            bytes,
        }
    }
}

fn bytes_interval(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Duration::from_secs(1).mul_f64(f64::from(bytes) / f64::from(READ_BYTES_PER_SECOND))
}

/// Returns the upper bound of the bytes that were written to a shard in this time.
fn written_bytes_max(time: Duration) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float that is not negative converts to the nearest integer"
    )]
    let written = (time.as_secs_f64() * WRITE_BYTES_PER_SECOND) as usize;
    written
        .saturating_add(WRITE_BYTES_BURST)
        .min(PAGE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::PAGE_RECORDS_MAX;

    const POLL: Duration = Duration::from_secs(1);

    fn facts(records: usize, bytes: usize, behind_millis: u64) -> PageFacts {
        let behind_latest = Some(Duration::from_millis(behind_millis));
        PageFacts {
            records,
            records_asked: PAGE_RECORDS_MAX,
            bytes: bytes + records * 160,
            counted_bytes: bytes,
            behind_latest,
        }
    }

    fn wait(pace: &mut PollPacer, facts: PageFacts) -> Duration {
        let now = crate::Clock::system().instant();
        pace.on_page(now, facts) - now
    }

    #[tokio::test]
    async fn the_tip_is_polled_and_a_backlog_is_read_as_fast_as_the_service_allows() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX);
        assert_eq!(wait(&mut pace, facts(0, 0, 0)), POLL);
        assert_eq!(wait(&mut pace, facts(5, 500, 0)), POLL);
        assert_eq!(wait(&mut pace, facts(5, 500, 1)), CALL_INTERVAL_MIN);
        assert_eq!(wait(&mut pace, facts(0, 0, 1)), CALL_INTERVAL_MIN);
        assert_eq!(wait(&mut pace, facts(10_000, 20_000, 0)), CALL_INTERVAL_MIN);
        assert_eq!(
            wait(&mut pace, facts(5, PAGE_BYTES_MAX, 1)),
            Duration::from_secs(5)
        );
    }

    #[tokio::test]
    async fn many_quiet_shards_share_the_polls_of_their_worker() {
        let budget = PollBudget::default();
        let mut shares: Vec<_> = (0..1_000).map(|_| budget.share()).collect();
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX).within(budget);
        let mut quiet = |polls| (0..polls).fold(POLL, |_, _| wait(&mut pace, facts(0, 0, 0)));
        assert_eq!(quiet(QUIET_POLLS), POLL);
        assert_eq!(quiet(9), 5 * POLL);
        // Others take most of the leases.
        shares.truncate(100);
        assert_eq!(quiet(1), POLL);
    }

    #[tokio::test]
    async fn a_quiet_shard_is_polled_less_and_less_often_until_a_record_comes() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX).backing_off_to(10 * POLL);
        for _ in 0..QUIET_POLLS {
            assert_eq!(wait(&mut pace, facts(0, 0, 0)), POLL);
        }
        let seconds: Vec<_> = (0..5)
            .map(|_| wait(&mut pace, facts(0, 0, 0)).as_secs())
            .collect();
        assert_eq!(seconds, [2, 4, 8, 10, 10]);
        assert_eq!(wait(&mut pace, facts(1, 10, 0)), POLL);
        assert_eq!(wait(&mut pace, facts(0, 0, 0)), POLL);
    }

    #[tokio::test]
    async fn a_shard_that_is_behind_is_not_quiet_however_many_pages_are_empty() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX).backing_off_to(10 * POLL);
        for _ in 0..3 * QUIET_POLLS {
            wait(&mut pace, facts(0, 0, 0));
        }
        assert_eq!(wait(&mut pace, facts(0, 0, 1)), CALL_INTERVAL_MIN);
        assert_eq!(wait(&mut pace, facts(0, 0, 0)), POLL);
    }

    #[tokio::test]
    async fn a_quiet_shard_is_asked_before_its_iterator_expires() {
        for poll in [Duration::ZERO, POLL] {
            let mut pace = PollPacer::new(poll, PAGE_RECORDS_MAX).backing_off_to(Duration::MAX);
            for _ in 0..100 {
                wait(&mut pace, facts(0, 0, 0));
            }
            assert_eq!(wait(&mut pace, facts(0, 0, 0)), QUIET_INTERVAL_MAX);
        }
    }

    #[tokio::test]
    async fn throttling_stretches_the_interval_and_success_shrinks_it_again() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX);
        for _ in 0..10 {
            pace.on_throttled();
        }
        let first = wait(&mut pace, facts(1, 1, 1));
        assert!(first > POLL && first <= CALL_INTERVAL_MAX);
        for _ in 0..100 {
            wait(&mut pace, facts(1, 1, 1));
        }
        assert_eq!(wait(&mut pace, facts(1, 1, 1)), CALL_INTERVAL_MIN);
    }

    #[tokio::test]
    async fn a_page_that_timed_out_is_asked_for_smaller_until_pages_come_again() {
        let mut pace = PollPacer::new(POLL, 1000);
        for _ in 0..20 {
            pace.on_timeout();
        }
        assert_eq!(pace.page_size(POLL, 0).records_max, 1);
        for _ in 0..10 {
            wait(&mut pace, facts(1, 1, 1));
        }
        assert_eq!(pace.page_size(POLL, PAGE_BYTES_MAX).records_max, 1000);
    }

    #[tokio::test]
    async fn small_records_are_paced_by_what_the_service_counts() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX);
        // In memory they take more than the service gives out in 200 ms.
        assert_eq!(wait(&mut pace, facts(9_999, 99_990, 1)), CALL_INTERVAL_MIN);
    }

    #[tokio::test]
    async fn a_server_without_limits_is_asked_at_once_for_what_waits_but_not_at_the_tip() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX).unlimited();
        let behind = wait(&mut pace, facts(5, PAGE_BYTES_MAX, 1));
        assert_eq!(behind, CALL_INTERVAL_UNLIMITED);
        assert_eq!(wait(&mut pace, facts(0, 0, 0)), POLL);
    }

    #[tokio::test]
    async fn a_page_fits_its_share_of_the_budget() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX);
        let size = |pace: &PollPacer, share| {
            let PageSize { records_max, bytes } = pace.page_size(POLL, share);
            (records_max, bytes)
        };
        // Before the size of records is known.
        assert_eq!(size(&pace, 0), (1, RECORD_BYTES_ASSUMED));
        let largest = (PAGE_RECORDS_MAX, PAGE_BYTES_MAX);
        assert_eq!(size(&pace, usize::MAX), largest);
        wait(&mut pace, facts(10, 10 * (1024 - 160), 1));
        assert_eq!(size(&pace, 0), (512, PAGE_BYTES_MIN));
        assert_eq!(size(&pace, usize::MAX), largest);
        // No more can have been written at the tip.
        wait(&mut pace, facts(0, 0, 0));
        assert_eq!(size(&pace, 0), (512, PAGE_BYTES_MIN));
        assert_eq!(size(&pace, usize::MAX), (2048, 2 * 1024 * 1024));
    }

    #[tokio::test]
    async fn a_page_of_small_records_does_not_make_the_next_one_large() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX);
        wait(&mut pace, facts(10, 10 * 1024 * 1024, 1));
        wait(&mut pace, facts(10, 100, 1));
        assert_eq!(pace.page_size(POLL, 0).records_max, 1);
    }

    #[tokio::test]
    async fn a_page_that_is_as_full_as_asked_for_is_not_the_tip() {
        let mut pace = PollPacer::new(POLL, PAGE_RECORDS_MAX);
        let full = PageFacts {
            records_asked: 8,
            ..facts(8, 80, 0)
        };
        assert_eq!(wait(&mut pace, full), CALL_INTERVAL_MIN);
    }
}
