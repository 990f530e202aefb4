use std::time::Duration;

/// A shard that is no more than this behind has caught up.
const NEAR_MAX: Duration = Duration::from_mins(1);
/// A shard that had caught up and is so far behind again is worth a warning.
const FAR_MIN: Duration = Duration::from_mins(5);

/// Whether a shard falls behind. A reader that begins with a backlog does not: it catches up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LagWatch {
    /// It had caught up, and no warning was given since.
    is_armed: bool,
}

impl LagWatch {
    /// A page came. Returns whether that is worth a warning: once until the shard has caught up again.
    pub(super) fn falls_behind(&mut self, behind_latest: Option<Duration>) -> bool {
        let Some(behind) = behind_latest else {
            return false;
        };
        let is_far = self.is_armed && behind >= FAR_MIN;
        self.is_armed = behind <= NEAR_MAX || (self.is_armed && !is_far);
        is_far
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_falls_behind_is_warned_of_once_until_it_has_caught_up() {
        let mut watch = LagWatch::default();
        let warned: Vec<_> = [60, 0, 3, 6, 7, 2, 9, 1, 5]
            .into_iter()
            .map(|minutes| watch.falls_behind(Some(Duration::from_mins(minutes))))
            .collect();
        let expected = [false, false, false, true, false, false, false, false, true];
        assert_eq!(warned, expected);
        assert!(!watch.falls_behind(None));
    }
}
