use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{Lease, WorkerId, sightings::Sightings};
use crate::shard::ShardId;

/// The number of fail-over times of silence after which a free or expired lease is taken even beyond the target.
///
/// A target leaves a share to each worker that seems to live: also to one that is draining, to a dead one that a lease is
/// being handed to, and to one that has just joined and has not seen the silence yet. A lease that is seen to be expired
/// for the second time was left to one of these. KCL waits three times, and with it for 20 s longer.
const VERY_OLD_FACTOR: u32 = 2;

/// The input of a plan: the table as it was listed last, and this worker's own knowledge.
#[derive(Clone, Copy)]
pub(in crate::fleet) struct View<'a> {
    pub(in crate::fleet) leases: &'a [Lease],
    pub(in crate::fleet) sightings: &'a Sightings,
    pub(in crate::fleet) me: &'a WorkerId,
    /// The shards that this worker is working on.
    pub(in crate::fleet) running: &'a HashSet<ShardId>,
    /// Workers that are known to be alive by other means than leases.
    pub(in crate::fleet) workers: &'a [WorkerId],
    /// Leases that must wait: a parent that the stream still retains has no lease.
    pub(in crate::fleet) orphans: &'a HashSet<ShardId>,
}

/// The settings that a plan goes by.
#[derive(Clone, Copy, Debug)]
pub(in crate::fleet) struct Rules {
    /// A lease is expired when its counter has been silent for this time.
    pub(in crate::fleet) failover: Duration,
    /// A hand-over that takes longer is ended by force.
    pub(in crate::fleet) hand_over_max: Duration,
    /// The most leases that this worker holds.
    pub(in crate::fleet) leases_max: usize,
}

/// A decision of the plan. Each is a conditional write, which fails without harm if another worker was faster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::fleet) enum Action {
    /// Takes a lease that is free, expired, or handed over to this worker.
    Take(Lease),
    /// Takes a lease from a live worker that has more.
    Steal(Lease),
    /// Renews a lease that bears this worker's name and cannot be read yet, or any more.
    Renew(Lease),
}

impl Action {
    /// Returns the shard of a lease that is only renewed.
    pub(in crate::fleet) fn renewed(&self) -> Option<&ShardId> {
        match self {
            Self::Renew(lease) => Some(&lease.shard_id),
            Self::Take(_) | Self::Steal(_) => None,
        }
    }
}

/// Decides which leases to take, as KCL's `LeaseTaker`.
///
/// A worker's target is its share of the leases that can be read, rounded up. It takes free and expired leases up to
/// its target. If there are none, it steals one lease from the worker that has most, if that has at least two more.
/// Every steal brings two workers closer together, so ownership ends within one of balance and then stays still.
pub(in crate::fleet) fn plan(
    view: View<'_>,
    rules: Rules,
    random: &mut fastrand::Rng,
) -> Vec<Action> {
    let standings = Standings::of(view, rules);
    let target = standings.target(view.workers.len(), rules.leases_max);
    let mut actions: Vec<_> = standings.to_adopt.iter().copied().map(take).collect();
    let held = standings.mine;
    let mut free = standings.free.clone();
    random.shuffle(&mut free);
    if !free.is_empty() {
        let wanted = target.saturating_sub(held);
        let room = rules.leases_max.saturating_sub(held);
        let (first, rest) = free.split_at(wanted.min(free.len()));
        let very_old = rest.iter().filter(|free| free.is_very_old);
        let wanted = first.iter().chain(very_old).take(room);
        actions.extend(wanted.map(|free| Action::Take(free.lease.clone())));
        return actions;
    }
    if held < target
        && !standings.is_handed_one
        && let Some(lease) = standings.to_steal(held, view.running, random)
    {
        actions.push(Action::Steal(lease.clone()));
    }
    actions
}

/// Follows a leader's assignments: takes the leases that bear this worker's name, as KCL's `LeaseDiscoverer`, and renews
/// those that wait for their parents or are finished.
///
/// The renewals matter because a leader counts every lease: one that is not renewed goes to another worker, which cannot
/// read it either.
pub(in crate::fleet) fn adopt(view: View<'_>, rules: Rules) -> Vec<Action> {
    let by_id: HashMap<_, _> = view.leases.iter().map(|l| (&l.shard_id, l)).collect();
    let standings = Standings::of(view, rules);
    let waits = |lease: &&Lease| {
        lease.owner.as_ref() == Some(view.me)
            && lease.checkpoint_owner.is_none()
            && !view.running.contains(&lease.shard_id)
            && (!can_start(lease, &by_id) || view.orphans.contains(&lease.shard_id))
    };
    let waiting = view.leases.iter().filter(waits);
    let renewals = waiting.map(|lease| Action::Renew(lease.clone()));
    let taken = standings.to_adopt.iter().copied().map(take);
    taken.chain(renewals).collect()
}

