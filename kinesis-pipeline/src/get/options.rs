use std::time::Duration;

use super::pace::PAGE_RECORDS_MAX;

/// How a reader reads; see the setters of [`Reader`](super::Reader).
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) page_records_max: u32,
    pub(crate) prefetch_bytes_max: usize,
    pub(crate) poll_interval: Duration,
    pub(crate) outage_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_records_max: PAGE_RECORDS_MAX,
            prefetch_bytes_max: 64 * 1024 * 1024,
            poll_interval: Duration::from_secs(1),
            outage_max: Duration::from_mins(30),
        }
    }
}
