use std::sync::Arc;

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use super::{
    drain_mark::{DrainMark, DrainPhase},
    lane_map::LaneMap,
    lane_task::{LaneInput, LaneRecord, LaneTask, Processed},
    window::Window,
};
use crate::{
    KinesisRecord,
    fleet::worker::{
        Processor, ShardStart, WorkerError,
        shard::{
            ShardContext,
            context::{Halt, UNACKED_LOOK},
            decode::checkpoint_after,
            gather::{RawBatch, memory_bytes},
            lane::Lane,
            process::UNFINISHED_MAX,
        },
    },
    get::{Ordinal, UserRecord},
};

/// The lanes of one shard. Dropping this ends them.
pub(in crate::fleet::worker::shard) struct Lanes {
    shard: ShardContext,
    map: LaneMap,
    window: Window,
    /// The queue of each lane. Empty after the last input.
    queues: Vec<mpsc::UnboundedSender<LaneInput>>,
    processed: mpsc::UnboundedReceiver<Processed>,
    mark: Arc<DrainMark>,
    tasks: JoinSet<Halt>,
}

/// An event for which the driver waits when it cannot dispatch.
enum Event {
    Halted(Halt),
    Processed(Processed),
    Looked,
}

impl Lanes {
    pub(in crate::fleet::worker::shard) fn start<P>(
        processors: Vec<P>,
        shard: &ShardContext,
        start: &ShardStart,
    ) -> Self
    where
        P: Processor + 'static,
        P::Record: KinesisRecord + Send,
    {
        let settings = &shard.settings;
        let (report, processed) = mpsc::unbounded_channel();
        let mut lanes = Self {
            shard: shard.clone(),
            map: LaneMap::new(processors.len(), settings.order),
            window: Window::new(processors.len(), settings.batch),
            queues: Vec::with_capacity(processors.len()),
            processed,
            mark: Arc::default(),
            tasks: JoinSet::new(),
        };
        for (number, processor) in processors.into_iter().enumerate() {
            let (queue, inputs) = mpsc::unbounded_channel();
            let shard = shard.clone();
            let lane = Lane { processor, shard };
            let (mark, start) = (lanes.mark.clone(), start.clone());
            let task = LaneTask::new(lane, number, inputs, report.clone(), mark, start);
            lanes.tasks.spawn(task.run());
            lanes.queues.push(queue);
        }
        lanes
    }

    /// Dispatches a batch to the lanes. Waits while they have no room.
    pub(in crate::fleet::worker::shard) async fn dispatch(
        &mut self,
        batch: RawBatch,
    ) -> Result<(), Halt> {
        self.take_processed();
        while !self.window.has_room() {
            self.wait().await?;
        }
        let behind_latest = batch.behind_latest;
        let mut outgoing: Vec<Vec<LaneRecord>> = Vec::new();
        outgoing.resize_with(self.queues.len(), Vec::new);
        for read in batch.records {
            let step = loop {
                if let Some(step) = self.begin(&read) {
                    break step;
                }
                // The outgoing records must be sent before the wait: the steps are freed by the lanes, which may have
                // nothing else to do.
                self.hand_on(&mut outgoing, behind_latest);
                self.wait().await?;
            };
            let bytes = memory_bytes(&read);
            let assigned = self.map.assign(&read.encoded.partition_key);
            self.window.on_taken(bytes);
            outgoing[assigned.lane].push(LaneRecord {
                read,
                step,
                key_hash: assigned.key_hash,
                bytes,
            });
        }
        self.hand_on(&mut outgoing, behind_latest);
        Ok(())
    }

    /// Begins the record's step of the watermark. `None` if too many steps are unfinished.
    fn begin(&self, read: &UserRecord) -> Option<Ordinal> {
        let checkpoint = checkpoint_after(&read.position);
        self.shard.progress.begin(checkpoint, UNFINISHED_MAX)
    }

