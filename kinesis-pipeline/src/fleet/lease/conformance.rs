//! The conformance suite of lease stores: KCL's own tests of its lease refresher, renewer and taker, under their names.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use super::{
    Lease, LeaseChange, LeaseCheckpoint, LeaseStore, LeaseWrite, LeaseWritten, PendingCheckpoint,
    WorkerId,
    plan::{Action, Rules, View, plan},
    sightings::Sightings,
};
use crate::shard::{HashKey, HashKeyRange, ShardId};

const APP: &str = "app";
const FAILOVER: Duration = Duration::from_secs(10);

/// Checks a kind of store. `store` makes an empty one.
pub(crate) async fn check<S: LeaseStore>(store: impl Fn() -> S) {
    all_of_a_lease_comes_back(&store()).await;
    applications_are_apart(&store()).await;
    create_twice(&store()).await;
    renew_and_hold(&store()).await;
    renew_lost_lease(&store()).await;
    take_unowned_owned_and_updated(&store()).await;
    regain_a_lost_lease(&store()).await;
    checkpoint_then_prepare(&store()).await;
    shard_end_with_children(&store()).await;
    evict(&store()).await;
    delete_then_update(&store()).await;
    hand_over(&store()).await;
    every_write_repeated(&store()).await;
    non_greedy_take(&store()).await;
    no_steal_when_off_by_one(&store()).await;
    very_old_leases(&store()).await;
    expired_hand_off_is_free(&store()).await;
    restart_on_a_pending_checkpoint(&store()).await;
}

fn shard(number: usize) -> ShardId {
    format!("shardId-{number:012}").into()
}

fn fresh(number: usize) -> Lease {
    let mut lease = Lease::new(shard(number), LeaseCheckpoint::TrimHorizon);
    lease.hash_key_range = Some(HashKeyRange::ALL);
    lease
}

fn after(number: u128, sub_sequence_number: u64) -> LeaseCheckpoint {
    LeaseCheckpoint::After {
        sequence_number: number.into(),
        sub_sequence_number,
    }
}

async fn done(store: &impl LeaseStore, write: LeaseWrite) -> Lease {
    match store.write(APP, write.clone()).await.unwrap() {
        LeaseWritten::Done(lease) => lease,
        refused @ LeaseWritten::Refused(_) => panic!("{write:?}: {refused:?}"),
    }
}

async fn refused(store: &impl LeaseStore, write: LeaseWrite) -> Option<Lease> {
    match store.write(APP, write.clone()).await.unwrap() {
        LeaseWritten::Refused(found) => found,
        done @ LeaseWritten::Done(_) => panic!("{write:?}: {done:?}"),
    }
}

async fn create(store: &impl LeaseStore, lease: Lease) -> Lease {
    done(store, LeaseWrite::create(lease)).await
}

async fn owned(store: &impl LeaseStore, number: usize, by: &str) -> Lease {
    let lease = create(store, fresh(number)).await;
    done(store, LeaseWrite::take(lease, by.into())).await
}

async fn stored(store: &impl LeaseStore, number: usize) -> Option<Lease> {
    let leases = store.list(APP).await.unwrap();
    leases
        .into_iter()
        .find(|lease| lease.shard_id == shard(number))
}

fn renew(lease: &Lease) -> LeaseWrite {
    LeaseWrite::new(lease.clone(), LeaseChange::Renew)
}

async fn all_of_a_lease_comes_back(store: &impl LeaseStore) {
    assert_eq!(store.list(APP).await.unwrap(), [], "empty at first");
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
    let mut lease = fresh(3);
    lease.checkpoint = LeaseCheckpoint::AtTimestamp;
    lease.begun_at = Some(time);
    lease.parents = vec![shard(1), shard(2)];
    lease.hash_key_range = Some(HashKeyRange::new(
        HashKey::new(7),
        HashKey::new(u128::MAX - 7),
    ));
    create(store, lease.clone()).await;
    assert_eq!(stored(store, 3).await, Some(lease));
    let mut latest = fresh(4);
    latest.checkpoint = LeaseCheckpoint::Latest;
    create(store, latest.clone()).await;
    assert_eq!(stored(store, 4).await, Some(latest));
}

