//! The memory budget of a pipeline: the records and bytes that it holds at most.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

/// The memory budget of a pipeline: the number of records and bytes that it may still take (two semaphores).
///
/// Waiting puts get their room in the order in which they asked for it.
#[derive(Debug)]
pub(in crate::put) struct Budget {
    records: Semaphore,
    bytes: Semaphore,
    bytes_max: u32,
}

/// The budget that one record has reserved. Dropping it gives the budget back.
#[derive(Debug)]
pub(in crate::put) struct Permit {
    budget: Arc<Budget>,
    charge: Charge,
}

/// The budget that accepted records take. The code that completes the records gives it back with
/// [`Budget::give_back`]; unlike a [`Permit`] it holds no reference to the budget, so that a record costs no count of
/// references.
#[derive(Debug, Default)]
#[must_use = "room that is forgotten is lost"]
pub(in crate::put) struct Charge {
    records: u32,
    bytes: u32,
}

impl Budget {
    pub(super) fn new(records_max: usize, bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        Self {
            records: Semaphore::new(records_max),
            bytes: Semaphore::new(bytes_max as usize),
            bytes_max,
        }
    }

    /// Waits for budget for one record. Cancel safe: a waiter that is dropped takes nothing.
    pub(in crate::put) async fn acquire(self: &Arc<Self>, bytes: usize) -> Permit {
        let bytes = self.charge(bytes);
        let of_records = self.records.acquire().await;
        let of_bytes = self.bytes.acquire_many(bytes).await;
        let never_closed = "the semaphores of a room are never closed";
        Permit {
            budget: Arc::clone(self),
            charge: charge(
                of_records.expect(never_closed),
                of_bytes.expect(never_closed),
                bytes,
            ),
        }
    }

    /// Takes budget for one record, unless there is too little or other puts wait for it.
    pub(in crate::put) fn try_acquire(&self, bytes: usize) -> Option<Charge> {
        let bytes = self.charge(bytes);
        let of_records = self.records.try_acquire().ok()?;
        let of_bytes = self.bytes.try_acquire_many(bytes).ok()?;
        Some(charge(of_records, of_bytes, bytes))
    }

    /// Takes back the budget of completed records.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is given back is held no more"
    )]
    pub(in crate::put) fn give_back(&self, charge: Charge) {
        self.records.add_permits(charge.records as usize);
        self.bytes.add_permits(charge.bytes as usize);
    }

    /// Returns the bytes that a record is charged: a record larger than the whole budget takes all of it.
    fn charge(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max)
    }
}

fn charge(records: SemaphorePermit<'_>, bytes: SemaphorePermit<'_>, charged: u32) -> Charge {
    records.forget();
    bytes.forget();
    Charge {
        records: 1,
        bytes: charged,
    }
}

impl Charge {
    pub(in crate::put) fn is_nothing(&self) -> bool {
        self.records == 0 && self.bytes == 0
    }

    /// Takes over another charge, so that both are given back at once. Leaves it where the sum exceeds `u32::MAX`.
    pub(in crate::put) fn absorb(&mut self, other: &mut Self) {
        let records = self.records.checked_add(other.records);
        let bytes = self.bytes.checked_add(other.bytes);
        if let (Some(records), Some(bytes)) = (records, bytes) {
            *self = Self { records, bytes };
            *other = Self::default();
        }
    }
}

impl Permit {
    /// Turns the permit into a charge that its new owner gives back.
    pub(in crate::put) fn hand_over(mut self) -> Charge {
        std::mem::take(&mut self.charge)
    }

    /// Changes the permit to the size of a record, in bytes. Returns whether the budget allows that.
    pub(in crate::put) fn resize(&mut self, bytes: usize) -> bool {
        let bytes = self.budget.charge(bytes);
        if let Some(more) = bytes
            .checked_sub(self.charge.bytes)
            .filter(|&more| more > 0)
        {
            let Ok(more) = self.budget.bytes.try_acquire_many(more) else {
                return false;
            };
            more.forget();
        } else {
            self.budget
                .bytes
                .add_permits((self.charge.bytes - bytes) as usize);
        }
        self.charge.bytes = bytes;
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(std::mem::take(&mut self.charge));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_put_waits_until_records_and_bytes_have_room() {
        let budget = Arc::new(Budget::new(2, 100));
        let first = budget.acquire(90).await;
        assert!(budget.try_acquire(11).is_none());
        assert!(timeout(SOON, budget.acquire(11)).await.is_err());
        let second = budget.try_acquire(10).unwrap();
        assert!(budget.try_acquire(0).is_none(), "two records fill the room");
        drop(first);
        budget.give_back(second);
        assert!(budget.try_acquire(100).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_gives_back_what_it_does_not_need_and_takes_what_there_is() {
        let budget = Arc::new(Budget::new(9, 100));
        let mut permit = budget.acquire(50).await;
        assert!(permit.resize(10));
        budget.give_back(budget.try_acquire(90).unwrap());
        assert!(permit.resize(100) && budget.try_acquire(1).is_none());
        assert!(permit.resize(60));
        let other = budget.try_acquire(40).unwrap();
        assert!(!permit.resize(61));
        drop(permit);
        budget.give_back(other);
        assert!(budget.try_acquire(100).is_some());
    }

    #[test]
    fn room_that_was_absorbed_is_given_back_once() {
        let budget = Budget::new(2, 100);
        let mut all = Charge::default();
        for _ in 0..2 {
            all.absorb(&mut budget.try_acquire(50).unwrap());
        }
        assert!(budget.try_acquire(0).is_none());
        budget.give_back(all);
        let both = [budget.try_acquire(50), budget.try_acquire(50)];
        assert!(both.iter().all(Option::is_some) && budget.try_acquire(0).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_is_dropped_takes_no_room() {
        let budget = Arc::new(Budget::new(1, 10));
        let charge = budget.acquire(10).await;
        assert!(timeout(SOON, budget.acquire(10)).await.is_err());
        drop(charge);
        assert!(budget.try_acquire(10).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_larger_than_the_room_takes_all_of_it() {
        let budget = Arc::new(Budget::new(10, 10));
        let huge = budget.acquire(1_000).await;
        assert!(budget.try_acquire(1).is_none());
        drop(huge);
        assert!(budget.try_acquire(10).is_some());
    }
}
