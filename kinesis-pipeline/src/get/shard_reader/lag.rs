use std::time::Duration;

/// The largest lag of a shard that has caught up.
const NEAR_MAX: Duration = Duration::from_mins(1);
/// The lag that is worth a warning for a shard that had caught up.
const FAR_MIN: Duration = Duration::from_mins(5);

/// A watch for shards that fall behind. A reader that begins behind does not count: it catches up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LagWatch {
    /// Whether the shard had caught up and no warning was given since.
    is_armed: bool,
}

impl LagWatch {
    /// Takes the lag of a page. Returns whether it is worth a warning: once until the shard has caught up again.
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
