//! The records of one shard: append-only segments, freed from the front as their records expire.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

/// The number of records of a segment. Finding a record by its counter is one division.
const SEGMENT_RECORDS: usize = 4096;
/// The largest size of a record that is copied into a shared chunk. Such a record costs its bytes and one entry, and does
/// not keep the request that brought it in memory.
const PACKED_BYTES_MAX: usize = 4096;
/// The size of a shard's first chunk: small, so that a thousand quiet shards cost little. Later ones double up to the
/// maximum.
const CHUNK_BYTES_MIN: usize = 16 * 1024;
const CHUNK_BYTES_MAX: usize = 1024 * 1024;
const _: () = assert!(PACKED_BYTES_MAX <= CHUNK_BYTES_MIN && CHUNK_BYTES_MIN <= CHUNK_BYTES_MAX);

/// A shard's records by counter, from 1 without gaps.
///
/// Arrival times never decrease with the counter. Every segment but the last is full.
#[derive(Debug)]
pub(in crate::local) struct Log {
    segments: VecDeque<Segment>,
    /// The counter of the oldest record that is retained.
    first: u64,
    /// The counter that the next record gets.
    next: u64,
    last_arrived_millis: u64,
    chunk: BytesMut,
    chunk_bytes: usize,
}

#[derive(Debug)]
struct Segment {
    /// The counter of the first entry.
    first: u64,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    arrived_millis: u64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// The partition key, then the data, in a shared chunk.
    Packed { bytes: Bytes, key_bytes: u16 },
    /// The record as it came.
    Whole(Box<(ByteString, Bytes)>),
}

/// A record as it is read; its bytes are shared with the log.
#[derive(Clone, Debug)]
pub(in crate::local) struct LogRecord {
    pub(in crate::local) counter: u64,
    pub(in crate::local) arrived_millis: u64,
    pub(in crate::local) partition_key: ByteString,
    pub(in crate::local) data: Bytes,
}

/// A page of records that [`Log::read`] found.
#[derive(Debug)]
pub(in crate::local) struct LogPage {
    pub(in crate::local) records: Vec<LogRecord>,
    /// The counter of the first record after the page.
    pub(in crate::local) next: u64,
    /// The arrival of the record before the page, if it is retained.
    pub(in crate::local) before_millis: Option<u64>,
    /// The arrival of the last record that was read, or else of the first one that was left.
    pub(super) reached_millis: Option<u64>,
    /// Whether no record is left.
    pub(in crate::local) at_tip: bool,
    /// The records' data and keys.
    pub(in crate::local) bytes: usize,
}

impl LogPage {
    /// Returns the lag of the page's end behind the shard's: 0 only if no record is left to read.
    pub(in crate::local) fn millis_behind_latest(&self, now_millis: u64) -> u64 {
        match self.reached_millis {
            Some(reached) if !self.at_tip => now_millis.saturating_sub(reached).max(1),
            _ => 0,
        }
    }
}

impl Log {
    /// Makes an empty log of a shard that was created at this time.
    pub(in crate::local) fn new(created_millis: u64) -> Self {
        Self {
            segments: VecDeque::new(),
            first: 1,
            next: 1,
            last_arrived_millis: created_millis,
            chunk: BytesMut::new(),
            chunk_bytes: CHUNK_BYTES_MIN / 2,
        }
    }

