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
const SHARE_MAX: f32 = 1.0 - 1.25 * 25.0 / 1_024.0;
/// The least part of the shard's rate: one quantum in 1.2 s.
const SHARE_MIN: f32 = 0.02;
/// The rate is judged by what happened within this time at least: a shard counts its rate by the second.
const JUDGED_AFTER: Duration = Duration::from_secs(1);
/// What happened in the time before the last so many records is forgotten, ...
const JUDGED_RECORDS: f32 = 200.0;
/// ... or before so many seconds where records are few: one that is throttled counts for what it is.
const JUDGED_SECONDS_MAX: f32 = 4.0;
/// The part that may be throttled, beyond what is whatever the rate: to find the limit again costs some.
const THROTTLED_MAX: f32 = 0.01;
/// So many records must have been throttled to tell a limit from an accident ...
const THROTTLED_RECORDS_MIN: f32 = 2.0;
/// ... and so many to see in one period whether a lower rate changes anything.
const TRIED_RECORDS_MIN: f32 = 8.0;
/// A lower rate has changed nothing if at half of the rate this much of the part is still throttled.
const UNCHANGED_MIN: f32 = 0.5;
/// The part that is taken for one that no rate changes, at most: nobody is to hammer a shard that others fill.
const NOISE_MAX: f32 = 0.15;
/// The rate falls to so much of what the shard took: it has to make up for what was too much.
const CUT_TO: f32 = 0.87;
/// The rate comes back with the third power of the time from when it is where the shard was full: soon near
/// that, then hardly, since the limit will not have moved far, then ever faster. Half of the shard's rate comes
/// back in 6.3 s from there.
const RECOVERED_PER_CUBIC_SECOND: f64 = 0.002;

/// The write rate of one shard: it starts at the shard's limits, falls to what the service takes if it throttles
/// (others write to the shard too), comes back to near where that was, and rises from there, slowly at first.
///
/// A service may also throttle records at random. The part that it throttles then stays what it is however slow
/// the records come, while a full shard throttles less of less. So the rate is lowered on trial; if nothing has
/// changed at half of it, the part is borne with from then on, and the rate is what it was before.
///
/// Records and bytes gather as time passes and may be overdrawn by the last record of a cut, so that a large
/// record goes out as a burst and is waited for afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    records: f64,
    bytes: f64,
    updated_at: Instant,
    /// The part of the shard's limits that is used.
    share: f32,
    /// What the shard took when it was full last, as a part of its limits.
    full_share: f32,
    /// The seconds since the share was back there; negative before.
    since_full: f64,
    /// The part that is throttled whatever the rate.
    noise: f32,
    /// While the rate is lowered to see whether that changes anything.
    trial: Option<Trial>,
    /// Since when records are counted to judge the rate.
    judged_at: Instant,
    counted_stored: f32,
    counted_throttled: f32,
}

