use crate::fleet::worker::settings::BatchLimits;

/// The window of records between a shard's reader and its processors.
///
/// The limits are one batch of records for each lane, and the bytes of one batch. A new batch is accepted while there
/// is room, so the limits are exceeded by at most one batch. Bytes are those of the records themselves: a small one that
/// waits behind others has memory of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    records: usize,
    bytes: usize,
    records_max: usize,
    bytes_max: usize,
}

impl Window {
    pub(super) fn new(lanes: usize, batch: BatchLimits) -> Self {
        Self {
            records: 0,
            bytes: 0,
            records_max: batch.records_max.saturating_mul(lanes),
            bytes_max: batch.bytes_max,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.records < self.records_max && self.bytes < self.bytes_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(super) fn on_taken(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }

    pub(super) fn on_processed(&mut self, bytes: usize) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_window_is_full_by_records_or_by_bytes_until_some_are_processed() {
        let batch = BatchLimits {
            records_max: 2,
            bytes_max: 100,
            wait_max: Duration::ZERO,
        };
        let mut window = Window::new(2, batch);
        for _ in 0..3 {
            window.on_taken(10);
        }
        assert!(window.has_room() && !window.is_empty());
        window.on_taken(10);
        assert!(!window.has_room(), "two lanes have two records each");
        for _ in 0..4 {
            window.on_processed(10);
        }
        assert!(window.is_empty());
        window.on_taken(100);
        assert!(!window.has_room());
        window.on_processed(100);
        assert!(window.has_room());
    }
}
