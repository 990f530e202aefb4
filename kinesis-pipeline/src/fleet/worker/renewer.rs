use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    checkpointer::CheckpointerError,
    hold::Hold,
    lease_command::{LeaseCommand, Reply},
    observe::StreamObserver,
    read_times::ReadTimes,
    settings::Settings,
    throughput::Throughput,
};
use crate::{
    CheckpointPlace, Clock,
    clock::epoch_millis,
    fleet::lease::{
        Lease, LeaseChange, LeaseCheckpoint, LeaseStore, LeaseStoreError, LeaseWrite, LeaseWritten,
        PendingCheckpoint,
    },
    get::Progress,
    service::backoff::jittered,
    shard::{Position, ShardId},
};

/// The first pause after a call of the store that failed; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The reason why a write was not made.
#[derive(Debug)]
enum NotWritten {
    Lost,
    Store(LeaseStoreError),
}

/// The only writer of one lease: it renews the lease and writes its checkpoints.
///
/// Two writers would race for the counter: with a renewal (R) and a checkpoint (C) that both have read counter 5, R writes
/// 6, and C, which expects 5, is refused as if the lease were lost. A write whose outcome is unknown is sent again until
/// it is known, since the next one needs the counter.
pub(super) struct LeaseRenewer {
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Clock,
    /// The shard's id, which the lease's key may name with its stream.
    pub(super) shard_id: ShardId,
    /// The lease as it was written or read last.
    pub(super) lease: Lease,
    pub(super) hold: Hold,
    pub(super) observer: StreamObserver,
    pub(super) progress: Arc<Progress>,
    pub(super) throughput: Throughput,
    pub(super) read_times: ReadTimes,
    pub(super) commands: mpsc::Receiver<LeaseCommand>,
    pub(super) renew_at: Instant,
    pub(super) save_at: Instant,
}

