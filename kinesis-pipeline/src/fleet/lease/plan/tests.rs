use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::fleet::lease::{LeaseChange, LeaseCheckpoint, LeaseWrite, LeaseWritten};

const FAILOVER: Duration = Duration::from_secs(10);

fn rules() -> Rules {
    Rules {
        failover: FAILOVER,
        hand_over_max: 2 * FAILOVER,
        leases_max: usize::MAX,
    }
}

fn shard(number: usize) -> ShardId {
    format!("shardId-{number:012}").into()
}

fn worker(number: usize) -> WorkerId {
    format!("worker-{number}").into()
}

fn start() -> Instant {
    crate::Clock::system().instant()
}

/// A lease table and its workers, simulated in rounds.
struct Fleet {
    leases: Vec<Lease>,
    workers: Vec<Member>,
    now: Instant,
    random: fastrand::Rng,
    takes: usize,
}

struct Member {
    id: WorkerId,
    sightings: Sightings,
    running: HashSet<ShardId>,
    is_alive: bool,
    is_courteous: bool,
}

impl Member {
    fn new(number: usize) -> Self {
        Self {
            id: worker(number),
            sightings: Sightings::default(),
            running: HashSet::new(),
            is_alive: true,
            is_courteous: true,
        }
    }
}

impl Fleet {
    fn new(shards: usize, workers: usize, seed: u64) -> Self {
        let lease = |number| Lease::new(shard(number), LeaseCheckpoint::TrimHorizon);
        Self {
            leases: (0..shards).map(lease).collect(),
            workers: (0..workers).map(Member::new).collect(),
            now: start(),
            random: fastrand::Rng::with_seed(seed),
            takes: 0,
        }
    }

    fn owned_by(mut self, owners: &[usize]) -> Self {
        for (lease, owner) in self.leases.iter_mut().zip(owners) {
            if *owner < self.workers.len() {
                lease.owner = Some(worker(*owner));
                lease.courteous_owner = Some(worker(*owner));
                self.workers[*owner].running.insert(lease.shard_id.clone());
            }
        }
        self
    }

    fn write(&mut self, write: &LeaseWrite) -> LeaseWritten {
        let index = self
            .leases
            .iter()
            .position(|lease| lease.shard_id == write.seen.shard_id);
        let index = index.expect("the lease is there");
        let mut stored = Some(self.leases[index].clone());
        let written = write.apply(&mut stored);
        self.leases[index] = stored.expect("no lease is deleted");
        written
    }

    /// Runs a round: each live worker renews, finishes hand-overs, and carries out its plan, in random order.
    fn round(&mut self) {
        self.now += FAILOVER;
        let mut order: Vec<_> = (0..self.workers.len()).collect();
        self.random.shuffle(&mut order);
        for &index in &order {
            self.renew(index);
        }
        for index in order {
            self.act(index);
        }
    }

    fn renew(&mut self, index: usize) {
        if !self.workers[index].is_alive {
            return;
        }
        let me = self.workers[index].id.clone();
        for lease in self.leases.clone() {
            let is_running = self.workers[index].running.contains(&lease.shard_id);
            if !is_running {
                continue;
            }
            let change = if lease.checkpoint_owner.as_ref() == Some(&me) {
                self.workers[index].running.remove(&lease.shard_id);
                LeaseChange::FinishHandOver
            } else if lease.owner.as_ref() == Some(&me) {
                LeaseChange::Renew
            } else {
                self.workers[index].running.remove(&lease.shard_id);
                continue;
            };
            self.write(&LeaseWrite::new(lease, change));
        }
    }

    fn plan(&mut self, index: usize) -> Vec<Action> {
        let member = &mut self.workers[index];
        member.sightings.observe(&self.leases, self.now, self.now);
        let view = View {
            leases: &self.leases,
            sightings: &member.sightings,
            me: &member.id,
            running: &member.running,
            workers: &[],
            orphans: &HashSet::new(),
        };
        plan(view, rules(), &mut self.random)
    }

    fn act(&mut self, index: usize) {
        if !self.workers[index].is_alive {
            return;
        }
        for action in self.plan(index) {
            self.carry_out(index, action);
        }
    }

    fn carry_out(&mut self, index: usize, action: Action) {
        let me = self.workers[index].id.clone();
        self.takes += 1;
        let write = match action {
            Action::Steal(lease) if lease.hands_over() => {
                self.write(&LeaseWrite::new(lease, LeaseChange::HandOver(me)));
                return;
            }
            Action::Take(lease) | Action::Steal(lease) | Action::Renew(lease) => {
                let running = &self.workers[index].running;
                assert!(!running.contains(&lease.shard_id), "takes what it holds");
                LeaseWrite::take(lease, me)
            }
        };
        if let LeaseWritten::Done(mut lease) = self.write(&write) {
            if !self.workers[index].is_courteous {
                lease.courteous_owner = None;
                let stored = self.leases.iter_mut();
                stored
                    .filter(|stored| stored.shard_id == lease.shard_id)
                    .for_each(|stored| stored.courteous_owner = None);
            }
            self.workers[index].running.insert(lease.shard_id);
        }
    }

