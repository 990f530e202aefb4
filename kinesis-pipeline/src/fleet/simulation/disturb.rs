//! The faults that are injected into a simulated fleet.

use std::{sync::atomic::Ordering, time::Duration};

use super::{
    Disturbance, Scenario,
    engine::{Simulation, Violations, broken},
    store::StoreFaults,
    world::{APP, lock},
};
use crate::{
    fleet::lease::{Lease, LeaseChange, LeaseStore as _, LeaseWrite, WorkerId, plan::can_start},
    local::Fault,
};

/// The largest change of a wall clock.
const CLOCK_STEP_MAX: Duration = Duration::from_hours(24);

impl<S: Scenario> Simulation<'_, S> {
    pub(super) fn kill(&mut self) {
        if let Some(index) = self.pick() {
            let member = self.workers.swap_remove(index);
            member.task.abort();
            self.on_gone(member.id, true);
        }
    }

    pub(super) fn stop(&mut self) {
        if let Some(index) = self.pick() {
            let member = self.workers.swap_remove(index);
            member.handle.stop();
            // The simulation does not wait for the end of this worker: the others continue meanwhile.
            member.paused.send_replace(false);
            self.stopping.push(member.task);
            self.on_gone(member.id, false);
        }
    }

    fn on_gone(&mut self, id: WorkerId, was_killed: bool) {
        lock(&self.alive).retain(|alive| *alive != id);
        self.world.on_gone(id, was_killed);
        if self.workers.is_empty() {
            self.world.on_empty();
        }
    }

    pub(super) fn pause(&mut self) {
        if let Some(index) = self.pick() {
            self.world.set_calm(false);
            self.workers[index].paused.send_replace(true);
        }
    }

    pub(super) fn wake(&mut self) {
        for member in &self.workers {
            member.paused.send_replace(false);
        }
    }

    /// Sets a worker's wall clock forward or back.
    pub(super) fn step_clock(&mut self) {
        if let Some(index) = self.pick() {
            let max = i64::try_from(CLOCK_STEP_MAX.as_millis()).unwrap_or(i64::MAX);
            let step = self.random.i64(-max..=max);
            let steps = &self.workers[index].clock_steps;
            steps.store(step, Ordering::Relaxed);
        }
    }

    pub(super) fn disturb(&mut self) -> Result<(), Violations> {
        self.world.set_calm(false);
        let chance = |random: &mut fastrand::Rng| random.f64() * 0.2;
        if self.has(Disturbance::LeaseTable) {
            *lock(&self.faults) = StoreFaults {
                throttled: chance(&mut self.random),
                lost: chance(&mut self.random),
                late: chance(&mut self.random),
                slow: chance(&mut self.random),
            };
        }
        if !self.has(Disturbance::Stream) {
            return Ok(());
        }
        let fault = match self.random.u8(..4) {
            0 => Fault::throttle().on("GetRecords"),
            1 => Fault::fail().on("GetShardIterator"),
            2 => Fault::expire_iterator(),
            _ => Fault::throttle().on("ListShards"),
        };
        let fault = fault.probability(self.random.f64() * 0.4).always();
        let added = self.local.faults().add(fault);
        added.map_err(|error| broken(&error))
    }

    pub(super) fn clear(&mut self) {
        *lock(&self.faults) = StoreFaults::default();
        self.local.faults().clear();
        self.wake();
        self.world.set_calm(true);
    }

    async fn any_lease(&mut self) -> Option<Lease> {
        let leases = self.leases().await;
        self.random.choice(leases)
    }

    /// Deletes a row of the lease table, as an operator may do in the AWS console.
    pub(super) async fn delete_row(&mut self) {
        if let Some(lease) = self.any_lease().await {
            let leases = self.leases().await;
            let by_id = leases
                .iter()
                .map(|lease| (&lease.shard_id, lease))
                .collect();
            // Only a shard that can start needs its row back: a finished shard needs none, and the row of a shard that
            // waits for its parents is made when they end.
            let is_missed = can_start(&lease, &by_id) && !self.workers.is_empty();
            self.world.on_deletion(&lease, is_missed);
            let delete = LeaseWrite::new(lease, LeaseChange::Delete);
            let _ = self.world.leases.write(APP, delete).await;
        }
    }

    /// Hands a lease over to a random worker or to `java`, or takes it for `java`, a worker that never acts.
    pub(super) async fn be_rude(&mut self) {
        let Some(lease) = self.any_lease().await.filter(|lease| lease.owner.is_some()) else {
            return;
        };
        let other = match self.pick() {
            Some(index) if self.random.bool() => self.workers[index].id.clone(),
            _ => "java".into(),
        };
        let change = if self.random.bool() {
            LeaseChange::HandOver(other)
        } else {
            LeaseChange::Take("java".into())
        };
        if lease.owner.as_ref() != Some(&WorkerId::from("java")) {
            let write = LeaseWrite::new(lease, change);
            let _ = self.world.leases.write(APP, write).await;
        }
    }
}