async fn applications_are_apart(store: &impl LeaseStore) {
    create(store, fresh(0)).await;
    assert_eq!(store.list("other").await.unwrap(), []);
}

async fn create_twice(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let found = refused(store, LeaseWrite::create(fresh(0))).await;
    assert_eq!(found, Some(lease), "the lease that was there stays");
}

async fn renew_and_hold(store: &impl LeaseStore) {
    let mut lease = owned(store, 0, "a").await;
    for _ in 0..3 {
        let counter = lease.counter;
        lease = done(store, renew(&lease)).await;
        assert_eq!(lease.counter, counter + 1);
    }
    assert_eq!(stored(store, 0).await, Some(lease));
}

async fn renew_lost_lease(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let taken = done(store, LeaseWrite::take(lease.clone(), "b".into())).await;
    assert_eq!(refused(store, renew(&lease)).await, Some(taken.clone()));
    let checkpoint = LeaseWrite::checkpoint(lease, after(7, 0));
    assert_eq!(refused(store, checkpoint).await, Some(taken));
}

async fn take_unowned_owned_and_updated(store: &impl LeaseStore) {
    let lease = create(store, fresh(0)).await;
    let by_a = done(store, LeaseWrite::take(lease, "a".into())).await;
    assert_eq!(
        (by_a.owner.clone(), by_a.owner_switches),
        (Some("a".into()), 1)
    );
    let by_b = done(store, LeaseWrite::take(by_a.clone(), "b".into())).await;
    assert_eq!(
        (by_b.owner.clone(), by_b.owner_switches),
        (Some("b".into()), 2)
    );
    let renewed = done(store, renew(&by_b)).await;
    let late = refused(store, LeaseWrite::take(by_b, "c".into())).await;
    assert_eq!(late, Some(renewed.clone()), "its owner was faster");
    let again = done(store, LeaseWrite::take(renewed, "b".into())).await;
    assert_eq!(again.owner_switches, 2, "the owner is the same");
}

async fn regain_a_lost_lease(store: &impl LeaseStore) {
    let first = owned(store, 0, "a").await;
    let stolen = done(store, LeaseWrite::take(first.clone(), "b".into())).await;
    let again = done(store, LeaseWrite::take(stolen, "a".into())).await;
    let found = refused(store, renew(&first)).await;
    assert_eq!(found, Some(again), "the first holding is over");
}

async fn checkpoint_then_prepare(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let pending = PendingCheckpoint::new(after(9, 2), Some("state".into()));
    let prepare = LeaseChange::Prepare(pending.clone());
    let prepared = done(store, LeaseWrite::new(lease, prepare)).await;
    assert_eq!(stored(store, 0).await.unwrap().pending, Some(pending));
    let made = done(store, LeaseWrite::checkpoint(prepared, after(9, 2))).await;
    assert_eq!((made.pending.clone(), made.owner_switches), (None, 0));
    assert_eq!(stored(store, 0).await, Some(made.clone()));
    let bare = PendingCheckpoint::new(after(10, 0), None);
    let prepared = done(
        store,
        LeaseWrite::new(made, LeaseChange::Prepare(bare.clone())),
    )
    .await;
    assert_eq!(prepared.pending, Some(bare));
}

async fn shard_end_with_children(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let end = LeaseChange::Checkpoint {
        to: LeaseCheckpoint::ShardEnd,
        children: vec![shard(1), shard(2)],
    };
    let ended = done(store, LeaseWrite::new(lease, end)).await;
    assert_eq!(ended.children, [shard(1), shard(2)]);
    assert_eq!(stored(store, 0).await, Some(ended));
}

