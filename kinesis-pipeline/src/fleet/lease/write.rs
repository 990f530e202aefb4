use std::time::SystemTime;

use super::{Lease, LeaseCheckpoint, PendingCheckpoint, WorkerId};
use crate::shard::ShardId;

/// A conditional change of one lease: the transitions of KCL's lease table.
///
/// A store carries it out if the stored lease [admits](Self::admits) it. The rules are pure functions here: a store in
/// memory applies them directly, and a database's store translates them to conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseWrite {
    /// The lease as its writer last read or wrote it; the new lease for [`LeaseChange::Create`].
    pub seen: Lease,
    /// The change.
    pub change: LeaseChange,
    /// The throughput of the owner in bytes of records a second, for renewals and checkpoints. The leader of a KCL 3
    /// fleet shares leases out by it. A store without leaders ignores it.
    pub bytes_per_second: Option<u64>,
    /// The time before which everything that arrived is finished, for renewals and checkpoints,
    /// prepared ones too: see [`Lease::current_at`]. A checkpoint without it removes the stored one, and other writes
    /// leave it.
    pub current_at: Option<SystemTime>,
}

/// A transition of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseChange {
    /// Adds the lease. Condition: the shard has none.
    Create,
    /// Shows that the owner is alive. Conditions: the counter and the hand-over are as seen.
    Renew,
    /// Makes this worker the owner, and ends a hand-over. Condition: the counter is as seen.
    Take(WorkerId),
    /// Saves the checkpoint, and removes a prepared one. Condition: the counter is as seen.
    Checkpoint {
        /// The new checkpoint.
        to: LeaseCheckpoint,
        /// The shards that were made from this one; empty before its end.
        children: Vec<ShardId>,
    },
    /// Saves a prepared checkpoint. Condition: the counter is as seen.
    Prepare(PendingCheckpoint),
    /// Makes this worker the next owner; the present one may still checkpoint. Conditions: the owner is as seen, and no
    /// hand-over is under way. The counter does not change.
    HandOver(WorkerId),
    /// Ends the old owner's part in a hand-over. Conditions: both owners are as seen.
    FinishHandOver,
    /// Gives the lease back. Conditions: the owner is as seen, and no hand-over is under way.
    Evict,
    /// Removes the lease. Condition: the counter is as seen.
    Delete,
}

/// The result of a [`LeaseWrite`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseWritten {
    /// The write was made. The lease as it is stored now; for [`LeaseChange::Delete`], as it was before.
    Done(Lease),
    /// The condition does not hold. The lease as it is stored; `None` if there is none.
    Refused(Option<Lease>),
}

impl LeaseWrite {
    /// Makes a change of a lease; `seen` is the lease as last read or written.
    #[must_use]
    pub fn new(seen: Lease, change: LeaseChange) -> Self {
        Self {
            seen,
            change,
            bytes_per_second: None,
            current_at: None,
        }
    }

    /// Returns the same write with the owner's throughput, in bytes of records a second.
    #[must_use]
    pub fn with_bytes_per_second(mut self, bytes: Option<u64>) -> Self {
        self.bytes_per_second = bytes;
        self
    }

    /// Returns the same write with the time before which everything that arrived is finished.
    #[must_use]
    pub fn with_current_at(mut self, time: Option<SystemTime>) -> Self {
        self.current_at = time;
        self
    }

    /// Makes the write that adds a lease.
    #[must_use]
    pub fn create(lease: Lease) -> Self {
        Self::new(lease, LeaseChange::Create)
    }

    /// Makes the write by which this worker takes a lease.
    #[must_use]
    pub fn take(seen: Lease, by: WorkerId) -> Self {
        Self::new(seen, LeaseChange::Take(by))
    }

    /// Makes the write that sets a shard's checkpoint.
    #[must_use]
    pub fn checkpoint(seen: Lease, to: LeaseCheckpoint) -> Self {
        let children = Vec::new();
        Self::new(seen, LeaseChange::Checkpoint { to, children })
    }