/// Whether a lease can be read now: it is not finished, and its parents are finished or gone.
pub(in crate::fleet) fn can_start(lease: &Lease, by_id: &HashMap<&ShardId, &Lease>) -> bool {
    !lease.is_finished()
        && lease
            .parents
            .iter()
            .all(|parent| by_id.get(parent).is_none_or(|lease| lease.is_finished()))
}

fn take(lease: &Lease) -> Action {
    Action::Take(lease.clone())
}

/// The leases that can be read now, sorted by their state for this worker.
struct Standings<'a> {
    /// The number of leases that this worker holds, adopts, or is being handed.
    mine: usize,
    /// Leases that bear this worker's name and that it does not read: from before a restart, assigned by a leader,
    /// or at the end of a hand-over.
    to_adopt: Vec<&'a Lease>,
    /// Whether a live worker is about to hand one over to this worker.
    is_handed_one: bool,
    free: Vec<Free<'a>>,
    /// The leases of each other live worker.
    others: BTreeMap<&'a WorkerId, Vec<&'a Lease>>,
    count: usize,
}

#[derive(Clone, Copy)]
struct Free<'a> {
    lease: &'a Lease,
    is_very_old: bool,
}

impl<'a> Standings<'a> {
    fn of(view: View<'a>, rules: Rules) -> Self {
        let by_id: HashMap<_, _> = view.leases.iter().map(|l| (&l.shard_id, l)).collect();
        let mut standings = Self {
            mine: 0,
            to_adopt: Vec::new(),
            is_handed_one: false,
            free: Vec::new(),
            others: BTreeMap::new(),
            count: 0,
        };
        for lease in view.leases {
            if can_start(lease, &by_id) && !view.orphans.contains(&lease.shard_id) {
                standings.count += 1;
                standings.add(lease, view, rules);
            }
        }
        standings
    }

    fn add(&mut self, lease: &'a Lease, view: View<'a>, rules: Rules) {
        let silence = view.sightings.silence(&lease.shard_id);
        let is_expired = silence >= rules.failover;
        let is_mine = lease.owner.as_ref() == Some(view.me);
        let is_running = view.running.contains(&lease.shard_id);
        let (Some(owner), handing_over) = (&lease.owner, lease.checkpoint_owner.is_some()) else {
            self.mine += usize::from(is_running);
            if !is_running {
                self.add_free(lease, silence, rules);
            }
            return;
        };
        // Its own renewals may be late: a lease that this worker reads is never one to take.
        if is_mine || (is_running && is_expired) {
            self.mine += 1;
            let time = view.sightings.hand_over_time(&lease.shard_id);
            let is_late = is_expired || time >= rules.hand_over_max;
            if is_mine && !is_running && (!handing_over || is_late) {
                self.to_adopt.push(lease);
            } else {
                self.is_handed_one |= is_mine && handing_over;
            }
        } else if is_expired {
            self.add_free(lease, silence, rules);
        } else {
            self.others.entry(owner).or_default().push(lease);
        }
    }

    fn add_free(&mut self, lease: &'a Lease, silence: Duration, rules: Rules) {
        let is_very_old = silence >= rules.failover * VERY_OLD_FACTOR;
        self.free.push(Free { lease, is_very_old });
    }

    fn target(&self, known_workers: usize, leases_max: usize) -> usize {
        let workers = (self.others.len() + 1).max(known_workers);
        self.count.div_ceil(workers).min(leases_max)
    }

    /// Returns a random lease of one of the workers that have most, if that has at least two more than this worker.
    fn to_steal(
        &self,
        held: usize,
        running: &HashSet<ShardId>,
        random: &mut fastrand::Rng,
    ) -> Option<&'a Lease> {
        let most = self.others.values().map(Vec::len).max()?;
        if most < held + 2 {
            return None;
        }
        let fullest: Vec<_> = self.others.values().filter(|l| l.len() == most).collect();
        let leases = random.choice(fullest)?;
        // One that is being handed over is on its way elsewhere. One that this worker reads was lost to its owner while
        // this worker stood still, and is left first.
        let settled: Vec<_> = leases
            .iter()
            .filter(|lease| lease.checkpoint_owner.is_none() && !running.contains(&lease.shard_id))
            .collect();
        random.choice(settled).copied()
    }
}

#[cfg(test)]
mod tests;
