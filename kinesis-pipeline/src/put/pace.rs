//! How fast one shard is written to.

use std::time::Duration;

use tokio::time::Instant;

/// What a shard takes in a second.
const RECORDS_PER_SECOND: f64 = 1_000.0;
/// What a shard takes in a second, in bytes of data and partition keys.
const BYTES_PER_SECOND: f64 = 1_048_576.0;
/// A shard is written to when this much of its rate has gathered, or all that waits: small requests cost
/// more than they are worth.
const QUANTUM_SECONDS: f64 = 25.0 / 1_024.0;
/// The same in bytes: what AWS bills as one PUT payload unit.
pub(crate) const QUANTUM_BYTES: usize = 25 * 1_024;
/// What has gathered beyond this is lost: the service would not take it at once.
const BURST_SECONDS: f64 = 0.2;
/// The part of the shard's rate that is used: what is sent in any second may be one quantum more.
const SHARE_MAX: f64 = 1.0 - 1.25 * QUANTUM_SECONDS;
/// The least part of the shard's rate.
const SHARE_MIN: f64 = 0.02;
/// The least part that a throttled record takes off.
const CUT_MIN: f64 = 0.03;
/// The rate is judged by what happened within this time, so that one throttled record counts for what it is.
const JUDGED_AFTER: Duration = Duration::from_secs(1);
/// The part of the shard's rate that comes back in a second, up to where it was throttled ...
const RECOVERED_PER_SECOND: f64 = 0.1;
/// ... and the part that is tried out from there, for some time, since the limit will hardly have moved.
const PROBED_PER_SECOND: f64 = 0.005;
/// How close to where it was throttled the rate comes back.
const RECOVERED_TO: f64 = 0.95;
/// How long a throttled record is remembered.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The write rate of one shard: it starts at the shard's limits, falls by the part that the service throttles
/// (others write to the shard too), comes back to near where that was, and rises slowly from there.
///
/// Records and bytes gather as time passes and may be overdrawn by the last record of a cut, so that a large
/// record goes out as a burst and is waited for afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    records: f64,
    bytes: f64,
    /// The part of the shard's limits that is used.
    share: f64,
    updated_at: Instant,
    throttled_at: Option<Instant>,
    /// The share when a record was throttled last.
    throttled_share: f64,
    /// Since when records are counted to judge the rate.
    judged_at: Instant,
    counted_stored: f64,
    counted_throttled: f64,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            records: RECORDS_PER_SECOND * QUANTUM_SECONDS,
            bytes: BYTES_PER_SECOND * QUANTUM_SECONDS,
            share: SHARE_MAX,
            updated_at: now,
            throttled_at: None,
            throttled_share: SHARE_MAX,
            judged_at: now,
            counted_stored: 0.0,
            counted_throttled: 0.0,
        }
    }

    /// Lets what the time since the last call is worth gather.
    pub(crate) fn refill(&mut self, now: Instant) {
        let seconds = now.duration_since(self.updated_at).as_secs_f64();
        self.updated_at = now;
        let gather =
            |have: f64, rate: f64| (have + rate * self.share * seconds).min(rate * BURST_SECONDS);
        self.records = gather(self.records, RECORDS_PER_SECOND);
        self.bytes = gather(self.bytes, BYTES_PER_SECOND);
        self.share = (self.share + self.recovery(now) * seconds).min(SHARE_MAX);
    }

    /// The part of the limit that comes back in a second.
    fn recovery(&self, now: Instant) -> f64 {
        let remembered = self
            .throttled_at
            .is_some_and(|at| now.duration_since(at) < REMEMBERED);
        if remembered && self.share >= self.throttled_share * RECOVERED_TO {
            PROBED_PER_SECOND
        } else {
            RECOVERED_PER_SECOND
        }
    }

    /// Whether another record may be sent now.
    pub(crate) fn allows(&self) -> bool {
        self.records > 0.0 && self.bytes > 0.0
    }

    /// How many bytes may be sent now without overdrawing.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cut off at 0 and far below 2^53"
    )]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.max(0.0) as usize
    }

    /// When enough has gathered for these records, or for as many of them as make a request worth it.
    pub(crate) fn ready_at(&self, records: usize, bytes: usize) -> Instant {
        let wait = |have: f64, need: f64, rate: f64| {
            (need.min(rate * QUANTUM_SECONDS) - have) / (rate * self.share)
        };
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (records, bytes) = (records as f64, bytes as f64);
        let wait = wait(self.records, records, RECORDS_PER_SECOND).max(wait(
            self.bytes,
            bytes,
            BYTES_PER_SECOND,
        ));
        if wait <= 0.0 {
            return self.updated_at;
        }
        // Rounded up: a timer that fires too early would fire again and again.
        self.updated_at + Duration::from_secs_f64(wait) + Duration::from_micros(1)
    }

    /// A record of this size is sent.
    #[expect(
        clippy::cast_precision_loss,
        reason = "records are far smaller than 2^52 bytes"
    )]
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.records -= 1.0;
        self.bytes -= bytes as f64;
    }

    /// A record was smaller than it was thought to be.
    #[expect(
        clippy::cast_precision_loss,
        reason = "records are far smaller than 2^52 bytes"
    )]
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.bytes += bytes as f64;
    }

    /// The service took a record.
    pub(crate) fn stored(&mut self) {
        self.counted_stored += 1.0;
    }

    /// The service did not take a record because the shard's rate is used up.
    pub(crate) fn throttled(&mut self, now: Instant) {
        self.counted_throttled += 1.0;
        self.throttled_at = Some(now);
        self.records = self.records.min(0.0);
        self.bytes = self.bytes.min(0.0);
        if now.duration_since(self.judged_at) >= JUDGED_AFTER {
            self.judge(now);
        }
    }

    /// Lowers the rate by the part of the records that were throttled.
    fn judge(&mut self, now: Instant) {
        let part = self.counted_throttled / (self.counted_throttled + self.counted_stored);
        self.throttled_share = self.share;
        self.share = (self.share * (1.0 - part.max(CUT_MIN))).max(SHARE_MIN);
        self.judged_at = now;
        (self.counted_stored, self.counted_throttled) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    /// Bytes that go out in `seconds` when there is always more, in records of `record_bytes`.
    fn sent(pace: &mut Pace, from: Instant, seconds: u64, record_bytes: usize) -> usize {
        let (mut now, mut bytes) = (from, 0);
        while now < from + Duration::from_secs(seconds) {
            pace.refill(now);
            while pace.allows() {
                pace.spend(record_bytes);
                bytes += record_bytes;
            }
            now = pace.ready_at(usize::MAX, usize::MAX);
        }
        bytes
    }

    #[test]
    fn a_shard_gets_its_limit_and_not_more() {
        let start = Clock::system().instant();
        let rate = sent(&mut Pace::new(start), start, 10, 50_000) / 10;
        assert!(
            (1_000_000..1_048_576).contains(&rate),
            "{rate} bytes a second"
        );
        let records = sent(&mut Pace::new(start), start, 10, 10) / 10 / 10;
        assert!(
            (970..=1_000).contains(&records),
            "{records} records a second"
        );
    }

    #[test]
    fn a_throttled_shard_slows_down_by_the_part_that_was_throttled_and_recovers() {
        let start = Clock::system().instant();
        let mut pace = Pace::new(start);
        (0..30).for_each(|_| pace.stored());
        (0..9).for_each(|_| pace.throttled(start));
        pace.refill(at(start, 1_000));
        pace.throttled(at(start, 1_000));
        let slowed = sent(&mut pace, at(start, 1_000), 1, 2_000);
        assert!(
            (750_000..850_000).contains(&slowed),
            "{slowed}: three quarters, and what comes back"
        );
        sent(&mut pace, at(start, 2_000), 20, 2_000);
        let recovered = sent(&mut pace, at(start, 22_000), 1, 2_000);
        assert!(recovered > 990_000, "{recovered}");
    }

    #[test]
    fn a_shard_that_is_always_throttled_is_still_tried() {
        let start = Clock::system().instant();
        let mut pace = Pace::new(start);
        for millis in (0..60_000).step_by(250) {
            pace.refill(at(start, millis));
            pace.throttled(at(start, millis));
        }
        let wait = pace.ready_at(1, 100).duration_since(at(start, 60_000));
        assert!(wait < Duration::from_secs(1), "{wait:?}");
    }

    #[test]
    fn a_large_record_goes_out_as_a_burst_and_is_waited_for_afterwards() {
        let start = Clock::system().instant();
        let mut pace = Pace::new(start);
        assert!(pace.allows());
        pace.spend(1_048_576);
        assert!(!pace.allows());
        let wait = pace.ready_at(1, 1).duration_since(start);
        assert!((950..=1_050).contains(&wait.as_millis()), "{wait:?}");
    }
}
