use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::get::Ordinal;

/// The gate through which lanes begin queued records.
///
/// The lanes of a shard that the worker leaves still process the queued records before the last one that any lane has
/// begun, and drop the rest. Then the watermark is behind all processed records, and the next owner repeats nothing. A
/// lock, taken once per batch, keeps beginning and draining apart:
///
/// ```text
///   lane A: takes 7..9                    begin: refused by `drain`, or noted before it
///   driver:             drain
///   lane B:                               takes 8: allowed up to the noted 9
/// ```
#[derive(Debug, Default)]
pub(super) struct DrainMark(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: DrainPhase,
    /// One more than the last step that a lane has begun.
    begun_to: Ordinal,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DrainPhase {
    /// Lanes begin with all queued records.
    #[default]
    Open,
    /// Lanes begin only with records before the last one that was begun.
    Draining,
    /// Lanes begin with no more records.
    Closed,
}

impl DrainMark {
    /// Returns the number of these steps, in their order, that a lane may begin with.
    pub(super) fn begin(&self, steps: &[Ordinal]) -> usize {
        let mut state = self.lock();
        match state.phase {
            DrainPhase::Open => {
                let end = steps.last().map_or(0, |last| last + 1);
                state.begun_to = state.begun_to.max(end);
                steps.len()
            }
            DrainPhase::Draining => steps.partition_point(|step| *step < state.begun_to),
            DrainPhase::Closed => 0,
        }
    }

    pub(super) fn set(&self, phase: DrainPhase) {
        self.lock().phase = phase;
    }

    pub(super) fn phase(&self) -> DrainPhase {
        self.lock().phase
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_last_that_was_begun_is_still_processed() {
        let mark = DrainMark::default();
        assert_eq!(mark.begin(&[0, 3, 9]), 3);
        assert_eq!(mark.begin(&[1, 2]), 2);
        mark.set(DrainPhase::Draining);
        assert_eq!(mark.begin(&[4, 8, 10, 11]), 2);
        assert_eq!(mark.begin(&[10]), 0, "draining begins with nothing later");
        mark.set(DrainPhase::Closed);
        assert_eq!(mark.begin(&[5]), 0);
    }
}
