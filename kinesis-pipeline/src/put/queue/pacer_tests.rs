//! Paces that write to a simulated shard, in virtual time: alone and together, with and without random failures.

use std::{collections::VecDeque, ops::Range};

use super::*;
use crate::Clock;

const SEEDS: Range<u64> = 0..8;
/// A small record, and an aggregate of one PUT payload unit.
const SMALL: u32 = 100;
const AGGREGATE: u32 = 25 * 1_024;

/// A shard's rate: full buckets hold what a second brings.
struct Shard {
    records: f64,
    bytes: f64,
    /// The part of the records that is throttled whatever the rate.
    noise: f64,
    random: fastrand::Rng,
}

impl Shard {
    fn fill(&mut self, seconds: f64) {
        self.records = (self.records + RECORDS_PER_SECOND * seconds).min(RECORDS_PER_SECOND);
        self.bytes = (self.bytes + BYTES_PER_SECOND * seconds).min(BYTES_PER_SECOND);
    }

    fn takes(&mut self, bytes: u32) -> bool {
        let bytes = f64::from(bytes);
        let takes = self.random.f64() >= self.noise && self.records >= 1.0 && self.bytes >= bytes;
        if takes {
            self.records -= 1.0;
            self.bytes -= bytes;
        }
        takes
    }
}

/// What was stored and throttled in each second.
type Tally = Vec<[u32; 2]>;

/// Writes as much as its pace allows.
struct Paced {
    pace: ShardPacer,
    record_bytes: u32,
    begins_at: u64,
    latency_millis: u64,
    /// When they come, and whether they are good.
    answers: VecDeque<(u64, bool)>,
    tally: Tally,
}

/// Another writer, which does not care for what is throttled.
struct Other {
    share: f64,
    record_bytes: u32,
    until: u64,
    owed: f64,
}

struct Simulation {
    shard: Shard,
    paced: Vec<Paced>,
    other: Option<Other>,
    start: Instant,
    millis: u64,
}

/// Records of this size that a shard takes in a second.
fn limit(record_bytes: u32) -> f64 {
    RECORDS_PER_SECOND.min(BYTES_PER_SECOND / f64::from(record_bytes))
}

impl Simulation {
    fn new(seed: u64, noise: f64) -> Self {
        Self {
            shard: Shard {
                records: RECORDS_PER_SECOND,
                bytes: BYTES_PER_SECOND,
                noise,
                random: fastrand::Rng::with_seed(seed),
            },
            paced: Vec::new(),
            other: None,
            start: Clock::system().instant(),
            millis: 0,
        }
    }

    fn paced(mut self, record_bytes: u32, begins_at: u64) -> Self {
        self.paced.push(Paced {
            pace: ShardPacer::new(self.start + Duration::from_millis(begins_at)),
            record_bytes,
            begins_at,
            latency_millis: 20,
            answers: VecDeque::new(),
            tally: Tally::new(),
        });
        self
    }

    fn other(mut self, share: f64, record_bytes: u32, until: u64) -> Self {
        self.other = Some(Other {
            share,
            record_bytes,
            until,
            owed: 0.0,
        });
        self
    }

    fn run(mut self, seconds: u64) -> Self {
        for _ in 0..seconds {
            for writer in &mut self.paced {
                writer.tally.push([0; 2]);
            }
            (0..1_000).for_each(|_| self.step());
        }
        self
    }

    fn step(&mut self) {
        self.millis += 1;
        self.shard.fill(0.001);
        let millis = self.millis;
        if let Some(other) = self.other.as_mut().filter(|other| millis < other.until) {
            let most = limit(other.record_bytes) * other.share / 1_000.0 * 2.0;
            other.owed += most * self.shard.random.f64();
            while other.owed >= 1.0 {
                other.owed -= 1.0;
                self.shard.takes(other.record_bytes);
            }
        }
        let now = self.start + Duration::from_millis(millis);
        let first = self.shard.random.usize(..self.paced.len());
        self.paced.rotate_left(first);
        for writer in &mut self.paced {
            writer.step(&mut self.shard, millis, now);
        }
        self.paced.rotate_right(first);
    }

    /// What a writer stored in these seconds, as a part of the shard's limit.
    fn stored(&self, writer: usize, seconds: Range<usize>) -> f64 {
        let writer = &self.paced[writer];
        let limit = limit(writer.record_bytes) * f64::from(u32::try_from(seconds.len()).unwrap());
        let stored: u32 = writer.tally[seconds].iter().map(|[stored, _]| stored).sum();
        f64::from(stored) / limit
    }

