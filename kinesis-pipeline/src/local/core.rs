//! The embedded Kinesis's whole inside: settings, clock and state.

use crate::clock::Clock;

/// What every operation works on.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) clock: Clock,
}
