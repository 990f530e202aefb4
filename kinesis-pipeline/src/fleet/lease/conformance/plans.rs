//! The cases in which leases are taken by plans.

use std::{collections::HashSet, time::Duration};

use super::{Application, after, create, done, fresh, owned, renew};
use crate::fleet::lease::{
    Lease, LeaseChange, LeaseWrite, PendingCheckpoint, WorkerId,
    plan::{Action, Rules, View, plan},
    sightings::Sightings,
};

const FAILOVER: Duration = Duration::from_secs(10);

/// One worker that plans and takes leases over a store.
struct Taker<'a> {
    app: Application<'a>,
    me: WorkerId,
    sightings: Sightings,
    now: tokio::time::Instant,
}

impl<'a> Taker<'a> {
    fn new(app: Application<'a>, me: &str) -> Self {
        Self {
            app,
            me: me.into(),
            sightings: Sightings::default(),
            now: crate::Clock::system().instant(),
        }
    }

    async fn plan(&mut self, after: Duration) -> Vec<Action> {
        self.now += after;
        let leases = self.app.store.list(self.app.name).await.unwrap();
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
            taken.push(done(self.app, LeaseWrite::take(lease, self.me.clone())).await);
        }
        taken
    }
}

pub(super) async fn non_greedy_take(app: Application<'_>) {
    for number in 0..3 {
        create(app, fresh(number)).await;
    }
    owned(app, 3, "b").await;
    let mut taker = Taker::new(app, "a");
    let actions = taker.plan(Duration::ZERO).await;
    assert_eq!(
        taker.carry_out(actions).await.len(),
        2,
        "its share of four for two"
    );
}

pub(super) async fn no_steal_when_off_by_one(app: Application<'_>) {
    for number in 0..3 {
        owned(app, number, if number == 0 { "a" } else { "b" }).await;
    }
    let mut taker = Taker::new(app, "c");
    let stolen = taker.plan(Duration::ZERO).await;
    assert!(matches!(&*stolen, [Action::Steal(lease)] if lease.owner == Some("b".into())));
    taker.carry_out(stolen).await;
    assert_eq!(Taker::new(app, "d").plan(Duration::ZERO).await, []);
}

pub(super) async fn very_old_leases(app: Application<'_>) {
    let busy = owned(app, 0, "b").await;
    owned(app, 1, "dead").await;
    owned(app, 2, "dead").await;
    owned(app, 3, "dead").await;
    let mut taker = Taker::new(app, "a");
    assert!(taker.plan(Duration::ZERO).await.len() <= 1);
    let busy = done(app, renew(&busy)).await;
    assert_eq!(taker.plan(FAILOVER).await.len(), 2, "its share");
    done(app, renew(&busy)).await;
    assert_eq!(taker.plan(2 * FAILOVER).await.len(), 3, "all");
}

pub(super) async fn expired_hand_off_is_free(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let hand_over = LeaseChange::HandOver("b".into());
    done(app, LeaseWrite::new(lease, hand_over)).await;
    let mut taker = Taker::new(app, "c");
    assert_eq!(taker.plan(Duration::ZERO).await, []);
    let actions = taker.plan(FAILOVER).await;
    let leases = taker.carry_out(actions).await;
    assert_eq!(leases[0].checkpoint_owner, None);
    assert_eq!(leases[0].owner, Some("c".into()));
}

pub(super) async fn restart_on_a_pending_checkpoint(app: Application<'_>) {
    let lease = owned(app, 0, "a").await;
    let pending = PendingCheckpoint::new(after(9, 0), Some("state".into()));
    let prepare = LeaseChange::Prepare(pending.clone());
    done(app, LeaseWrite::new(lease, prepare)).await;
    let mut taker = Taker::new(app, "a");
    let actions = taker.plan(Duration::ZERO).await;
    let leases = taker.carry_out(actions).await;
    assert_eq!(leases[0].pending, Some(pending));
}
