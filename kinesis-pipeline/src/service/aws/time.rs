use std::time::SystemTime;

use aws_sdk_kinesis::primitives::DateTime;

use crate::clock;

const NANOS_PER_MILLI: u32 = 1_000_000;

/// Converts a time of the SDK, rounded to milliseconds, the precision of the service.
///
/// The service writes seconds as a decimal fraction, which the SDK reads into a float. Cutting it off instead of
/// rounding could lose a millisecond.
pub(super) fn from_sdk(time: DateTime) -> SystemTime {
    let millis = (time.subsec_nanos() + NANOS_PER_MILLI / 2) / NANOS_PER_MILLI;
    let seconds = u64::try_from(time.secs()).unwrap_or(0);
    clock::from_epoch_millis(seconds.saturating_mul(1000).saturating_add(millis.into()))
}

/// Converts a time for a request, to the millisecond.
pub(super) fn to_sdk(time: SystemTime) -> DateTime {
    DateTime::from_millis(i64::try_from(clock::epoch_millis(time)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn milliseconds_survive_the_float_of_the_wire(millis in 0_u64..253_402_300_799_999) {
            let time = clock::from_epoch_millis(millis);
            prop_assert_eq!(from_sdk(to_sdk(time)), time);
            #[expect(clippy::cast_precision_loss, reason = "the wire has a float")]
            let wire = DateTime::from_secs_f64(millis as f64 / 1000.0);
            prop_assert_eq!(from_sdk(wire), time);
        }
    }

    #[test]
    fn times_outside_the_range_do_not_panic() {
        assert_eq!(from_sdk(DateTime::from_secs(-5)), SystemTime::UNIX_EPOCH);
        from_sdk(DateTime::from_secs(i64::MAX));
        to_sdk(SystemTime::UNIX_EPOCH - Duration::from_secs(9));
    }
}