    /// Whether the stored lease allows the change; `found` is `None` if there is no lease.
    #[must_use]
    pub fn admits(&self, found: Option<&Lease>) -> bool {
        let Some(found) = found else {
            return self.change == LeaseChange::Create;
        };
        let seen = &self.seen;
        match self.change {
            LeaseChange::Create => false,
            LeaseChange::Renew => {
                found.counter == seen.counter && found.checkpoint_owner == seen.checkpoint_owner
            }
            LeaseChange::Take(_)
            | LeaseChange::Checkpoint { .. }
            | LeaseChange::Prepare(_)
            | LeaseChange::Delete => found.counter == seen.counter,
            LeaseChange::HandOver(_) | LeaseChange::Evict => {
                found.owner == seen.owner && found.checkpoint_owner.is_none()
            }
            LeaseChange::FinishHandOver => {
                found.owner == seen.owner && found.checkpoint_owner == seen.checkpoint_owner
            }
        }
    }

    /// Returns the lease after the change, which it must admit.
    #[must_use]
    pub fn changed(&self, mut lease: Lease) -> Lease {
        let counter = lease.counter.saturating_add(1);
        match &self.change {
            LeaseChange::Create | LeaseChange::Delete => return lease,
            LeaseChange::HandOver(to) => {
                lease.checkpoint_owner = lease.owner.replace(to.clone());
                return lease;
            }
            LeaseChange::Renew => lease.current_at = self.current_at.or(lease.current_at),
            LeaseChange::Take(by) => {
                lease.owner_switches += u64::from(lease.owner.as_ref() != Some(by));
                lease.owner = Some(by.clone());
                lease.courteous_owner = Some(by.clone());
                lease.checkpoint_owner = None;
            }
            LeaseChange::Checkpoint { to, children } => {
                lease.checkpoint = to.clone();
                lease.current_at = self.current_at;
                lease.owner_switches = 0;
                lease.pending = None;
                if !children.is_empty() {
                    lease.children.clone_from(children);
                }
            }
            LeaseChange::Prepare(pending) => {
                lease.current_at = self.current_at.or(lease.current_at);
                lease.pending = Some(pending.clone());
            }
            LeaseChange::FinishHandOver => lease.checkpoint_owner = None,
            LeaseChange::Evict => lease.owner = None,
        }
        lease.counter = counter;
        lease
    }

    /// Whether a refused write was carried out before: its answer was lost, and it was sent again.
    ///
    /// The counter, the holder, the checkpoint and the prepared checkpoint are then as this write left them. A
    /// hand-over that has begun since does not change any of them.
    #[must_use]
    pub fn was_done(&self, found: Option<&Lease>) -> bool {
        match (&self.change, found) {
            (LeaseChange::Delete, found) => found.is_none(),
            (_, None) => false,
            (LeaseChange::HandOver(to), Some(found)) => {
                found.owner.as_ref() == Some(to) && found.checkpoint_owner == self.seen.owner
            }
            (_, Some(found)) => self.changed(self.seen.clone()).is_as_written(found),
        }
    }