    fn loads(&self) -> Vec<usize> {
        let alive = self.workers.iter().filter(|member| member.is_alive);
        let owned = |id: &WorkerId| {
            let owners = self.leases.iter().map(|lease| lease.owner.as_ref());
            owners.filter(|owner| *owner == Some(id)).count()
        };
        alive.map(|member| owned(&member.id)).collect()
    }

    fn assert_balanced(&self) {
        let loads = self.loads();
        assert_eq!(loads.iter().sum::<usize>(), self.leases.len(), "{loads:?}");
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least <= 1, "{loads:?}");
    }
}

/// Returns enough rounds for the balance: one steal at a time, two rounds for each hand-over, and the expiry of leases
/// before.
fn rounds(shards: usize) -> usize {
    4 * shards + 12
}

proptest! {
    #![proptest_config(crate::trials::cases(40))]
    #[test]
    fn ownership_becomes_balanced_within_one_and_stays_still(
        owners in prop::collection::vec(0_usize..12, 1..24),
        workers in 1_usize..8,
        impolite in prop::collection::vec(any::<bool>(), 8),
        seed: u64,
    ) {
        let mut fleet = Fleet::new(owners.len(), workers, seed).owned_by(&owners);
        for (member, impolite) in fleet.workers.iter_mut().zip(impolite) {
            member.is_courteous = !impolite;
        }
        for _ in 0..rounds(owners.len()) {
            fleet.round();
        }
        fleet.assert_balanced();
        let takes = fleet.takes;
        for _ in 0..20 {
            fleet.round();
        }
        prop_assert_eq!(fleet.takes, takes, "no churn");
    }

    #[test]
    fn the_leases_of_dead_workers_are_shared_out(
        shards in 1_usize..24, workers in 2_usize..8, dead in 1_usize..7, seed: u64,
    ) {
        let mut fleet = Fleet::new(shards, workers, seed);
        for _ in 0..rounds(shards) {
            fleet.round();
        }
        for member in fleet.workers.iter_mut().take(dead.min(workers - 1)) {
            member.is_alive = false;
        }
        // The first look sees the lease as silent, and at the second one it is expired.
        fleet.round();
        fleet.round();
        let loads = fleet.loads();
        prop_assert_eq!(loads.iter().sum::<usize>(), shards, "all are taken over at once: {:?}", loads);
        for _ in 0..rounds(shards) {
            fleet.round();
        }
        fleet.assert_balanced();
    }

    #[test]
    fn a_worker_never_takes_what_it_reads_however_late_its_renewals_are(
        owners in prop::collection::vec(0_usize..4, 1..20), seed: u64,
    ) {
        let mut fleet = Fleet::new(owners.len(), 4, seed).owned_by(&owners);
        for _ in 0..10 {
            fleet.now += FAILOVER;
            for index in 0..4 {
                let running = fleet.workers[index].running.clone();
                for action in fleet.plan(index) {
                    let (Action::Take(lease) | Action::Steal(lease) | Action::Renew(lease)) = action;
                    prop_assert!(!running.contains(&lease.shard_id));
                }
            }
        }
    }
}

fn actions(fleet: &mut Fleet, index: usize) -> Vec<Action> {
    fleet.plan(index)
}

#[test]
fn a_worker_does_not_take_more_than_its_share_of_what_is_free() {
    let mut fleet = Fleet::new(3, 2, 1).owned_by(&[1, 9, 9]);
    assert_eq!(
        actions(&mut fleet, 0).len(),
        2,
        "of three, its share is two"
    );
    let mut fleet = Fleet::new(4, 3, 1).owned_by(&[1, 2, 9, 9]);
    assert_eq!(actions(&mut fleet, 0).len(), 2);
    let mut fleet = Fleet::new(6, 2, 1).owned_by(&[0, 0, 1, 9, 9, 9]);
    assert_eq!(actions(&mut fleet, 0).len(), 1);
}

#[test]
fn very_old_leases_are_taken_over_the_share_too() {
    let mut fleet = Fleet::new(4, 2, 1).owned_by(&[0, 0, 1, 9]);
    for _ in 0..2 {
        assert_eq!(actions(&mut fleet, 0), []);
        fleet.now += FAILOVER;
        fleet.renew(1);
    }
    let actions = actions(&mut fleet, 0);
    assert!(matches!(&*actions, [Action::Take(lease)] if lease.owner.is_none()));
}

#[test]
fn nothing_is_stolen_when_the_loads_are_off_by_one() {
    let mut fleet = Fleet::new(5, 2, 1).owned_by(&[0, 0, 1, 1, 1]);
    assert_eq!(actions(&mut fleet, 0), []);
    let mut fleet = Fleet::new(6, 2, 1).owned_by(&[0, 0, 1, 1, 1, 1]);
    assert_eq!(actions(&mut fleet, 0).len(), 1, "one at a time");
}

#[test]
fn a_lease_that_was_lost_is_not_stolen_back_while_it_is_still_read() {
    let mut fleet = Fleet::new(2, 2, 1).owned_by(&[1, 1]);
    fleet.workers[0].running.extend([shard(0), shard(1)]);
    assert_eq!(actions(&mut fleet, 0), []);
}