    /// The part of what all wrote that was throttled.
    fn throttled(&self, seconds: &Range<usize>) -> f64 {
        let tallies = self.paced.iter();
        let (stored, throttled) = tallies
            .flat_map(|writer| &writer.tally[seconds.clone()])
            .fold((0, 0), |(stored, throttled), second| {
                (stored + second[0], throttled + second[1])
            });
        f64::from(throttled) / f64::from(stored + throttled)
    }
}

impl Paced {
    fn step(&mut self, shard: &mut Shard, millis: u64, now: Instant) {
        if millis < self.begins_at {
            return;
        }
        while let Some((_, is_stored)) = self.answers.pop_front_if(|(at, _)| *at <= millis) {
            if is_stored {
                self.pace.stored();
            } else {
                self.pace.throttled(now);
            }
            if let Some(second) = self.tally.last_mut() {
                second[usize::from(!is_stored)] += 1;
            }
        }
        self.pace.refill(now);
        if self.pace.ready_at(usize::MAX, usize::MAX) > now {
            return;
        }
        while self.pace.allows() {
            self.pace.spend(self.record_bytes as usize);
            let is_stored = shard.takes(self.record_bytes);
            let at = millis + self.latency_millis;
            self.answers.push_back((at, is_stored));
        }
    }
}

/// Runs with several seeds.
fn runs(simulation: impl Fn(u64) -> Simulation, seconds: u64) -> Vec<Simulation> {
    SEEDS.map(|seed| simulation(seed).run(seconds)).collect()
}

/// The mean, the least and the most of what the runs measure.
fn over(runs: &[Simulation], measure: impl Fn(&Simulation) -> f64) -> [f64; 3] {
    let measured: Vec<f64> = runs.iter().map(measure).collect();
    let count = f64::from(u32::try_from(runs.len()).unwrap());
    let least = measured.iter().copied().fold(f64::INFINITY, f64::min);
    let most = measured.iter().copied().fold(0.0, f64::max);
    [measured.iter().sum::<f64>() / count, least, most]
}

#[test]
fn a_pace_is_no_larger_than_it_must_be() {
    // Two cache lines, of which each record reads the first.
    assert!(
        size_of::<ShardPacer>() <= 128,
        "{}",
        size_of::<ShardPacer>()
    );
}

#[test]
fn alone_it_uses_the_shard_and_is_not_throttled() {
    for record_bytes in [10, SMALL, 2_000, AGGREGATE, 2 * AGGREGATE] {
        let run = Simulation::new(1, 0.0).paced(record_bytes, 0).run(30);
        let (stored, throttled) = (run.stored(0, 1..30), run.throttled(&(0..30)));
        assert!(stored > 0.965, "{record_bytes}: {stored}");
        assert!(throttled < 0.001, "{record_bytes}: {throttled}");
    }
}

#[test]
fn random_failures_do_not_slow_it_down() {
    for noise in [0.005, 0.01, 0.02, 0.05, 0.1] {
        let runs = runs(|seed| Simulation::new(seed, noise).paced(SMALL, 0), 70);
        let [mean, least, _] = over(&runs, |run| run.stored(0, 10..70));
        assert!(mean > 0.9 * (1.0 - noise), "{noise}: {mean}");
        assert!(least > 0.75 * (1.0 - noise), "{noise}: {least}");
    }
}

#[test]
fn random_failures_of_few_aggregates_slow_it_down_little() {
    for noise in [0.01, 0.02] {
        let runs = runs(|seed| Simulation::new(seed, noise).paced(AGGREGATE, 0), 70);
        let [mean, _, _] = over(&runs, |run| run.stored(0, 10..70));
        assert!(mean > 0.78, "{noise}: {mean}");
    }
}

#[test]
fn beside_a_writer_that_gives_nothing_up_it_takes_what_is_left() {
    for (share, record_bytes, throttled_max) in [
        (0.25, SMALL, 0.003),
        (0.5, SMALL, 0.01),
        (0.75, SMALL, 0.03),
        (0.5, AGGREGATE, 0.03),
    ] {
        let left = 1.0 - share;
        let beside = |seed| {
            let run = Simulation::new(seed, 0.0).paced(record_bytes, 0);
            run.other(share, record_bytes, u64::MAX)
        };
        let runs = runs(beside, 70);
        let [_, least, _] = over(&runs, |run| run.stored(0, 10..70));
        let [throttled, _, _] = over(&runs, |run| run.throttled(&(10..70)));
        assert!(least > 0.95 * left, "{share}, {record_bytes}: {least}");
        assert!(
            throttled < throttled_max,
            "{share}, {record_bytes}: {throttled}"
        );
    }
}