async fn evict(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let evict = LeaseWrite::new(lease.clone(), LeaseChange::Evict);
    let free = done(store, evict.clone()).await;
    assert_eq!(
        (free.owner.clone(), free.counter),
        (None, lease.counter + 1)
    );
    assert!(refused(store, renew(&lease)).await.is_some());
    let taken = done(store, LeaseWrite::take(free, "b".into())).await;
    assert_eq!(
        refused(store, evict).await,
        Some(taken),
        "not the next owner's"
    );
}

async fn delete_then_update(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let renewed = done(store, renew(&lease)).await;
    let delete = |lease: &Lease| LeaseWrite::new(lease.clone(), LeaseChange::Delete);
    assert_eq!(refused(store, delete(&lease)).await, Some(renewed.clone()));
    done(store, delete(&renewed)).await;
    assert_eq!(stored(store, 0).await, None);
    assert_eq!(refused(store, renew(&renewed)).await, None);
    let take = LeaseWrite::take(renewed.clone(), "b".into());
    assert_eq!(refused(store, take).await, None, "no row appears");
    done(store, delete(&renewed)).await;
}

async fn hand_over(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let hand_over = LeaseWrite::new(lease.clone(), LeaseChange::HandOver("b".into()));
    let asked = done(store, hand_over).await;
    assert_eq!(asked.counter, lease.counter, "the counter stays");
    assert_eq!(
        (asked.owner.clone(), asked.holder()),
        (Some("b".into()), Some(&"a".into()))
    );
    assert_eq!(refused(store, renew(&lease)).await, Some(asked.clone()));
    let other = LeaseWrite::new(lease.clone(), LeaseChange::HandOver("c".into()));
    assert_eq!(
        refused(store, other).await,
        Some(asked.clone()),
        "one at a time"
    );
    let evict = LeaseWrite::new(asked.clone(), LeaseChange::Evict);
    assert!(refused(store, evict).await.is_some());
    let beating = done(store, renew(&asked)).await;
    assert_eq!(
        beating.holder(),
        Some(&"a".into()),
        "the old owner may show that it is alive"
    );
    let saved = done(store, LeaseWrite::checkpoint(beating, after(7, 1))).await;
    assert_eq!(saved.checkpoint_owner, Some("a".into()));
    let finished = LeaseWrite::new(saved.clone(), LeaseChange::FinishHandOver);
    let finished = done(store, finished).await;
    assert_eq!(
        (finished.owner.clone(), finished.checkpoint_owner.clone()),
        (Some("b".into()), None)
    );
    assert_eq!(finished.counter, saved.counter + 1);
    assert_eq!(stored(store, 0).await, Some(finished));
}

/// Sends every write of a lease's life twice, as an SDK does after it lost an answer.
async fn every_write_repeated(store: &impl LeaseStore) {
    let both = async |write: LeaseWrite| {
        let first = done(store, write.clone()).await;
        done(store, write).await;
        first
    };
    let lease = both(LeaseWrite::create(fresh(0))).await;
    let lease = both(LeaseWrite::take(lease, "a".into())).await;
    let lease = both(renew(&lease)).await;
    let pending = PendingCheckpoint::new(after(7, 0), Some("state".into()));
    let lease = both(LeaseWrite::new(lease, LeaseChange::Prepare(pending))).await;
    let lease = both(LeaseWrite::checkpoint(lease, after(7, 0))).await;
    let lease = both(LeaseWrite::new(lease, LeaseChange::HandOver("b".into()))).await;
    let lease = both(LeaseWrite::new(lease, LeaseChange::FinishHandOver)).await;
    let lease = both(LeaseWrite::new(lease, LeaseChange::Evict)).await;
    let end = LeaseChange::Checkpoint {
        to: LeaseCheckpoint::ShardEnd,
        children: vec![shard(1)],
    };
    let lease = both(LeaseWrite::new(lease, end)).await;
    both(LeaseWrite::new(lease, LeaseChange::Delete)).await;
    assert_eq!(stored(store, 0).await, None);
}

