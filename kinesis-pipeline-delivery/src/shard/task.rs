use std::{
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kinesis_pipeline::{CheckpointerError, EncodedRecord, PendingCheckpoint, Record, ShardId};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, coop::consume_budget},
    time::{Instant, sleep_until},
};

use super::{deliver::ShardDelivery, ledger::Ledger};
use crate::{DeliveryError, counts::Counts, merge::Merger, settings::Settings, store::Target};

/// The most orders that wait for a shard's task. With the order at work, a shard holds one batch more than this.
const ORDERS_MAX: usize = 1;

/// The part of a delivery that its shards share.
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) target: Target,
    pub(crate) counts: Arc<Counts>,
    /// The merger, if the objects of many shards are merged.
    pub(super) merger: Option<Merger>,
    /// The first failure of a shard.
    failure: Mutex<Option<DeliveryError>>,
    failed: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(settings: Settings, target: Target, counts: Arc<Counts>) -> Arc<Self> {
        let merge = settings.merge;
        Arc::new(Self {
            merger: merge.map(|limits| Merger::start(limits, &target, &counts)),
            settings: Arc::new(settings),
            target,
            counts,
            failure: Mutex::default(),
            failed: watch::Sender::new(false),
        })
    }

    /// Waits until a shard fails.
    pub(crate) async fn failed(&self) {
        // The sender is part of this value.
        let _ = self.failed.subscribe().wait_for(|failed| *failed).await;
    }

    /// Takes out the first failure.
    pub(crate) fn take_failure(&self) -> Option<DeliveryError> {
        let failure = self.failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes the first failure, which ends the delivery.
    pub(super) fn fail(&self, shard: &ShardId, error: DeliveryError) -> Ended {
        tracing::error!(%shard, error = &error as &dyn std::error::Error, "the delivery of a shard ends");
        let failure = self.failure.lock();
        let mut failure = failure.unwrap_or_else(PoisonError::into_inner);
        if !self.failed.send_replace(true) {
            *failure = Some(error);
        }
        Ended(shard.clone())
    }
}

/// The error of a shard whose task takes no more orders. The reason is the delivery's failure, or a panic.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the delivery of {0} has ended")]
pub(crate) struct Ended(pub(crate) ShardId);

/// An order to a shard's task.
pub(super) enum Order {
    /// Records to deliver, in their order, and how far their page was behind the tip.
    Records(Vec<Record<EncodedRecord>>, Option<Duration>),
    /// A request to write all open objects, and to end.
    End(oneshot::Sender<()>),
}

/// A handle to the task of one shard, which writes while the next records are read, and by a timer when none come.
/// Dropping it ends the task.
pub(crate) struct ShardTask {
    shard_id: ShardId,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

impl ShardTask {
    pub(crate) fn start(
        shard_id: &ShardId,
        shared: &Arc<Shared>,
        ledger: Ledger,
        pending: Option<&PendingCheckpoint>,
    ) -> Result<Self, DeliveryError> {
        let delivery = ShardDelivery::new(shard_id.clone(), shared.clone(), ledger, pending)?;
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        let (id, failures) = (shard_id.clone(), shared.clone());
        let task = tokio::spawn(async move {
            match run(delivery, receiver).await {
                Ok(()) => {}
                // Another worker has the lease. This shard's processor is ended by its own worker.
                Err(DeliveryError::Progress {
                    source: CheckpointerError::LeaseLost { .. },
                    ..
                }) => tracing::debug!(shard = %id, "the lease is lost"),
                Err(error) => {
                    failures.fail(&id, error);
                }
            }
        });
        Ok(Self {
            shard_id: shard_id.clone(),
            orders,
            task,
        })
    }

    /// Sends records to the task; waits while its queue is full.
    pub(crate) async fn records(
        &self,
        records: Vec<Record<EncodedRecord>>,
        behind_latest: Option<Duration>,
    ) -> Result<(), Ended> {
        let order = Order::Records(records, behind_latest);
        self.orders.send(order).await.map_err(|_| self.ended())
    }

    /// Has the task write all open objects, and waits until they are written.
    pub(crate) async fn end(&self) -> Result<(), Ended> {
        let (done, ended) = oneshot::channel();
        let sent = self.orders.send(Order::End(done)).await;
        sent.map_err(|_| self.ended())?;
        ended.await.map_err(|_| self.ended())
    }

    fn ended(&self) -> Ended {
        Ended(self.shard_id.clone())
    }
}

impl Drop for ShardTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    mut delivery: ShardDelivery,
    mut orders: mpsc::Receiver<Order>,
) -> Result<(), DeliveryError> {
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => order,
            () = until(delivery.due_at()) => {
                delivery.timer().await?;
                continue;
            }
        };
        match order {
            Some(Order::Records(records, behind_latest)) => {
                for record in records {
                    delivery.record(&record).await?;
                    // Compression takes long: let other tasks run.
                    consume_budget().await;
                }
                delivery.taken(behind_latest);
            }
            Some(Order::End(done)) => {
                delivery.end().await?;
                let _ = done.send(());
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