/// What was before the rate was lowered.
#[derive(Clone, Copy, Debug)]
struct Trial {
    share: f32,
    /// The part that was throttled.
    part: f32,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            records: RECORDS_PER_SECOND * QUANTUM_SECONDS,
            bytes: BYTES_PER_SECOND * QUANTUM_SECONDS,
            updated_at: now,
            share: SHARE_MAX,
            full_share: SHARE_MAX,
            since_full: 0.0,
            noise: 0.0,
            trial: None,
            judged_at: now,
            counted_stored: 0.0,
            counted_throttled: 0.0,
        }
    }

    /// Lets what the time since the last call is worth gather.
    pub(crate) fn refill(&mut self, now: Instant) {
        let seconds = now.duration_since(self.updated_at).as_secs_f64();
        self.updated_at = now;
        let gathered = f64::from(self.share) * seconds;
        let gather = |have: f64, rate: f64| (have + rate * gathered).min(rate * BURST_SECONDS);
        self.records = gather(self.records, RECORDS_PER_SECOND);
        self.bytes = gather(self.bytes, BYTES_PER_SECOND);
        if self.share < SHARE_MAX {
            self.recover(now, seconds);
        }
    }

    /// Raises the rate, or ends the period of a trial.
    fn recover(&mut self, now: Instant, seconds: f64) {
        if self.trial.is_some() {
            return self.judge(now);
        }
        self.since_full += seconds;
        let rise = RECOVERED_PER_CUBIC_SECOND * self.since_full.powi(3);
        #[expect(clippy::cast_possible_truncation, reason = "a part of 1 or cut to it")]
        let rise = rise.clamp(-1.0, 1.0) as f32;
        self.share = (self.full_share + rise).clamp(SHARE_MIN, SHARE_MAX);
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
            (need.min(rate * QUANTUM_SECONDS) - have) / (rate * f64::from(self.share))
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
        if self.trial.is_none() {
            self.forget(now);
        }
        self.counted_throttled += 1.0;
        self.judge(now);
    }

    /// Forgets what happened too long ago to judge the rate by.
    fn forget(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.judged_at);
        let seconds = elapsed.as_secs_f32();
        let longest = JUDGED_SECONDS_MAX / seconds;
        let shortest = JUDGED_AFTER.as_secs_f32() / seconds;
        let kept = (JUDGED_RECORDS / self.counted()).clamp(shortest, longest);
        // Not at every record: the last one is rarely the only one.
        if kept < 0.5 {
            self.counted_stored *= kept;
            self.counted_throttled *= kept;
            self.judged_at = now - elapsed.mul_f32(kept);
        }
    }

    fn counted(&self) -> f32 {
        self.counted_stored + self.counted_throttled
    }

    /// Changes the rate by what happened to the records, if that was long enough.
    fn judge(&mut self, now: Instant) {
        if now.duration_since(self.judged_at) < JUDGED_AFTER {
            return;
        }
        let part = self.counted_throttled / self.counted().max(1.0);
        let is_full = self.is_full();
        let Some(trial) = self.trial else {
            if is_full {
                let share = self.share;
                let is_telling = self.counted_throttled >= TRIED_RECORDS_MIN;
                self.trial = is_telling.then_some(Trial { share, part });
                // One was awaited: of few large records it must not count for a large part.
                let part = (self.counted_throttled - 1.0) / self.counted();
                return self.cut(part, share, now);
            }
            return self.lower_noise();
        };
        let half = trial.share / 2.0;
        if !is_full && part <= f32::midpoint(self.noise, trial.part) {
            self.lower_noise();
            self.trial = None;
            self.count_anew(now);
        } else if self.share > half {
            self.cut(part, half, now);
        } else if self.is_unchanged(part, trial) {
            self.noise = part;
            self.trial = None;
            (self.share, self.full_share, self.since_full) = (trial.share, trial.share, 0.0);
            self.count_anew(now);
        } else {
            let share = self.share;
            self.trial = Some(Trial { share, part });
            self.cut(part, share, now);
        }
    }

    /// Whether more is throttled than is borne with, by twice of what chance may add.
    fn is_full(&self) -> bool {
        let borne = self.counted() * (self.noise + THROTTLED_MAX);
        self.counted_throttled > borne + 2.0 * borne.sqrt()
            && self.counted_throttled >= THROTTLED_RECORDS_MIN
    }

    fn is_unchanged(&self, part: f32, trial: Trial) -> bool {
        let is_telling = self.counted() * trial.part >= TRIED_RECORDS_MIN / 2.0;
        is_telling && part <= NOISE_MAX && part >= trial.part * UNCHANGED_MIN
    }

    /// What is throttled whatever the rate is no more than what was throttled now and what chance may have left
    /// out.
    fn lower_noise(&mut self) {
        let throttled = self.counted_throttled;
        let at_most = throttled + 2.0 * (throttled + 1.0).sqrt();
        self.noise = self.noise.min(at_most / self.counted().max(1.0));
    }

    /// Lowers the rate to less than what the shard took when this part was throttled.
    fn cut(&mut self, part: f32, share_max: f32, now: Instant) {
        let excess = ((part - self.noise) / (1.0 - self.noise)).max(0.0);
        self.full_share = (self.share * (1.0 - excess)).max(SHARE_MIN);
        self.share = (self.full_share * CUT_TO).min(share_max).max(SHARE_MIN);
        let fall = f64::from(self.full_share - self.share);
        self.since_full = -(fall / RECOVERED_PER_CUBIC_SECOND).cbrt();
        // A full shard gets a rest; the slowest rate is rest enough.
        if self.share > SHARE_MIN {
            self.records = self.records.min(0.0);
            self.bytes = self.bytes.min(0.0);
        }
        self.count_anew(now);
    }

    fn count_anew(&mut self, now: Instant) {
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
    fn a_throttled_shard_slows_down_to_less_than_it_took_and_recovers() {
        let start = Clock::system().instant();
        let mut pace = Pace::new(start);
        (0..30).for_each(|_| pace.stored());
        (0..9).for_each(|_| pace.throttled(start));
        pace.refill(at(start, 1_000));
        pace.throttled(at(start, 1_000));
        let slowed = sent(&mut pace, at(start, 1_000), 1, 2_000);
        assert!(
            (600_000..700_000).contains(&slowed),
            "{slowed}: seven eighths of three quarters"
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

#[cfg(test)]
#[path = "pace_tests.rs"]
mod simulated;