    /// Makes an empty log whose next record gets this counter, and arrives at this time at the earliest.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn resume(next: u64, last_arrived_millis: u64) -> Self {
        Self {
            first: next,
            next,
            ..Self::new(last_arrived_millis)
        }
    }

    /// Returns the counter of the oldest record that is retained.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn first(&self) -> u64 {
        self.first
    }

    /// Returns the arrival of the newest record, retained or not.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn last_arrived_millis(&self) -> u64 {
        self.last_arrived_millis
    }

    /// Returns the counter that the next record gets.
    pub(in crate::local) fn next(&self) -> u64 {
        self.next
    }

    /// Stores a record; returns its counter and its time of arrival, which is never before the last one's.
    pub(in crate::local) fn append(
        &mut self,
        partition_key: &ByteString,
        data: Bytes,
        now_millis: u64,
    ) -> (u64, u64) {
        let body = self.body(partition_key, data);
        let counter = self.next;
        let arrived_millis = now_millis.max(self.last_arrived_millis);
        let entry = Entry {
            arrived_millis,
            body,
        };
        match self.segments.back_mut() {
            Some(segment) if segment.entries.len() < SEGMENT_RECORDS => segment.entries.push(entry),
            _ => self.segments.push_back(Segment {
                first: counter,
                entries: vec![entry],
            }),
        }
        self.next += 1;
        self.last_arrived_millis = arrived_millis;
        (counter, arrived_millis)
    }

    fn body(&mut self, partition_key: &ByteString, data: Bytes) -> Body {
        let bytes = partition_key.len() + data.len();
        match u16::try_from(partition_key.len()) {
            Ok(key_bytes) if bytes <= PACKED_BYTES_MAX => {
                self.make_room(bytes);
                self.chunk.extend_from_slice(partition_key.as_bytes());
                self.chunk.extend_from_slice(&data);
                Body::Packed {
                    bytes: self.chunk.split().freeze(),
                    key_bytes,
                }
            }
            _ => Body::Whole(Box::new((partition_key.clone(), data))),
        }
    }

    fn make_room(&mut self, bytes: usize) {
        if self.chunk.capacity() < bytes {
            self.chunk_bytes = (self.chunk_bytes * 2).min(CHUNK_BYTES_MAX);
            self.chunk = BytesMut::with_capacity(self.chunk_bytes);
        }
    }

    /// Forgets the records that arrived before this time.
    pub(in crate::local) fn trim(&mut self, horizon_millis: u64) {
        while let Some(segment) = self.segments.front() {
            let newest = segment.entries.last().map_or(0, |last| last.arrived_millis);
            if newest >= horizon_millis {
                break;
            }
            self.segments.pop_front();
        }
        let Some(segment) = self.segments.front() else {
            self.first = self.next;
            self.chunk = BytesMut::new();
            self.chunk_bytes = CHUNK_BYTES_MIN / 2;
            return;
        };
        let kept = index_of(self.first.saturating_sub(segment.first));
        if segment
            .entries
            .get(kept)
            .is_some_and(|entry| entry.arrived_millis >= horizon_millis)
        {
            self.first = self.first.max(segment.first);
            return;
        }
        let expired = segment
            .entries
            .partition_point(|entry| entry.arrived_millis < horizon_millis);
        self.first = self.first.max(segment.first + expired as u64);
    }

    /// Returns the counter of the first record that arrived at this time or later; the next record's if there is none.
    pub(in crate::local) fn at_millis(&self, millis: u64) -> u64 {
        let later = self.segments.partition_point(|segment| {
            segment
                .entries
                .last()
                .is_some_and(|last| last.arrived_millis < millis)
        });
        let Some(segment) = self.segments.get(later) else {
            return self.next;
        };
        let index = segment
            .entries
            .partition_point(|entry| entry.arrived_millis < millis);
        (segment.first + index as u64).max(self.first)
    }

    /// Returns the arrival of the record with this counter, if it is retained.
    pub(in crate::local) fn arrived_millis(&self, counter: u64) -> Option<u64> {
        self.entry(counter).map(|entry| entry.arrived_millis)
    }

    /// Reads from this counter on, or from the oldest record that is retained.
    pub(in crate::local) fn read(
        &self,
        from: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> LogPage {
        let from = from.clamp(self.first, self.next);
        let available = index_of(self.next - from);
        let mut records = Vec::with_capacity(available.min(records_max));
        let mut bytes = 0_usize;
        let mut next = from;
        while records.len() < records_max
            && let Some(entry) = self.entry(next)
        {
            let size = entry.body.size_bytes();
            if bytes + size > bytes_max && !records.is_empty() {
                break;
            }
            bytes += size;
            records.push(entry.record(next));
            next += 1;
        }
        let reached_millis = match records.last() {
            Some(last) => Some(last.arrived_millis),
            None => self.arrived_millis(next),
        };
        LogPage {
            records,
            next,
            before_millis: self.arrived_millis(from.saturating_sub(1)),
            reached_millis,
            at_tip: next >= self.next,
            bytes,
        }
    }

    fn entry(&self, counter: u64) -> Option<&Entry> {
        let oldest = self.segments.front()?.first;
        if counter < self.first || counter >= self.next {
            return None;
        }
        let index = index_of(counter - oldest);
        let segment = self.segments.get(index / SEGMENT_RECORDS)?;
        segment.entries.get(index % SEGMENT_RECORDS)
    }
}

