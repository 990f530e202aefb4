//! A token bucket per shard that learns its rate (AIMD: additive increase, multiplicative decrease).

use std::time::Duration;

use tokio::time::Instant;

use crate::prefetch::Touched;

/// The records that a shard takes in a second.
const RECORDS_PER_SECOND: f64 = 1_000.0;
/// The bytes of data and partition keys that a shard takes in a second.
const BYTES_PER_SECOND: f64 = 1_048_576.0;
/// The tokens that a shard's bucket must have before the shard is written to, in seconds of the rate (fewer if fewer
/// are needed for all waiting records): small requests cost more than they carry.
const QUANTUM_SECONDS: f64 = 25.0 / 1_024.0;
/// The same in bytes: one PUT payload unit as AWS bills it.
pub(super) const QUANTUM_BYTES: usize = 25 * 1_024;
/// The capacity of the bucket, in seconds of the rate. The service would not take more at once.
const BURST_SECONDS: f64 = 0.2;
/// The highest part of the shard's rate that is used. In any second, one quantum more than that may be sent.
const SHARE_MAX: f64 = 1.0 - 1.25 * QUANTUM_SECONDS;
/// The lowest part of the shard's rate: one quantum in 1.2 s.
const SHARE_MIN: f64 = 0.02;
/// The period after which the rate is adjusted. A shorter one would give a single throttled record too much weight.
const JUDGED_AFTER: Duration = Duration::from_secs(1);
/// The smallest decrease of the rate of a full shard, as a part of it ...
const CUT_MIN: f32 = 0.03;
/// ... to which this part of the decrease so far in the same trial is added.
const CUT_AGAIN: f32 = 0.4;
/// The number of throttled records of a period that empty the bucket, each when it comes. If all of very many did, the
/// amount that is sent would depend on them and not on the rate.
const RESTS_MAX: f32 = 25.0;
/// The additive increase in a second, as a part of the shard's rate, up to where it was throttled ...
const RECOVERED_PER_SECOND: f64 = 0.1;
/// ... and from there on, since the limit has hardly moved in the meantime.
const PROBED_PER_SECOND: f64 = 0.005;
/// The part of the throttled rate up to which the rate grows back quickly.
const RECOVERED_TO: f64 = 0.95;
/// The number of seconds for which a throttled record is remembered.
const REMEMBERED_SECONDS: f64 = 10.0;
/// The largest difference between a count and its expectation that is taken for chance, in square roots of the expectation.
const CHANCE: f32 = 4.0;
/// The part of the rate at which a trial ends: records that are still throttled are noise ...
const TRIED_TO: f32 = 0.75;
/// ... if at least this number of records was throttled in the trial ...
const TRIED_RECORDS_MIN: f32 = 16.0;
/// ... and each period throttled at least this part of the share before it, less what chance explains.
const UNCHANGED_MIN: f32 = 0.8;
/// The largest part that counts as noise: more is a shard that other writers fill.
const NOISE_MAX: f32 = 0.15;
/// The weight of a period in the moving average of the noise.
const NOISE_FOLLOWS: f32 = 1.0 / 32.0;

/// The write rate of one shard. It starts at the shard's limits. When the service throttles records, because others
/// write to the shard too, it falls by the part that was throttled, grows back quickly to near the throttled rate, and
/// slowly from there. Several writers with this rule come to about equal shares of a shard.
///
/// A service may also throttle records at random. This part, the noise, does not depend on the rate, while a full shard
/// throttles fewer records at a lower rate. So decreases in a row are a trial: if the throttled part is still the same
/// at three quarters of the rate, it is noise. Then the rate returns to its value before the trial, and the noise is
/// accepted. When more is throttled than noise and chance explain, the noise is forgotten and the rate falls again; a
/// new trial finds the noise that remains.
///
/// The bucket fills as time passes and the last record of a request may overdraw it: a large record is sent as a burst,
/// and the shard waits afterwards.
///
/// The fields that every record reads come first and fill a cache line.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(in crate::put) struct ShardPacer {
    records: f64,
    bytes: f64,
    updated_at: Instant,
    /// The part of the shard's limits that is used.
    share: f64,
    /// The share at the last decrease.
    throttled_share: f64,
    /// The seconds since the last throttled record that was not noise.
    since_throttled: f64,
    counted_stored: f32,
    counted_throttled: f32,
    /// The part of the records that is throttled at any rate.
    noise: f32,
    /// The share at the begin of the current trial; 0 without one.
    trial_share: f32,
    trial_counted: f32,
    trial_throttled: f32,
    /// The begin of the current period.
    judged_at: Instant,
}

