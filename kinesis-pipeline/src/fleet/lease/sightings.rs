use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::Lease;
use crate::shard::ShardId;

/// The times at which this worker saw each lease's counter change, by its own monotonic clock.
///
/// Expiry needs no clock of another machine: a lease is expired when its counter has been silent for the fail-over
/// time. Silence is measured from the end of the first list call with the present counter to the start of the latest
/// one with it. So a slow call makes it shorter, never longer.
#[derive(Debug, Default)]
pub(in crate::fleet) struct Sightings {
    seen: HashMap<ShardId, Sighting>,
    /// The start of the latest list call.
    asked_at: Option<Instant>,
}

#[derive(Debug)]
struct Sighting {
    counter: u64,
    since: Instant,
    /// The beginning of the current hand-over.
    hand_over_since: Option<Instant>,
}

impl Sightings {
    /// Takes in a list of leases that was requested at `asked_at` and arrived at `now`.
    pub(in crate::fleet) fn observe(&mut self, leases: &[Lease], asked_at: Instant, now: Instant) {
        self.asked_at = Some(asked_at);
        let mut seen = HashMap::with_capacity(leases.len());
        for lease in leases {
            let before = self.seen.remove(&lease.shard_id);
            let is_same = |sighting: &Sighting| sighting.counter == lease.counter;
            let since = before.as_ref().filter(|before| is_same(before));
            let handing_over = before.as_ref().and_then(|before| before.hand_over_since);
            let sighting = Sighting {
                counter: lease.counter,
                since: since.map_or(now, |before| before.since),
                hand_over_since: lease
                    .checkpoint_owner
                    .as_ref()
                    .map(|_| handing_over.unwrap_or(now)),
            };
            seen.insert(lease.shard_id.clone(), sighting);
        }
        self.seen = seen;
    }

    /// Returns the time for which the counter has been silent, at least.
    pub(in crate::fleet) fn silence(&self, shard_id: &ShardId) -> Duration {
        self.since(self.seen.get(shard_id).map(|sighting| sighting.since))
    }

    /// Returns the time for which a hand-over has been under way, at least.
    pub(in crate::fleet) fn hand_over_time(&self, shard_id: &ShardId) -> Duration {
        let sighting = self.seen.get(shard_id);
        self.since(sighting.and_then(|sighting| sighting.hand_over_since))
    }

    fn since(&self, time: Option<Instant>) -> Duration {
        match (self.asked_at, time) {
            (Some(asked_at), Some(time)) => asked_at.saturating_duration_since(time),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::lease::LeaseCheckpoint;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_first_answer_to_the_last_question() {
        let start = crate::Clock::system().instant();
        let shard = ShardId::from("s");
        let mut lease = Lease::new(shard.clone(), LeaseCheckpoint::TrimHorizon);
        let mut sightings = Sightings::default();
        sightings.observe(std::slice::from_ref(&lease), start, start + 3 * SECOND);
        assert_eq!(sightings.silence(&shard), Duration::ZERO);
        let (asked, came) = (start + 10 * SECOND, start + 60 * SECOND);
        sightings.observe(std::slice::from_ref(&lease), asked, came);
        assert_eq!(sightings.silence(&shard), 7 * SECOND);
        lease.counter += 1;
        sightings.observe(&[lease], came, came);
        assert_eq!(sightings.silence(&shard), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_comes_back_was_not_silent_while_it_was_gone() {
        let start = crate::Clock::system().instant();
        let shard = ShardId::from("s");
        let lease = Lease::new(shard.clone(), LeaseCheckpoint::TrimHorizon);
        let mut sightings = Sightings::default();
        sightings.observe(std::slice::from_ref(&lease), start, start);
        sightings.observe(&[], start + SECOND, start + SECOND);
        sightings.observe(&[lease], start + 2 * SECOND, start + 2 * SECOND);
        assert_eq!(sightings.silence(&shard), Duration::ZERO);
    }
}