    /// Applies the write to a stored lease, which may be absent. For stores that hold a lock.
    pub fn apply(&self, stored: &mut Option<Lease>) -> LeaseWritten {
        if !self.admits(stored.as_ref()) {
            return match stored {
                found if self.was_done(found.as_ref()) => {
                    LeaseWritten::Done(found.clone().unwrap_or_else(|| self.seen.clone()))
                }
                found => LeaseWritten::Refused(found.clone()),
            };
        }
        match (&self.change, stored.take()) {
            (LeaseChange::Delete, found) => {
                LeaseWritten::Done(found.unwrap_or_else(|| self.seen.clone()))
            }
            (_, found) => {
                let after = self.changed(found.unwrap_or_else(|| self.seen.clone()));
                *stored = Some(after.clone());
                LeaseWritten::Done(after)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str, counter: u64) -> Lease {
        let mut lease = Lease::new("s".into(), LeaseCheckpoint::TrimHorizon);
        lease.owner = Some(by.into());
        lease.counter = counter;
        lease
    }

    fn after(number: u128) -> LeaseCheckpoint {
        LeaseCheckpoint::After {
            sequence_number: number.into(),
            sub_sequence_number: 0,
        }
    }

    #[test]
    fn a_write_that_was_sent_twice_counts_as_done_whatever_it_is() {
        let pending = PendingCheckpoint::new(after(9), None);
        let children = vec!["c".into()];
        let mut handing_over = held("b", 5);
        handing_over.checkpoint_owner = Some("a".into());
        let writes = [
            LeaseWrite::new(held("a", 5), LeaseChange::Renew),
            LeaseWrite::take(held("a", 5), "b".into()),
            LeaseWrite::checkpoint(held("a", 5), after(7)),
            LeaseWrite::new(
                held("a", 5),
                LeaseChange::Checkpoint {
                    to: LeaseCheckpoint::ShardEnd,
                    children,
                },
            ),
            LeaseWrite::new(held("a", 5), LeaseChange::Prepare(pending)),
            LeaseWrite::new(held("a", 5), LeaseChange::HandOver("b".into())),
            LeaseWrite::new(handing_over, LeaseChange::FinishHandOver),
            LeaseWrite::new(held("a", 5), LeaseChange::Evict),
            LeaseWrite::new(held("a", 5), LeaseChange::Delete),
        ];
        for write in writes {
            let mut stored = Some(write.seen.clone());
            assert!(matches!(write.apply(&mut stored), LeaseWritten::Done(_)));
            let once = stored.clone();
            let again = write.apply(&mut stored);
            assert!(matches!(again, LeaseWritten::Done(_)), "{write:?}");
            assert_eq!(stored, once, "{write:?}");
        }
        let create = LeaseWrite::create(held("a", 5));
        let mut stored = None;
        create.apply(&mut stored);
        assert!(matches!(create.apply(&mut stored), LeaseWritten::Done(_)));
    }

    #[test]
    fn a_renewal_that_was_sent_twice_is_done_though_a_hand_over_has_begun_since() {
        let mut stored = Some(held("a", 5));
        let renewal = LeaseWrite::new(held("a", 5), LeaseChange::Renew);
        renewal.apply(&mut stored);
        let hand_over = LeaseWrite::new(held("a", 6), LeaseChange::HandOver("b".into()));
        hand_over.apply(&mut stored);
        assert!(matches!(renewal.apply(&mut stored), LeaseWritten::Done(_)));
    }

    #[test]
    fn what_another_worker_wrote_is_never_taken_for_our_own() {
        let theirs = [
            LeaseWrite::take(held("a", 5), "b".into()),
            LeaseWrite::new(held("a", 5), LeaseChange::Evict),
        ];
        let ours = [
            LeaseChange::Renew,
            LeaseChange::Take("c".into()),
            LeaseChange::Checkpoint {
                to: after(7),
                children: vec![],
            },
        ];
        for their in &theirs {
            for our in &ours {
                let mut stored = Some(held("a", 5));
                their.apply(&mut stored);
                let our = LeaseWrite::new(held("a", 5), our.clone());
                let written = our.apply(&mut stored);
                assert!(matches!(written, LeaseWritten::Refused(_)), "{our:?}");
            }
        }
    }

    #[test]
    fn a_new_checkpoint_removes_the_prepared_one_and_the_count_of_switches() {
        let mut lease = held("a", 5);
        lease.pending = Some(PendingCheckpoint::new(after(9), Some("state".into())));
        lease.owner_switches = 3;
        let after = LeaseWrite::checkpoint(lease.clone(), after(7)).changed(lease);
        assert_eq!(
            (after.pending, after.owner_switches, after.counter),
            (None, 0, 6)
        );
    }
}
