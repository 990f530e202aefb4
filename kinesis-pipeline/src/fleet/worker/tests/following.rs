//! Tests of a worker in a fleet with a KCL 3 leader.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;

use super::basics::{APP, stream_of};
use crate::{
    Batch, BoxError, FleetLead, Lease, LeaseChange, LeaseCheckpoint, LeaseFuture, LeaseStore,
    LeaseWrite, LeaseWritten, MemoryLeases, StartAt, WorkerHandle, WorkerId,
};

const FAILOVER: Duration = Duration::from_secs(10);

/// A store with a leader. It notes the workers that report to the leader.
#[derive(Clone, Debug, Default)]
struct Led {
    store: MemoryLeases,
    lead: Arc<Mutex<FleetLead>>,
    reports: Arc<Mutex<Vec<WorkerId>>>,
}

impl LeaseStore for Led {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        self.store.list(app)
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        self.store.write(app, write)
    }

    fn report<'a>(&'a self, _: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, FleetLead> {
        self.reports.lock().unwrap().push(worker.clone());
        let lead = *self.lead.lock().unwrap();
        Box::pin(async move { Ok(lead) })
    }
}

impl Led {
    fn new(lead: FleetLead) -> Self {
        let fleet = Self::default();
        fleet.set(lead);
        fleet
    }

    fn set(&self, lead: FleetLead) {
        *self.lead.lock().unwrap() = lead;
    }

    async fn leases(&self) -> Vec<Lease> {
        let mut leases = self.store.list(APP).await.unwrap();
        leases.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
        leases
    }

    async fn lead_writes(&self, number: usize, change: LeaseChange) {
        let write = LeaseWrite::new(self.leases().await.remove(number), change);
        let written = self.store.write(APP, write).await.unwrap();
        assert!(matches!(written, LeaseWritten::Done(_)), "{written:?}");
    }

    async fn owners(&self) -> Vec<Option<String>> {
        let leases = self.leases().await.into_iter();
        leases
            .map(|lease| lease.owner.map(|owner| owner.to_string()))
            .collect()
    }
}

/// Starts a worker `w` of a stream of four shards, and waits until it has made their leases.
async fn start(fleet: &Led) -> WorkerHandle {
    let stream = stream_of::<Bytes>(4).await;
    let worker = stream.worker(APP).leases(fleet.clone()).id("w");
    let worker = worker.start(StartAt::TrimHorizon).failover(FAILOVER);
    let worker = worker.build().unwrap();
    let handle = worker.handle();
    tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| Ok::<(), BoxError>(())));
    tokio::time::sleep(FAILOVER * 4).await;
    handle
}

#[tokio::test(start_paused = true)]
async fn under_a_leader_a_worker_waits_for_its_leases_and_renews_them() {
    let fleet = Led::new(FleetLead::Leader);
    start(&fleet).await;
    assert_eq!(fleet.owners().await, [None, None, None, None]);
    assert!(fleet.reports.lock().unwrap().len() >= 3, "it shows itself");
    fleet.lead_writes(1, LeaseChange::Take("w".into())).await;
    let counter = fleet.leases().await[1].counter;
    tokio::time::sleep(FAILOVER / 2).await;
    assert!(fleet.leases().await[1].counter > counter, "it was found");
    tokio::time::sleep(FAILOVER * 3).await;
    let owners = fleet.owners().await;
    assert_eq!(owners, [None, Some("w".to_owned()), None, None]);
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_that_a_leader_asks_for_is_finished() {
    let fleet = Led::new(FleetLead::Workers);
    start(&fleet).await;
    fleet.set(FleetLead::Leader);
    assert_eq!(fleet.owners().await, vec![Some("w".to_owned()); 4]);
    fleet
        .lead_writes(2, LeaseChange::HandOver("k1".into()))
        .await;
    tokio::time::sleep(FAILOVER).await;
    let lease = fleet.leases().await.remove(2);
    assert_eq!(lease.owner, Some("k1".into()));
    assert_eq!(lease.checkpoint_owner, None, "the old owner is done");
    let kept = fleet.owners().await.into_iter().flatten();
    assert_eq!(kept.filter(|owner| owner == "w").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_leads_java_workers_a_worker_keeps_what_it_holds_and_takes_no_more() {
    let fleet = Led::new(FleetLead::Workers);
    start(&fleet).await;
    fleet.set(FleetLead::Vacant);
    tokio::time::sleep(FAILOVER).await;
    fleet.lead_writes(0, LeaseChange::Take("k1".into())).await;
    tokio::time::sleep(FAILOVER * 5).await;
    let owners = fleet.owners().await;
    let w = Some("w".to_owned());
    assert_eq!(
        owners,
        [Some("k1".to_owned()), w.clone(), w.clone(), w.clone()]
    );
    fleet.set(FleetLead::Workers);
    tokio::time::sleep(FAILOVER * 4).await;
    assert_eq!(fleet.owners().await[0], w, "alone, it leads by lease count");
}

#[tokio::test(start_paused = true)]
async fn a_worker_renews_a_finished_lease_that_a_leader_counts_as_its_own() {
    let fleet = Led::new(FleetLead::Leader);
    start(&fleet).await;
    fleet.lead_writes(3, LeaseChange::Take("w".into())).await;
    let end = LeaseChange::Checkpoint {
        to: LeaseCheckpoint::ShardEnd,
        children: vec!["shardId-000000000009".into()],
    };
    tokio::time::sleep(FAILOVER / 10).await;
    fleet.lead_writes(3, end).await;
    let counter = fleet.leases().await[3].counter;
    tokio::time::sleep(FAILOVER).await;
    assert!(fleet.leases().await[3].counter > counter);
}
