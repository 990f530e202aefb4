//! The conformance suite of lease stores: KCL's own tests of its lease refresher, renewer and taker, under their names.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "a suite fails by panicking, also in the library's own tests"
)]

mod plans;

use std::time::{Duration, SystemTime};

use super::{
    Lease, LeaseChange, LeaseCheckpoint, LeaseStore, LeaseWrite, LeaseWritten, PendingCheckpoint,
};
use crate::shard::{HashKey, HashKeyRange, ShardId};

/// One application in the store under test. Each case has its own, so all cases share one store.
#[derive(Clone, Copy)]
struct Application<'a> {
    store: &'a dyn LeaseStore,
    name: &'static str,
}

/// Checks a lease store of yours against what workers rely on. The store must be empty. The suite writes under
/// application names that begin with `check-`, one for each case, and leaves the leases there.
///
/// The cases are KCL's own tests of its leases, and tests of this library: each write of a lease's life, writes by a
/// worker that has lost its lease, writes that are sent twice, and plans for the leases that the store lists.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use kinesis_pipeline::{MemoryLeases, local::check_lease_store};
///
/// check_lease_store(&MemoryLeases::new()).await;
/// # }
/// ```
///
/// # Panics
/// If the store fails a check: the message has the expected result.
#[cfg(feature = "local")]
pub async fn check_lease_store(store: &dyn LeaseStore) {
    check(store).await;
}