impl LeaseRenewer {
    /// Works until the lease is lost, released, or at its shard's end.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.renew_at.min(self.save_at);
            let command = tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => Some(command),
                    None => return,
                },
                () = sleep_until(due) => None,
            };
            let goes_on = match command {
                Some(command) => self.carry_out(command).await,
                None => self.beat().await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Carries out a command. Returns whether the lease is still held.
    async fn carry_out(&mut self, command: LeaseCommand) -> bool {
        match command {
            LeaseCommand::Checkpoint { to, reply } => {
                let result = self.checkpoint(to).await;
                answer(reply, result)
            }
            LeaseCommand::Save { reply } => {
                let result = self.save().await;
                answer(reply, result)
            }
            LeaseCommand::Prepare { pending, reply } => {
                let result = self.prepare(pending).await;
                answer(reply, result)
            }
            LeaseCommand::End {
                children,
                leases,
                reply,
            } => {
                let result = self.end(children, leases).await;
                let is_done = result.is_ok();
                answer(reply, result) && !is_done
            }
            LeaseCommand::Release { reply } => {
                let result = self.release().await;
                answer(reply, result);
                false
            }
            LeaseCommand::Seen(found) => self.on_seen(*found),
        }
    }

    /// Saves the finished position, or renews the lease if there is no new one.
    async fn beat(&mut self) -> bool {
        let now = self.clock.instant();
        let change = match self.unsaved() {
            Some(to) => checkpoint_to(to),
            None if now >= self.renew_at => LeaseChange::Renew,
            None => {
                self.save_at = self.next_save(now);
                return true;
            }
        };
        match self.write(change).await {
            Ok(()) => true,
            Err(NotWritten::Lost) => false,
            Err(NotWritten::Store(error)) => {
                tracing::warn!(shard = %self.lease.shard_id, %error, "lease cannot be renewed");
                let again = self.clock.instant() + self.settings.call_max();
                (self.renew_at, self.save_at) = (again, again);
                true
            }
        }
    }

    fn next_save(&self, now: Instant) -> Instant {
        let interval = self.settings.checkpoint_interval;
        now + interval.max(self.settings.call_max())
    }

    /// Returns the newest place that is finished and not saved.
    fn unsaved(&self) -> Option<LeaseCheckpoint> {
        let unsaved = self.progress.take_unsaved().pop()?;
        let CheckpointPlace::After {
            sequence_number,
            sub_sequence_number,
        } = unsaved.place
        else {
            return None;
        };
        let to = LeaseCheckpoint::After {
            sequence_number,
            sub_sequence_number: sub_sequence_number.unwrap_or_default(),
        };
        self.lease.checkpoint.is_before(&to).then_some(to)
    }

    async fn checkpoint(&mut self, to: LeaseCheckpoint) -> Result<(), CheckpointerError> {
        self.check_order(&to)?;
        if to == self.lease.checkpoint && self.lease.pending.is_none() {
            return Ok(());
        }
        self.write_for(checkpoint_to(to)).await
    }

    async fn prepare(&mut self, pending: PendingCheckpoint) -> Result<(), CheckpointerError> {
        self.check_order(&pending.checkpoint)?;
        self.write_for(LeaseChange::Prepare(pending)).await
    }

    fn check_order(&self, to: &LeaseCheckpoint) -> Result<(), CheckpointerError> {
        match to {
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number,
            } if to.is_before(&self.lease.checkpoint) => {
                let position = Position::new(self.shard_id.clone(), sequence_number.clone());
                let position = position.at_sub_sequence_number(*sub_sequence_number);
                Err(CheckpointerError::OutOfRange {
                    position: Box::new(position),
                })
            }
            _ => Ok(()),
        }
    }

    async fn end(
        &mut self,
        children: Vec<ShardId>,
        leases: Vec<Lease>,
    ) -> Result<(), CheckpointerError> {
        for mut lease in leases {
            lease.current_at = self.read_times.of_child(&self.lease, &lease);
            let written = self.write_known(LeaseWrite::create(lease)).await;
            // A lease that exists already was made at the other parent's end.
            written.map_err(|error| self.failure(NotWritten::Store(error)))?;
        }
        let to = LeaseCheckpoint::ShardEnd;
        self.write_for(LeaseChange::Checkpoint { to, children })
            .await
    }

    async fn save(&mut self) -> Result<(), CheckpointerError> {
        match self.unsaved() {
            Some(to) => self.write_for(checkpoint_to(to)).await,
            None => Ok(()),
        }
    }

    async fn release(&mut self) -> Result<(), CheckpointerError> {
        self.save().await?;
        if self.lease.checkpoint_owner.is_none() {
            self.write_for(LeaseChange::Evict).await?;
        }
        // A hand-over may have begun in the meantime: then the lease was not given back.
        if self.lease.checkpoint_owner.is_some() {
            self.write_for(LeaseChange::FinishHandOver).await?;
        }
        Ok(())
    }

    async fn write_for(&mut self, change: LeaseChange) -> Result<(), CheckpointerError> {
        let written = self.write(change).await;
        written.map_err(|why| self.failure(why))
    }

    fn failure(&self, why: NotWritten) -> CheckpointerError {
        let shard = self.shard_id.clone();
        match why {
            NotWritten::Lost => CheckpointerError::LeaseLost { shard },
            NotWritten::Store(source) => CheckpointerError::Store {
                shard,
                source: Arc::new(source),
            },
        }
    }

    /// Makes a change of the lease, also when it meets the start of a hand-over or a row that was deleted.
    async fn write(&mut self, change: LeaseChange) -> Result<(), NotWritten> {
        loop {
            let begun = self.clock.instant();
            let write = LeaseWrite::new(self.lease.clone(), change.clone())
                .with_bytes_per_second(self.throughput.bytes_per_second(begun))
                .with_current_at(self.read_times.after(&self.lease, &change));
            let written = self.write_known(write).await;
            match written.map_err(NotWritten::Store)? {
                LeaseWritten::Done(lease) => {
                    self.read_times.on_stored(&lease.checkpoint, &change);
                    self.adopt(lease, begun);
                    return Ok(());
                }
                LeaseWritten::Refused(found) => self.on_refused(found).await?,
            }
            if change == LeaseChange::Evict && self.lease.checkpoint_owner.is_some() {
                return Ok(());
            }
        }
    }

    /// Sends a write until its outcome is known.
    async fn write_known(&self, write: LeaseWrite) -> Result<LeaseWritten, LeaseStoreError> {
        let mut pause = PAUSE_MIN;
        loop {
            let call = self.store.write(&self.settings.app, write.clone());
            match timeout(self.settings.call_max(), call).await {
                Ok(Ok(written)) => return Ok(written),
                Ok(Err(error)) if !error.is_retryable() => {
                    self.observer.on_write_failed(&self.lease.shard_id, &error);
                    return Err(error);
                }
                Ok(Err(error)) => {
                    self.observer.on_write_failed(&self.lease.shard_id, &error);
                    tracing::debug!(shard = %write.seen.shard_id, %error, "lease not written; trying on");
                }
                Err(late) => {
                    self.observer.on_write_failed(&self.lease.shard_id, &late);
                    tracing::debug!(shard = %write.seen.shard_id, "lease store is slow; trying on");
                }
            }
            tokio::time::sleep(jittered(pause, fastrand::f64())).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Takes over the lease as it was stored by a write that began at `begun`.
    fn adopt(&mut self, lease: Lease, begun: Instant) {
        let was_late = !self.hold.is_valid(self.clock.instant());
        self.observer.on_written(&lease, was_late);
        self.lease = lease;
        self.renew_at = begun + self.settings.renew_interval();
        self.save_at = self.next_save(begun);
        // First: the write before this one is the last that certainly knew nothing of a hand-over.
        self.note_hand_over();
        self.hold.extend(begun + self.settings.failover);
    }

    fn note_hand_over(&self) {
        if self.lease.checkpoint_owner.as_ref() == Some(&self.settings.me) {
            let settings = &self.settings;
            self.hold.ask_for(settings.failover, settings.hand_over_max);
        }
    }

    /// Handles a refused write; returns an error if the lease is lost.
    async fn on_refused(&mut self, found: Option<Lease>) -> Result<(), NotWritten> {
        match found {
            Some(found) if self.is_asked_for(&found) => {
                self.lease = found;
                self.note_hand_over();
                Ok(())
            }
            None if self.lease.checkpoint_owner.is_none() => self.make_again().await,
            _ => {
                self.lose();
                Err(NotWritten::Lost)
            }
        }
    }

    /// Whether a hand-over has begun since the lease was written last.
    fn is_asked_for(&self, found: &Lease) -> bool {
        let me = Some(&self.settings.me);
        self.lease.owner.as_ref() == me
            && self.lease.checkpoint_owner.is_none()
            && found.checkpoint_owner.as_ref() == me
            && found.counter == self.lease.counter
    }

    /// Makes a deleted row again, since its holder knows its contents.
    async fn make_again(&mut self) -> Result<(), NotWritten> {
        let (begun, mut lease) = (self.clock.instant(), self.lease.clone());
        // Not if the lease may have expired: another worker may have had it when its row was deleted. Both would make it
        // again with the same counter, and each would take the other's writes for its own.
        if !self.hold.is_valid(begun) {
            self.lose();
            return Err(NotWritten::Lost);
        }
        let now = epoch_millis(self.clock.now());
        lease.counter = lease.counter.saturating_add(1).max(now);
        tracing::warn!(shard = %lease.shard_id, "the row of a lease is gone; making it again");
        let written = self.write_known(LeaseWrite::create(lease)).await;
        if let LeaseWritten::Done(lease) = written.map_err(NotWritten::Store)? {
            self.adopt(lease, begun);
            return Ok(());
        }
        self.lose();
        Err(NotWritten::Lost)
    }

    /// Takes a lease from the coordinator's list with another holder. The list may be older than the last write.
    fn on_seen(&mut self, found: Lease) -> bool {
        if self.is_asked_for(&found) {
            self.lease = found;
            self.note_hand_over();
        } else if found.counter > self.lease.counter {
            self.lose();
            return false;
        }
        true
    }

    fn lose(&self) {
        tracing::info!(shard = %self.lease.shard_id, "lease lost");
        self.hold.lose();
    }
}

/// Returns whether the lease is still held.
fn answer(reply: Reply, result: Result<(), CheckpointerError>) -> bool {
    let is_lost = matches!(result, Err(CheckpointerError::LeaseLost { .. }));
    // A caller that was dropped needs no answer.
    let _ = reply.send(result);
    !is_lost
}

fn checkpoint_to(to: LeaseCheckpoint) -> LeaseChange {
    LeaseChange::Checkpoint {
        to,
        children: Vec::new(),
    }
}
