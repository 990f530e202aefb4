use std::sync::Arc;

use tokio::{sync::mpsc, time::Instant};

use super::{
    coordinator::{LeaseCoordinator, Running},
    streams::FleetStream,
};
use crate::{
    KinesisRecord,
    fleet::{
        lease::Lease,
        worker::{
            Checkpointer, FencingToken, Processor,
            batch::BatchOrigin,
            hold::Hold,
            lease_command::COMMANDS_MAX,
            read_times::ReadTimes,
            renewer::LeaseRenewer,
            shard::{ShardConsumer, ShardContext},
            throughput::{ProcessedBytes, Throughput},
        },
    },
    get::Progress,
    shard::ShardId,
};

/// Starts the tasks of a lease: its renewer and its consumer.
impl<R, P, F> LeaseCoordinator<F>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R> + 'static,
    F: Fn(&ShardId) -> P,
{
    /// Starts the work on a lease. `begun` is the time at which the write that took it began.
    pub(super) fn start(&mut self, lease: Lease, begun: Instant) {
        let key = lease.shard_id.clone();
        let Some(stream) = self.stream_of(&key) else {
            return;
        };
        let (keys, target) = (stream.keys.clone(), stream.target.clone());
        let observer = stream.observer.clone();
        let (shard_id, consumer_arn) = (keys.shard_id(&key), stream.consumer_arn.clone());
        tracing::info!(shard = %key, worker = %self.settings.me, "lease taken");
        let hold = Hold::new(begun + self.settings.failover);
        let running_hold = hold.clone();
        let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
        let progress = Arc::new(Progress::default());
        let (processed, read_times) = (ProcessedBytes::default(), ReadTimes::default());
        observer.on_acquired(&lease, shard_id.clone(), hold.clone(), progress.clone());
        let token = FencingToken {
            stream: target.stream.clone(),
            shard_id: shard_id.clone(),
            counter: lease.counter,
        };
        let origin = origin_of(stream, &shard_id);
        let (clock, lanes) = (self.clock.clone(), self.settings.lanes);
        let renewer = LeaseRenewer {
            store: self.store.clone(),
            settings: self.settings.clone(),
            clock: clock.clone(),
            shard_id: shard_id.clone(),
            lease: lease.clone(),
            hold: hold.clone(),
            observer: observer.clone(),
            progress: progress.clone(),
            throughput: Throughput::new(processed.clone(), begun),
            read_times: read_times.clone(),
            commands: commands_in,
            renew_at: begun + self.settings.renew_interval(),
            save_at: begun + self.settings.checkpoint_interval,
        };
        let consumer = ShardConsumer {
            processors: (0..lanes).map(|_| (self.make)(&shard_id)).collect(),
            store: self.store.clone(),
            consumer_arn,
            lease,
            shard: ShardContext {
                target,
                keys,
                key: key.clone(),
                settings: self.settings.clone(),
                shard_id,
                origin: Arc::new(origin),
                hold: hold.clone(),
                observer: observer.clone(),
                progress,
                processed,
                read_times,
                checkpointer: Checkpointer::new(token, hold, commands.clone(), clock, lanes > 1),
                stop: self.leave.subscribe(),
            },
        };
        let renewer = tokio::spawn(renewer.run()).abort_handle();
        let id = key.clone();
        let consumer = async move { (id, consumer.run().await) };
        let running = Running {
            commands,
            renewer,
            hold: running_hold,
            observer,
            task: self.tasks.spawn(consumer).id(),
        };
        self.running.insert(key, running);
    }
}

fn origin_of(stream: &FleetStream, shard_id: &ShardId) -> BatchOrigin {
    BatchOrigin {
        stream: stream.target.stream.clone(),
        identifier: stream.keys.identifier().cloned(),
        shard_id: shard_id.clone(),
    }
}