impl ShardPacer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            records: RECORDS_PER_SECOND * QUANTUM_SECONDS,
            bytes: BYTES_PER_SECOND * QUANTUM_SECONDS,
            updated_at: now,
            share: SHARE_MAX,
            throttled_share: SHARE_MAX,
            since_throttled: f64::INFINITY,
            noise: 0.0,
            trial_share: 0.0,
            trial_counted: 0.0,
            trial_throttled: 0.0,
            judged_at: now,
            counted_stored: 0.0,
            counted_throttled: 0.0,
        }
    }

    /// Prefetches what each record reads.
    #[inline]
    pub(super) fn prefetch(&self) -> Touched {
        Touched::read(self.counted_stored.to_bits() as usize)
    }

    /// Adds the tokens of the time since the last call.
    pub(super) fn refill(&mut self, now: Instant) {
        let seconds = now.duration_since(self.updated_at).as_secs_f64();
        self.updated_at = now;
        let gather =
            |have: f64, rate: f64| (have + rate * self.share * seconds).min(rate * BURST_SECONDS);
        self.records = gather(self.records, RECORDS_PER_SECOND);
        self.bytes = gather(self.bytes, BYTES_PER_SECOND);
        self.share = (self.share + self.recovery() * seconds).min(SHARE_MAX);
        self.since_throttled += seconds;
    }

    /// Returns the additive increase in a second, as a part of the limit.
    fn recovery(&self) -> f64 {
        let is_remembered = self.since_throttled < REMEMBERED_SECONDS;
        if is_remembered && self.share >= self.throttled_share * RECOVERED_TO {
            PROBED_PER_SECOND
        } else {
            RECOVERED_PER_SECOND
        }
    }

    /// Whether another record may be sent now.
    pub(super) fn allows(&self) -> bool {
        self.records > 0.0 && self.bytes > 0.0
    }

    /// Returns the bytes that may be sent now without overdrawing the bucket.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "drain off at 0 and far below 2^53"
    )]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.max(0.0) as usize
    }

    /// Returns the time at which the bucket has enough tokens for these records, or a quantum of tokens if that is less.
    pub(super) fn ready_at(&self, records: usize, bytes: usize) -> Instant {
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

    /// Takes the tokens of a record that is sent.
    #[expect(
        clippy::cast_precision_loss,
        reason = "records are far smaller than 2^52 bytes"
    )]
    pub(super) fn spend(&mut self, bytes: usize) {
        self.records -= 1.0;
        self.bytes -= bytes as f64;
    }

    /// Gives tokens back for a record that was smaller than its upper bound.
    #[expect(
        clippy::cast_precision_loss,
        reason = "records are far smaller than 2^52 bytes"
    )]
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.bytes += bytes as f64;
    }

    /// Counts a stored record.
    pub(super) fn stored(&mut self) {
        self.counted_stored += 1.0;
    }

    /// Counts a throttled record, and lowers the rate at the end of a period.
    pub(in crate::put) fn throttled(&mut self, now: Instant) {
        self.counted_throttled += 1.0;
        let noise = self.noise * self.counted();
        let beyond = self.counted_throttled - noise;
        let is_full = beyond > CHANCE * noise.sqrt();
        if is_full {
            self.since_throttled = 0.0;
        }
        if is_full && beyond <= RESTS_MAX {
            self.records = self.records.min(0.0);
            self.bytes = self.bytes.min(0.0);
        }
        if now.duration_since(self.judged_at) >= JUDGED_AFTER {
            if is_full {
                self.lower();
            } else {
                self.follow_noise();
            }
            self.judged_at = now;
            (self.counted_stored, self.counted_throttled) = (0.0, 0.0);
        }
    }

    fn counted(&self) -> f32 {
        self.counted_stored + self.counted_throttled
    }

    /// Returns the part of the records of this period that was throttled.
    fn part(&self) -> f32 {
        self.counted_throttled / self.counted()
    }

    fn follow_noise(&mut self) {
        self.trial_share = 0.0;
        self.noise += (self.part() - self.noise) * NOISE_FOLLOWS;
        // The noise is at most the throttled part of this period, plus what chance explains.
        let at_most = self.counted_throttled + CHANCE * self.counted_throttled.sqrt();
        self.noise = self.noise.min(at_most / self.counted()).min(NOISE_MAX);
    }

    /// Lowers the rate by the part of the records that were throttled, or ends the trial if that has no effect.
    #[expect(clippy::cast_possible_truncation, reason = "a part of 1")]
    fn lower(&mut self) {
        let share = self.share as f32;
        self.noise = 0.0;
        if share >= self.trial_share || self.is_changed() {
            self.trial_share = share;
            (self.trial_counted, self.trial_throttled) = (0.0, 0.0);
        }
        self.trial_counted += self.counted();
        self.trial_throttled += self.counted_throttled;
        let left = share / self.trial_share;
        if left < TRIED_TO && self.trial_throttled >= TRIED_RECORDS_MIN {
            self.noise = (self.trial_throttled / self.trial_counted).min(NOISE_MAX);
            self.share = f64::from(self.trial_share);
            self.since_throttled = f64::INFINITY;
            self.trial_share = 0.0;
            return;
        }
        let drain = self.part().max(CUT_MIN + CUT_AGAIN * (1.0 - left));
        // If nothing was stored, the shard is closed rather than full: there is no rate to return to.
        self.throttled_share = if self.counted_stored > 0.0 {
            self.share
        } else {
            0.0
        };
        self.share = (self.share * f64::from(1.0 - drain)).max(SHARE_MIN);
    }

    /// Whether the throttled part is lower than before in this trial, or too high for noise.
    fn is_changed(&self) -> bool {
        let expected = self.counted() * self.trial_throttled / self.trial_counted.max(1.0);
        self.counted_throttled < expected * UNCHANGED_MIN - expected.sqrt()
            || self.part() > NOISE_MAX
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
    fn sent(pace: &mut ShardPacer, from: Instant, seconds: u64, record_bytes: usize) -> usize {
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
        let rate = sent(&mut ShardPacer::new(start), start, 10, 50_000) / 10;
        assert!(
            (1_000_000..1_048_576).contains(&rate),
            "{rate} bytes a second"
        );
        let records = sent(&mut ShardPacer::new(start), start, 10, 10) / 10 / 10;
        assert!(
            (970..=1_000).contains(&records),
            "{records} records a second"
        );
    }

    #[test]
    fn a_throttled_shard_slows_down_by_the_part_that_was_throttled_and_recovers() {
        let start = Clock::system().instant();
        let mut pace = ShardPacer::new(start);
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
        let mut pace = ShardPacer::new(start);
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
        let mut pace = ShardPacer::new(start);
        assert!(pace.allows());
        pace.spend(1_048_576);
        assert!(!pace.allows());
        let wait = pace.ready_at(1, 1).duration_since(start);
        assert!((950..=1_050).contains(&wait.as_millis()), "{wait:?}");
    }
}

#[cfg(test)]
#[path = "pacer_tests.rs"]
mod simulated;