#[test]
#[ignore = "takes long without optimization: see CONTRIBUTING.md"]
fn several_share_a_shard_evenly() {
    for (writers, record_bytes, uneven_max, throttled_max) in [
        (2, SMALL, 0.1, 0.005),
        (3, SMALL, 0.1, 0.005),
        (4, SMALL, 0.1, 0.01),
        (8, SMALL, 0.15, 0.1),
        // With so few records a second, who is throttled is a matter of luck.
        (2, AGGREGATE, 0.35, 0.025),
        (4, AGGREGATE, 0.2, 0.08),
    ] {
        let sharing = |seed| {
            // They do not begin at once.
            let begins = (0..writers).map(|writer: u64| 137 * writer);
            begins.fold(Simulation::new(seed, 0.0), |run, at| {
                run.paced(record_bytes, at)
            })
        };
        let runs = runs(sharing, 120);
        let each = |run: &Simulation| {
            (0..run.paced.len())
                .map(|writer| run.stored(writer, 20..120))
                .collect::<Vec<_>>()
        };
        let [_, total, _] = over(&runs, |run| each(run).iter().sum());
        let [_, least, _] = over(&runs, |run| each(run).into_iter().fold(1.0, f64::min));
        let [_, _, most] = over(&runs, |run| each(run).into_iter().fold(0.0, f64::max));
        let [throttled, _, _] = over(&runs, |run| run.throttled(&(20..120)));
        let even = 1.0 / f64::from(u32::try_from(writers).unwrap());
        let case = format!("{writers}, {record_bytes}: {least}..{most} of {total}, {throttled}");
        assert!(total > 0.95, "{case}");
        assert!(least > (1.0 - uneven_max) * even, "{case}");
        assert!(most < (1.0 + uneven_max) * even, "{case}");
        assert!(throttled < throttled_max, "{case}");
    }
}

#[test]
fn two_share_a_shard_that_also_fails_at_random() {
    let sharing = |seed| {
        let run = Simulation::new(seed, 0.02).paced(SMALL, 0);
        run.paced(SMALL, 137)
    };
    let runs = runs(sharing, 120);
    let both = |run: &Simulation| [0, 1].map(|writer| run.stored(writer, 20..120));
    let [_, total, _] = over(&runs, |run| both(run).iter().sum());
    let [_, least, _] = over(&runs, |run| both(run).into_iter().fold(1.0, f64::min));
    let [throttled, _, _] = over(&runs, |run| run.throttled(&(20..120)));
    assert!(total > 0.9, "{total}");
    assert!(least > 0.15, "{least}");
    assert!(throttled < 0.07, "{throttled}");
}

#[test]
fn who_comes_later_gets_a_share() {
    let later = |seed| {
        let run = Simulation::new(seed, 0.0).paced(SMALL, 0);
        run.paced(SMALL, 20_300)
    };
    let [mean, least, most] = over(&runs(later, 80), |run| run.stored(1, 30..80));
    assert!(least > 0.35 && most < 0.65, "{mean}, {least}, {most}");
}

#[test]
fn it_comes_back_when_the_shard_is_relieved() {
    let relieved = |seed| {
        let run = Simulation::new(seed, 0.0).paced(SMALL, 0);
        run.other(0.5, SMALL, 30_000)
    };
    let [mean, least, _] = over(&runs(relieved, 50), |run| run.stored(0, 45..50));
    assert!(mean > 0.95 && least > 0.9, "{mean}, {least}");
}

#[test]
fn a_shard_that_takes_nothing_is_tried_and_not_hammered() {
    for record_bytes in [SMALL, AGGREGATE] {
        let run = Simulation::new(1, 1.0).paced(record_bytes, 0).run(60);
        let tally = &run.paced[0].tally[10..];
        let longest = tally.split(|[_, tried]| *tried > 0).map(<[_]>::len).max();
        let tried: u32 = tally.iter().map(|[_, tried]| tried).sum();
        assert!(longest <= Some(2), "{record_bytes}: {tally:?}");
        assert!(
            f64::from(tried) < 0.03 * 50.0 * limit(record_bytes),
            "{tried}"
        );
    }
}

#[test]
fn large_records_go_out_at_the_shards_rate() {
    let run = Simulation::new(1, 0.0).paced(1_048_576, 0).run(30);
    let stored = run.stored(0, 0..30);
    assert!(stored > 0.9, "{stored}");
    assert!(run.throttled(&(0..30)) < 0.1);
}
