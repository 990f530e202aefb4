use std::sync::Arc;

use tokio::{sync::mpsc, time::Instant};

use super::coordinator::{LeaseCoordinator, Running};
use crate::{
    KinesisRecord,
    fleet::{
        lease::Lease,
        worker::{
            Checkpointer, FencingToken, Processor,
            hold::Hold,
            renewer::{COMMANDS_MAX, LeaseRenewer},
            shard::{ShardConsumer, ShardContext},
            throughput::{ProcessedBytes, Throughput},
        },
    },
    get::Progress,
    shard::ShardId,
};

/// The tasks of a lease.
impl<R, P, F> LeaseCoordinator<F>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R> + 'static,
    F: Fn(&ShardId) -> P,
{
    /// Begins to work on a lease that was taken by a write that began then.
    pub(super) fn start(&mut self, lease: Lease, begun: Instant) {
        let shard_id = lease.shard_id.clone();
        tracing::info!(shard = %shard_id, worker = %self.settings.me, "lease taken");
        let hold = Hold::new(begun + self.settings.failover);
        let running_hold = hold.clone();
        let observer = self.observer.clone();
        let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
        let progress = Arc::new(Progress::default());
        let processed = ProcessedBytes::default();
        observer.on_acquired(&lease, hold.clone(), progress.clone());
        let token = FencingToken {
            shard_id: shard_id.clone(),
            counter: lease.counter,
        };
        let (clock, lanes) = (self.target.clock.clone(), self.settings.lanes);
        let renewer = LeaseRenewer {
            store: self.store.clone(),
            settings: self.settings.clone(),
            clock: clock.clone(),
            lease: lease.clone(),
            hold: hold.clone(),
            observer: observer.clone(),
            progress: progress.clone(),
            throughput: Throughput::new(processed.clone(), begun),
            commands: commands_in,
            renew_at: begun + self.settings.renew_interval(),
            save_at: begun + self.settings.checkpoint_interval,
        };
        let consumer = ShardConsumer {
            processors: (0..lanes).map(|_| (self.make)(&shard_id)).collect(),
            store: self.store.clone(),
            consumer_arn: self.consumer_arn.clone(),
            lease,
            shard: ShardContext {
                target: self.target.clone(),
                settings: self.settings.clone(),
                shard_id: shard_id.clone(),
                hold: hold.clone(),
                observer,
                progress,
                processed,
                checkpointer: Checkpointer::new(token, hold, commands.clone(), clock, lanes > 1),
                stop: self.leave.subscribe(),
            },
        };
        let renewer = tokio::spawn(renewer.run()).abort_handle();
        let id = shard_id.clone();
        let consumer = async move { (id, consumer.run().await) };
        let running = Running {
            commands,
            renewer,
            hold: running_hold,
            task: self.tasks.spawn(consumer).id(),
        };
        self.running.insert(shard_id, running);
    }
}