    /// Hands records on to their lanes. Those behind other records of their lane wait there for as long as these take.
    fn hand_on(
        &self,
        outgoing: &mut [Vec<LaneRecord>],
        behind_latest: Option<std::time::Duration>,
    ) {
        for (lane, (queue, records)) in self.queues.iter().zip(outgoing).enumerate() {
            if !records.is_empty() {
                let mut records = std::mem::take(records);
                if self.map.load(lane) > records.len() {
                    records.iter_mut().for_each(LaneRecord::own);
                }
                // An error means that the lane has ended. The driver notices that by the lane's task.
                let _ = queue.send(LaneInput::Records(records, behind_latest));
            }
        }
    }

    /// Waits until lanes have processed some records. Returns an error if the worker has to leave the shard, or a lane
    /// ended.
    async fn wait(&mut self) -> Result<(), Halt> {
        let event = tokio::select! {
            biased;
            () = self.shard.leaves() => Event::Halted(Halt::Leave),
            Some(ended) = self.tasks.join_next() => Event::Halted(halt_of(ended)),
            Some(processed) = self.processed.recv() => Event::Processed(processed),
            // Acks send no event, so they are polled.
            () = tokio::time::sleep(UNACKED_LOOK) => Event::Looked,
        };
        match event {
            Event::Halted(halt) => return Err(halt),
            Event::Processed(processed) => self.on_processed(&processed),
            Event::Looked => {}
        }
        self.take_processed();
        Ok(())
    }

    fn take_processed(&mut self) {
        while let Ok(processed) = self.processed.try_recv() {
            self.on_processed(&processed);
        }
    }

    fn on_processed(&mut self, processed: &Processed) {
        for (key_hash, bytes) in &processed.records {
            self.map.on_processed(processed.lane, *key_hash);
            self.window.on_processed(*bytes);
        }
    }

    /// Waits until a lane ends by itself. Cancel safe.
    pub(in crate::fleet::worker::shard) async fn halted(&mut self) -> Halt {
        match self.tasks.join_next().await {
            Some(ended) => halt_of(ended),
            None => std::future::pending().await,
        }
    }

    /// Waits until all dispatched records are processed.
    pub(in crate::fleet::worker::shard) async fn drain(&mut self) -> Result<(), Halt> {
        self.take_processed();
        while !self.window.is_empty() {
            self.wait().await?;
        }
        Ok(())
    }

    /// Notifies all processors that the shard has ended, and waits until they have finished.
    pub(in crate::fleet::worker::shard) async fn shard_ended(&mut self) -> Result<(), Halt> {
        for queue in self.queues.drain(..) {
            let _ = queue.send(LaneInput::End);
        }
        while let Some(ended) = self.tasks.join_next().await {
            match halt_of(ended) {
                Halt::Ended => {}
                halt => return Err(halt),
            }
        }
        Ok(())
    }

    /// Lets the lanes finish the records that they have begun and those before them. After a failure they finish only
    /// their current batches. Returns the failure of a lane, if one fails meanwhile.
    pub(in crate::fleet::worker::shard) async fn shut_down(
        &mut self,
        is_asked: bool,
    ) -> Option<WorkerError> {
        self.mark.set(if is_asked {
            DrainPhase::Draining
        } else {
            DrainPhase::Closed
        });
        self.queues.clear();
        let mut failed = None;
        while let Some(ended) = self.tasks.join_next().await {
            if let Halt::Failed(error) = halt_of(ended) {
                failed.get_or_insert(error);
            }
        }
        failed
    }

    /// Waits until the lanes have noticed that the lease is lost.
    pub(in crate::fleet::worker::shard) async fn lease_lost(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Returns the reason why a lane ended. A panic outside of the guarded calls is passed on.
fn halt_of(ended: Result<Halt, JoinError>) -> Halt {
    match ended {
        Ok(halt) => halt,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Halt::Lost,
        },
    }
}