/// One worker that plans and takes leases over a store.
struct Taker<'a, S> {
    store: &'a S,
    me: WorkerId,
    sightings: Sightings,
    now: tokio::time::Instant,
}

impl<'a, S: LeaseStore> Taker<'a, S> {
    fn new(store: &'a S, me: &str) -> Self {
        Self {
            store,
            me: me.into(),
            sightings: Sightings::default(),
            now: crate::Clock::system().instant(),
        }
    }

    async fn plan(&mut self, after: Duration) -> Vec<Action> {
        self.now += after;
        let leases = self.store.list(APP).await.unwrap();
        self.sightings.observe(&leases, self.now, self.now);
        let none = HashSet::new();
        let view = View {
            leases: &leases,
            sightings: &self.sightings,
            me: &self.me,
            running: &none,
            workers: &[],
            orphans: &none,
        };
        let rules = Rules {
            failover: FAILOVER,
            hand_over_max: 10 * FAILOVER,
            leases_max: usize::MAX,
        };
        plan(view, rules, &mut fastrand::Rng::with_seed(7))
    }

    async fn carry_out(&self, actions: Vec<Action>) -> Vec<Lease> {
        let mut taken = Vec::new();
        for Action::Take(lease) | Action::Steal(lease) | Action::Renew(lease) in actions {
            taken.push(done(self.store, LeaseWrite::take(lease, self.me.clone())).await);
        }
        taken
    }
}

async fn non_greedy_take(store: &impl LeaseStore) {
    for number in 0..3 {
        create(store, fresh(number)).await;
    }
    owned(store, 3, "b").await;
    let mut taker = Taker::new(store, "a");
    let actions = taker.plan(Duration::ZERO).await;
    assert_eq!(
        taker.carry_out(actions).await.len(),
        2,
        "its share of four for two"
    );
}

async fn no_steal_when_off_by_one(store: &impl LeaseStore) {
    for number in 0..3 {
        owned(store, number, if number == 0 { "a" } else { "b" }).await;
    }
    let mut taker = Taker::new(store, "c");
    let stolen = taker.plan(Duration::ZERO).await;
    assert!(matches!(&*stolen, [Action::Steal(lease)] if lease.owner == Some("b".into())));
    taker.carry_out(stolen).await;
    assert_eq!(Taker::new(store, "d").plan(Duration::ZERO).await, []);
}

async fn very_old_leases(store: &impl LeaseStore) {
    let busy = owned(store, 0, "b").await;
    owned(store, 1, "dead").await;
    owned(store, 2, "dead").await;
    owned(store, 3, "dead").await;
    let mut taker = Taker::new(store, "a");
    assert!(taker.plan(Duration::ZERO).await.len() <= 1);
    let busy = done(store, renew(&busy)).await;
    assert_eq!(taker.plan(FAILOVER).await.len(), 2, "its share");
    done(store, renew(&busy)).await;
    assert_eq!(taker.plan(2 * FAILOVER).await.len(), 3, "all");
}

async fn expired_hand_off_is_free(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let hand_over = LeaseChange::HandOver("b".into());
    done(store, LeaseWrite::new(lease, hand_over)).await;
    let mut taker = Taker::new(store, "c");
    assert_eq!(taker.plan(Duration::ZERO).await, []);
    let actions = taker.plan(FAILOVER).await;
    let leases = taker.carry_out(actions).await;
    assert_eq!(leases[0].checkpoint_owner, None);
    assert_eq!(leases[0].owner, Some("c".into()));
}

async fn restart_on_a_pending_checkpoint(store: &impl LeaseStore) {
    let lease = owned(store, 0, "a").await;
    let pending = PendingCheckpoint::new(after(9, 0), Some("state".into()));
    let prepare = LeaseChange::Prepare(pending.clone());
    done(store, LeaseWrite::new(lease, prepare)).await;
    let mut taker = Taker::new(store, "a");
    let actions = taker.plan(Duration::ZERO).await;
    let leases = taker.carry_out(actions).await;
    assert_eq!(leases[0].pending, Some(pending));
}