/// Returns a difference of counters of retained records, which are all in memory.
fn index_of(difference: u64) -> usize {
    usize::try_from(difference).unwrap_or(usize::MAX)
}

impl Body {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Packed { bytes, .. } => bytes.len(),
            Self::Whole(whole) => whole.0.len() + whole.1.len(),
        }
    }
}

impl Entry {
    fn record(&self, counter: u64) -> LogRecord {
        let (partition_key, data) = match &self.body {
            Body::Packed { bytes, key_bytes } => {
                let key = bytes.slice(..usize::from(*key_bytes));
                let data = bytes.slice(usize::from(*key_bytes)..);
                (ByteString::try_from(key).unwrap_or_default(), data)
            }
            Body::Whole(whole) => (whole.0.clone(), whole.1.clone()),
        };
        LogRecord {
            counter,
            arrived_millis: self.arrived_millis,
            partition_key,
            data,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(log: &mut Log, data: &[u8], now_millis: u64) -> u64 {
        log.append(&"key".into(), Bytes::copy_from_slice(data), now_millis)
            .0
    }

    fn counters(page: &LogPage) -> Vec<u64> {
        page.records.iter().map(|record| record.counter).collect()
    }

    #[test]
    fn arrival_times_never_go_back() {
        let mut log = Log::new(100);
        put(&mut log, b"a", 50);
        put(&mut log, b"b", 90);
        assert_eq!(log.arrived_millis(1), Some(100));
        assert_eq!(log.arrived_millis(2), Some(100));
    }

    #[test]
    fn a_page_ends_before_it_grows_too_big_but_holds_one_record() {
        let mut log = Log::new(0);
        for _ in 0..3 {
            put(&mut log, &[0; 97], 0);
        }
        assert_eq!(counters(&log.read(1, 10, 250)), [1, 2]);
        assert_eq!(counters(&log.read(3, 10, 1)), [3]);
    }

    #[test]
    fn ten_thousand_records_cost_little_more_than_their_bytes() {
        assert!(size_of::<Entry>() <= 48);
    }

    proptest! {
        #[test]
        fn what_is_retained_is_read_once_and_in_order(
            steps in prop::collection::vec((0_u64..50, 0_usize..6000), 1..200),
            horizon in 0_u64..6000,
        ) {
            let mut log = Log::new(0);
            let mut now = 0;
            let mut model = Vec::new();
            for (pause, size) in steps {
                now += pause;
                let counter = put(&mut log, &vec![7; size], now);
                model.push((counter, now, size));
            }
            log.trim(horizon);
            model.retain(|(_, arrived, _)| *arrived >= horizon);
            let page = log.read(0, usize::MAX, usize::MAX);
            let read: Vec<_> = page.records.iter()
                .map(|record| (record.counter, record.arrived_millis, record.data.len()))
                .collect();
            prop_assert_eq!(&read, &model);
            prop_assert!(page.at_tip);
            prop_assert_eq!(log.first == log.next(), model.is_empty());
            for millis in [0, horizon, now / 2, now, now + 1] {
                let expected = model.iter().find(|(_, arrived, _)| *arrived >= millis)
                    .map_or(log.next(), |(counter, _, _)| *counter);
                prop_assert_eq!(log.at_millis(millis), expected);
            }
        }
    }

    #[test]
    fn full_segments_are_freed_as_they_expire() {
        let mut log = Log::new(0);
        for counter in 0..(3 * SEGMENT_RECORDS as u64) {
            put(&mut log, b"x", counter);
        }
        log.trim(2 * SEGMENT_RECORDS as u64 + 10);
        assert_eq!(log.segments.len(), 1);
        assert_eq!(
            log.read(0, 1, 1).records[0].counter,
            2 * SEGMENT_RECORDS as u64 + 11
        );
        log.trim(u64::MAX);
        assert!(log.first == log.next() && log.segments.is_empty());
        assert_eq!(put(&mut log, b"x", 0), 3 * SEGMENT_RECORDS as u64 + 1);
    }
}
