//! A token bucket per shard that learns its rate (AIMD: additive increase, multiplicative decrease).

use std::time::Duration;

use tokio::time::Instant;

/// The records that a shard takes in a second.
const RECORDS_PER_SECOND: f64 = 1_000.0;
/// The bytes of data and partition keys that a shard takes in a second.
const BYTES_PER_SECOND: f64 = 1_048_576.0;
/// A shard is written to when this much of its rate has gathered, or all that waits: small requests cost
/// more than they are worth.
const QUANTUM_SECONDS: f64 = 25.0 / 1_024.0;
/// The same in bytes: what AWS bills as one PUT payload unit.
pub(super) const QUANTUM_BYTES: usize = 25 * 1_024;
/// The capacity of the bucket, in seconds of the rate: the service would not take more at once.
const BURST_SECONDS: f64 = 0.2;
/// The part of the shard's rate that is used: what is sent in any second may be one quantum more.
const SHARE_MAX: f64 = 1.0 - 1.25 * QUANTUM_SECONDS;
/// The least part of the shard's rate: one quantum in 1.2 s.
const SHARE_MIN: f64 = 0.02;
/// The rate is judged by what happened within this time, so that one throttled record counts for what it is.
const JUDGED_AFTER: Duration = Duration::from_secs(1);
/// The least part that is taken off the rate of a full shard ...
const CUT_MIN: f32 = 0.03;
/// ... and so much of what was taken off in the same trial comes on top of it.
const CUT_AGAIN: f32 = 0.4;
/// A full shard gets a rest at so many throttled records of a period: with a rest at each of very many, what is
/// sent would depend on the rests and not on the rate.
const RESTS_MAX: f32 = 25.0;
/// The part of the shard's rate that comes back in a second, up to where it was throttled ...
const RECOVERED_PER_SECOND: f64 = 0.1;
/// ... and the part that is tried out from there, for some time, since the limit will hardly have moved.
const PROBED_PER_SECOND: f64 = 0.005;
/// The share of the rate at which it was throttled that the rate grows back to quickly.
const RECOVERED_TO: f64 = 0.95;
/// For how many seconds a throttled record is remembered.
const REMEMBERED_SECONDS: f64 = 10.0;
/// The largest difference between a count and its expectation that is taken for chance, in square roots of the expectation.
const CHANCE: f32 = 4.0;
/// Noise is what is still throttled when so much of the rate is left ...
const TRIED_TO: f32 = 0.75;
/// ... and so many records were throttled on the way ...
const TRIED_RECORDS_MIN: f32 = 16.0;
/// ... while each period kept so much of the part before it, less what chance takes off that.
const UNCHANGED_MIN: f32 = 0.8;
/// The part that is taken for noise at most: nobody is to hammer a shard that others fill.
const NOISE_MAX: f32 = 0.15;
/// The noise follows what is throttled in a period by this part of the difference.
const NOISE_FOLLOWS: f32 = 1.0 / 32.0;

/// The write rate of one shard: it starts at the shard's limits, falls by the part that the service throttles
/// (others write to the shard too), comes back to near where that was, and rises slowly from there. Several that
/// write to a shard by this rule come to about the same share of it.
///
/// A service may also throttle records at random. That part, the noise, stays what it is however low the rate,
/// while a full shard throttles less of less. So cuts in a row are a trial: if the part is the same at three
/// quarters of the rate, it is noise. It is borne with, and the rate is what it was before. When more is throttled
/// than noise and chance explain, the noise is forgotten and the rate falls: what still is noise is found again.
///
/// Records and bytes gather as time passes and may be overdrawn by the last record of a cut, so that a large
/// record goes out as a burst and is waited for afterwards.
#[derive(Clone, Debug)]
pub(in crate::put) struct ShardPacer {
    records: f64,
    bytes: f64,
    updated_at: Instant,
    /// The part of the shard's limits that is used.
    share: f64,
    /// The share when it was cut last.
    throttled_share: f64,
    /// The seconds since a record was throttled that is no noise.
    since_throttled: f64,
    /// The part that is throttled whatever the rate.
    noise: f32,
    /// The share where the cuts of this trial began; 0 where none is on.
    trial_share: f32,
    trial_counted: f32,
    trial_throttled: f32,
    /// Since when records are counted to judge the rate.
    judged_at: Instant,
    counted_stored: f32,
    counted_throttled: f32,
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

    /// Lets what the time since the last call is worth gather.
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

    /// The part of the limit that comes back in a second.
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

    /// Returns the time at which the bucket has enough tokens for these records, or for as many of them as make a request worth it.
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

    /// A record of this size is sent.
    #[expect(
        clippy::cast_precision_loss,
        reason = "records are far smaller than 2^52 bytes"
    )]
    pub(super) fn spend(&mut self, bytes: usize) {
        self.records -= 1.0;
        self.bytes -= bytes as f64;
    }

    /// A record was smaller than it was thought to be.
    #[expect(
        clippy::cast_precision_loss,
        reason = "records are far smaller than 2^52 bytes"
    )]
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.bytes += bytes as f64;
    }

    /// The service took a record.
    pub(super) fn stored(&mut self) {
        self.counted_stored += 1.0;
    }

    /// The service did not take a record because the shard's rate is used up.
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

    /// The part that was throttled.
    fn part(&self) -> f32 {
        self.counted_throttled / self.counted()
    }

    fn follow_noise(&mut self) {
        self.trial_share = 0.0;
        self.noise += (self.part() - self.noise) * NOISE_FOLLOWS;
        // It is no more than what was throttled and what chance may have left out.
        let at_most = self.counted_throttled + CHANCE * self.counted_throttled.sqrt();
        self.noise = self.noise.min(at_most / self.counted()).min(NOISE_MAX);
    }

    /// Lowers the rate by the part of the records that were throttled, or finds that this changes nothing.
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
        // Where nothing was stored it was not full but closed: there is nowhere to come back to.
        self.throttled_share = if self.counted_stored > 0.0 {
            self.share
        } else {
            0.0
        };
        self.share = (self.share * f64::from(1.0 - drain)).max(SHARE_MIN);
    }

    /// Whether the part that is throttled is less than before in this trial, or can be no noise.
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
