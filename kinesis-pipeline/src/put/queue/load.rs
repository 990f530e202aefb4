//! The load: the number of waiting records, and their bytes.

use std::{
    iter::Sum,
    ops::{AddAssign, SubAssign},
};

use crate::put::pending::slab::RecordKey;

/// A number of waiting records and the sum of their sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::put) struct Load {
    pub(in crate::put) records: usize,
    pub(in crate::put) bytes: usize,
}

impl Load {
    /// Returns the load of one record.
    #[inline]
    pub(super) fn record(bytes: usize) -> Self {
        Self { records: 1, bytes }
    }

    /// Returns the load of records in the slab.
    pub(super) fn of<'a>(records: impl IntoIterator<Item = &'a RecordKey>) -> Self {
        records
            .into_iter()
            .map(|key| Self::record(key.bytes()))
            .sum()
    }
}

impl AddAssign for Load {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Load {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        self.records -= other.records;
        self.bytes -= other.bytes;
    }
}

impl Sum for Load {
    fn sum<I: Iterator<Item = Self>>(loads: I) -> Self {
        let mut sum = Self::default();
        loads.for_each(|load| sum += load);
        sum
    }
}