pub(crate) async fn check(store: &dyn LeaseStore) {
    let app = |name| Application { store, name };
    all_of_a_lease_comes_back(app("check-all-of-a-lease-comes-back")).await;
    applications_are_apart(app("check-applications-are-apart")).await;
    create_twice(app("check-create-twice")).await;
    renew_and_hold(app("check-renew-and-hold")).await;
    times_belong_to_their_checkpoint(app("check-times-belong-to-their-checkpoint")).await;
    renew_lost_lease(app("check-renew-lost-lease")).await;
    take_unowned_owned_and_updated(app("check-take-unowned-owned-and-updated")).await;
    regain_a_lost_lease(app("check-regain-a-lost-lease")).await;
    checkpoint_then_prepare(app("check-checkpoint-then-prepare")).await;
    shard_end_with_children(app("check-shard-end-with-children")).await;
    evict(app("check-evict")).await;
    delete_then_update(app("check-delete-then-update")).await;
    hand_over(app("check-hand-over")).await;
    every_write_repeated(app("check-every-write-repeated")).await;
    plans::non_greedy_take(app("check-non-greedy-take")).await;
    plans::no_steal_when_off_by_one(app("check-no-steal-when-off-by-one")).await;
    plans::very_old_leases(app("check-very-old-leases")).await;
    plans::expired_hand_off_is_free(app("check-expired-hand-off-is-free")).await;
    plans::restart_on_a_pending_checkpoint(app("check-restart-on-a-pending-checkpoint")).await;
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

async fn done(app: Application<'_>, write: LeaseWrite) -> Lease {
    match app.store.write(app.name, write.clone()).await.unwrap() {
        LeaseWritten::Done(lease) => lease,
        refused @ LeaseWritten::Refused(_) => panic!("{write:?}: {refused:?}"),
    }
}

async fn refused(app: Application<'_>, write: LeaseWrite) -> Option<Lease> {
    match app.store.write(app.name, write.clone()).await.unwrap() {
        LeaseWritten::Refused(found) => found,
        done @ LeaseWritten::Done(_) => panic!("{write:?}: {done:?}"),
    }
}

async fn create(app: Application<'_>, lease: Lease) -> Lease {
    done(app, LeaseWrite::create(lease)).await
}

async fn owned(app: Application<'_>, number: usize, by: &str) -> Lease {
    let lease = create(app, fresh(number)).await;
    done(app, LeaseWrite::take(lease, by.into())).await
}

async fn stored(app: Application<'_>, number: usize) -> Option<Lease> {
    let leases = app.store.list(app.name).await.unwrap();
    leases
        .into_iter()
        .find(|lease| lease.shard_id == shard(number))
}

fn renew(lease: &Lease) -> LeaseWrite {
    LeaseWrite::new(lease.clone(), LeaseChange::Renew)
}

async fn all_of_a_lease_comes_back(app: Application<'_>) {
    assert_eq!(
        app.store.list(app.name).await.unwrap(),
        [],
        "empty at first"
    );
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
    let mut lease = fresh(3);
    lease.checkpoint = LeaseCheckpoint::AtTimestamp;
    lease.begun_at = Some(time);
    lease.current_at = Some(time + Duration::from_hours(1));
    lease.parents = vec![shard(1), shard(2)];
    lease.hash_key_range = Some(HashKeyRange::new(
        HashKey::new(7),
        HashKey::new(u128::MAX - 7),
    ));
    create(app, lease.clone()).await;
    assert_eq!(stored(app, 3).await, Some(lease));
    let mut latest = fresh(4);
    latest.checkpoint = LeaseCheckpoint::Latest;
    create(app, latest.clone()).await;
    assert_eq!(stored(app, 4).await, Some(latest));
}

async fn applications_are_apart(app: Application<'_>) {
    create(app, fresh(0)).await;
    assert_eq!(app.store.list("check-other").await.unwrap(), []);
}

async fn create_twice(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let found = refused(app, LeaseWrite::create(fresh(0))).await;
    assert_eq!(found, Some(lease), "the lease that was there stays");
}

async fn renew_and_hold(app: Application<'_>) {
    let mut lease = owned(app, 0, "a").await;
    for _ in 0..3 {
        let counter = lease.counter;
        lease = done(app, renew(&lease)).await;
        assert_eq!(lease.counter, counter + 1);
    }
    assert_eq!(stored(app, 0).await, Some(lease));
}

async fn times_belong_to_their_checkpoint(app: Application<'_>) {
    let time = |hours| Some(SystemTime::UNIX_EPOCH + Duration::from_hours(hours));
    let lease = owned(app, 0, "a").await;
    let renewed = done(app, renew(&lease).with_current_at(time(1))).await;
    assert_eq!(renewed.current_at, time(1));
    let renewed = done(app, renew(&renewed)).await;
    assert_eq!(stored(app, 0).await.unwrap().current_at, time(1));
    let write = LeaseWrite::checkpoint(renewed, after(7, 0)).with_current_at(time(2));
    let saved = done(app, write).await;
    assert_eq!(saved.current_at, time(2));
    let renewed = done(app, renew(&saved).with_current_at(time(3))).await;
    let taken = done(app, LeaseWrite::take(renewed, "b".into())).await;
    assert_eq!(stored(app, 0).await.unwrap().current_at, time(3));
    let saved = done(app, LeaseWrite::checkpoint(taken, after(8, 0))).await;
    assert_eq!(saved.current_at, None, "it is not known for this place");
    assert_eq!(stored(app, 0).await, Some(saved));
}

async fn renew_lost_lease(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let taken = done(app, LeaseWrite::take(lease.clone(), "b".into())).await;
    assert_eq!(refused(app, renew(&lease)).await, Some(taken.clone()));
    let checkpoint = LeaseWrite::checkpoint(lease, after(7, 0));
    assert_eq!(refused(app, checkpoint).await, Some(taken));
}

async fn take_unowned_owned_and_updated(app: Application<'_>) {
    let lease = create(app, fresh(0)).await;
    let by_a = done(app, LeaseWrite::take(lease, "a".into())).await;
    assert_eq!(
        (by_a.owner.clone(), by_a.owner_switches),
        (Some("a".into()), 1)
    );
    let by_b = done(app, LeaseWrite::take(by_a.clone(), "b".into())).await;
    assert_eq!(
        (by_b.owner.clone(), by_b.owner_switches),
        (Some("b".into()), 2)
    );
    let renewed = done(app, renew(&by_b)).await;
    let late = refused(app, LeaseWrite::take(by_b, "c".into())).await;
    assert_eq!(late, Some(renewed.clone()), "its owner was faster");
    let again = done(app, LeaseWrite::take(renewed, "b".into())).await;
    assert_eq!(again.owner_switches, 2, "the owner is the same");
}

async fn regain_a_lost_lease(app: Application<'_>) {
    let first = owned(app, 0, "a").await;
    let stolen = done(app, LeaseWrite::take(first.clone(), "b".into())).await;
    let again = done(app, LeaseWrite::take(stolen, "a".into())).await;
    let found = refused(app, renew(&first)).await;
    assert_eq!(found, Some(again), "the first holding is over");
}

async fn checkpoint_then_prepare(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let pending = PendingCheckpoint::new(after(9, 2), Some("state".into()));
    let prepare = LeaseChange::Prepare(pending.clone());
    let prepared = done(app, LeaseWrite::new(lease, prepare)).await;
    assert_eq!(stored(app, 0).await.unwrap().pending, Some(pending));
    let made = done(app, LeaseWrite::checkpoint(prepared, after(9, 2))).await;
    assert_eq!((made.pending.clone(), made.owner_switches), (None, 0));
    assert_eq!(stored(app, 0).await, Some(made.clone()));
    let bare = PendingCheckpoint::new(after(10, 0), None);
    let prepared = done(
        app,
        LeaseWrite::new(made, LeaseChange::Prepare(bare.clone())),
    )
    .await;
    assert_eq!(prepared.pending, Some(bare));
}

async fn shard_end_with_children(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let end = LeaseChange::Checkpoint {
        to: LeaseCheckpoint::ShardEnd,
        children: vec![shard(1), shard(2)],
    };
    let ended = done(app, LeaseWrite::new(lease, end)).await;
    assert_eq!(ended.children, [shard(1), shard(2)]);
    assert_eq!(stored(app, 0).await, Some(ended));
}

async fn evict(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let evict = LeaseWrite::new(lease.clone(), LeaseChange::Evict);
    let free = done(app, evict.clone()).await;
    assert_eq!(
        (free.owner.clone(), free.counter),
        (None, lease.counter + 1)
    );
    assert!(refused(app, renew(&lease)).await.is_some());
    let taken = done(app, LeaseWrite::take(free, "b".into())).await;
    assert_eq!(
        refused(app, evict).await,
        Some(taken),
        "not the next owner's"
    );
}

async fn delete_then_update(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let renewed = done(app, renew(&lease)).await;
    let delete = |lease: &Lease| LeaseWrite::new(lease.clone(), LeaseChange::Delete);
    assert_eq!(refused(app, delete(&lease)).await, Some(renewed.clone()));
    done(app, delete(&renewed)).await;
    assert_eq!(stored(app, 0).await, None);
    assert_eq!(refused(app, renew(&renewed)).await, None);
    let take = LeaseWrite::take(renewed.clone(), "b".into());
    assert_eq!(refused(app, take).await, None, "no row appears");
    done(app, delete(&renewed)).await;
}

async fn hand_over(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let hand_over = LeaseWrite::new(lease.clone(), LeaseChange::HandOver("b".into()));
    let asked = done(app, hand_over).await;
    assert_eq!(asked.counter, lease.counter, "the counter stays");
    assert_eq!(
        (asked.owner.clone(), asked.holder()),
        (Some("b".into()), Some(&"a".into()))
    );
    assert_eq!(refused(app, renew(&lease)).await, Some(asked.clone()));
    let other = LeaseWrite::new(lease.clone(), LeaseChange::HandOver("c".into()));
    assert_eq!(
        refused(app, other).await,
        Some(asked.clone()),
        "one at a time"
    );
    let evict = LeaseWrite::new(asked.clone(), LeaseChange::Evict);
    assert!(refused(app, evict).await.is_some());
    let beating = done(app, renew(&asked)).await;
    assert_eq!(
        beating.holder(),
        Some(&"a".into()),
        "the old owner may show that it is alive"
    );
    let saved = done(app, LeaseWrite::checkpoint(beating, after(7, 1))).await;
    assert_eq!(saved.checkpoint_owner, Some("a".into()));
    let finished = LeaseWrite::new(saved.clone(), LeaseChange::FinishHandOver);
    let finished = done(app, finished).await;
    assert_eq!(
        (finished.owner.clone(), finished.checkpoint_owner.clone()),
        (Some("b".into()), None)
    );
    assert_eq!(finished.counter, saved.counter + 1);
    assert_eq!(stored(app, 0).await, Some(finished));
}

/// Sends every write of a lease's life twice, as an SDK does after it lost an answer.
async fn every_write_repeated(app: Application<'_>) {
    let both = async |write: LeaseWrite| {
        let first = done(app, write.clone()).await;
        done(app, write).await;
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
    assert_eq!(stored(app, 0).await, None);
}