#[test]
fn an_expired_hand_over_is_free_to_take_for_any_worker() {
    let mut fleet = Fleet::new(1, 3, 1);
    fleet.leases[0].owner = Some(worker(1));
    fleet.leases[0].checkpoint_owner = Some(worker(2));
    assert_eq!(actions(&mut fleet, 0), []);
    assert_eq!(actions(&mut fleet, 1), [], "the old owner is waited for");
    fleet.now += FAILOVER;
    assert_eq!(
        actions(&mut fleet, 0),
        [Action::Take(fleet.leases[0].clone())]
    );
    assert_eq!(
        actions(&mut fleet, 1),
        [Action::Take(fleet.leases[0].clone())]
    );
}

#[test]
fn a_hand_over_that_takes_too_long_is_ended_by_the_next_owner_alone() {
    let mut fleet = Fleet::new(1, 3, 1);
    fleet.leases[0].owner = Some(worker(1));
    fleet.leases[0].checkpoint_owner = Some(worker(2));
    for _ in 0..4 {
        assert_eq!(actions(&mut fleet, 0), []);
        assert_eq!(actions(&mut fleet, 1), []);
        fleet.now += FAILOVER / 2;
        fleet.leases[0].counter += 1;
    }
    assert_eq!(actions(&mut fleet, 0), []);
    assert_eq!(actions(&mut fleet, 1).len(), 1);
}

#[test]
fn a_lease_that_bears_this_workers_name_is_gone_on_with() {
    let mut fleet = Fleet::new(2, 2, 1);
    fleet.leases[0].owner = Some(worker(0));
    fleet.leases[1].owner = Some(worker(1));
    assert_eq!(
        actions(&mut fleet, 0),
        [Action::Take(fleet.leases[0].clone())]
    );
}

#[test]
fn parents_come_before_their_children() {
    let mut fleet = Fleet::new(3, 1, 1);
    fleet.leases[2].parents = vec![shard(0), shard(1)];
    let taken = |fleet: &mut Fleet| {
        let mut taken: Vec<_> = fleet.plan(0).into_iter().collect();
        taken.sort_by_key(|action| {
            let (Action::Take(lease) | Action::Steal(lease) | Action::Renew(lease)) = action;
            lease.shard_id.clone()
        });
        taken
    };
    let take = |lease: &Lease| Action::Take(lease.clone());
    let parents = fleet.leases[..2].iter().map(take).collect::<Vec<_>>();
    assert_eq!(taken(&mut fleet), parents);
    fleet.leases[0].checkpoint = LeaseCheckpoint::ShardEnd;
    assert_eq!(taken(&mut fleet), parents[1..]);
    fleet.leases[1].checkpoint = LeaseCheckpoint::ShardEnd;
    let child = fleet.leases[2].clone();
    assert_eq!(taken(&mut fleet), [Action::Take(child.clone())]);
    fleet.leases = vec![child.clone()];
    assert_eq!(
        taken(&mut fleet),
        [Action::Take(child)],
        "parents that are gone"
    );
}

#[test]
fn no_more_leases_are_taken_than_a_worker_may_hold() {
    let mut fleet = Fleet::new(10, 1, 1);
    let sightings = &mut fleet.workers[0].sightings;
    sightings.observe(&fleet.leases, fleet.now, fleet.now);
    let member = &fleet.workers[0];
    let view = View {
        leases: &fleet.leases,
        sightings: &member.sightings,
        me: &member.id,
        running: &member.running,
        workers: &[],
        orphans: &HashSet::new(),
    };
    let mut rules = rules();
    rules.leases_max = 3;
    assert_eq!(plan(view, rules, &mut fleet.random).len(), 3);
}

#[test]
fn under_a_leader_a_worker_takes_what_bears_its_name_and_nothing_else() {
    let mut fleet = Fleet::new(5, 2, 1).owned_by(&[0, 0, 1, 0, 1]);
    let me = fleet.workers[0].id.clone();
    let (other, running) = (fleet.workers[1].id.clone(), HashSet::from([shard(0)]));
    fleet.leases[1].checkpoint_owner = Some(other);
    fleet.leases[2].owner = None;
    fleet.leases[3].parents = vec![shard(4)];
    let sightings = Sightings::default();
    let adopted = |leases: &[Lease]| {
        let view = View {
            leases,
            sightings: &sightings,
            me: &me,
            running: &running,
            workers: &[],
            orphans: &HashSet::new(),
        };
        adopt(view, rules())
    };
    // Lease 0 is read, 1 is still being handed over, 2 is free, 3 waits for its parent, and 4 belongs to another
    // worker.
    assert_eq!(
        adopted(&fleet.leases),
        [Action::Renew(fleet.leases[3].clone())]
    );
    fleet.leases[1].checkpoint_owner = None;
    fleet.leases[4].checkpoint = LeaseCheckpoint::ShardEnd;
    assert_eq!(
        adopted(&fleet.leases),
        [
            Action::Take(fleet.leases[1].clone()),
            Action::Take(fleet.leases[3].clone())
        ]
    );
}
