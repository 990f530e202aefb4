use std::{collections::HashSet, time::Duration};

use tokio::time::timeout;

use super::coordinator::LeaseCoordinator;
use crate::{
    KinesisRecord,
    fleet::{
        lease::{
            FleetLead, Lease, LeaseChange, LeaseStoreError, LeaseWrite,
            plan::{Action, View, adopt, plan},
        },
        worker::{Processor, WorkerError, lease_command::LeaseCommand},
    },
    shard::ShardId,
};

/// The longest pause after leases could not be listed.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// One round: a list of the leases, and the actions that follow from it.
impl<R, P, F> LeaseCoordinator<F>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R> + 'static,
    F: Fn(&ShardId) -> P,
{
    /// Lists the leases once and acts. Returns the time until the next round.
    pub(super) async fn round(&mut self) -> Result<Duration, WorkerError> {
        if let Some(pause) = self.discover().await {
            return Ok(pause);
        }
        let asked_at = self.clock.instant();
        let mut leases = match self.list().await {
            Ok(leases) => leases,
            Err(error) if error.is_retryable() => {
                let app = &self.settings.app;
                tracing::warn!(%app, %error, "leases cannot be listed; trying again");
                return Ok(self.settings.hand_over_look_interval().min(AGAIN_MAX));
            }
            Err(source) => {
                let app = self.settings.app.clone();
                return Err(WorkerError::Store { app, source });
            }
        };
        let now = self.clock.instant();
        self.check_keys(&leases)?;
        self.sightings.observe(&leases, asked_at, now);
        // Those of former streams are still listed for a while.
        let known = leases.iter();
        let known = known.filter(|lease| self.stream_of(&lease.shard_id).is_some());
        self.observer.on_listed(known);
        self.tell_renewers(&leases);
        self.open_streams().await?;
        self.sync(&mut leases).await?;
        self.report().await;
        if *self.stop.borrow() {
            // The worker stops, so it would give new leases back at once.
            return Ok(Duration::ZERO);
        }
        let is_waiting = self.act(&leases).await;
        self.following.on_listed(leases, now);
        // `is_waiting` is also true after a refused write: another worker was faster.
        Ok(if is_waiting {
            self.settings.hand_over_look_interval()
        } else {
            // The jitter keeps workers that were started together from staying in step.
            let jitter = 0.9 + self.random.f64() / 10.0;
            self.next_look().mul_f64(jitter)
        })
    }

    async fn list(&self) -> Result<Vec<Lease>, LeaseStoreError> {
        let call = self.store.list(&self.settings.app);
        let in_time = timeout(self.settings.failover, call).await;
        in_time.unwrap_or_else(|late| Err(LeaseStoreError::new("its usual place", late)))
    }

    /// Notifies renewers whose leases other workers have taken or ask for.
    fn tell_renewers(&self, leases: &[Lease]) {
        let me = &self.settings.me;
        for lease in leases {
            if let Some(running) = self.running.get(&lease.shard_id)
                && (lease.owner.as_ref() != Some(me) || lease.checkpoint_owner.is_some())
            {
                // If the queue is full, the renewer is in a call to the store, whose answer shows the same.
                let _ = running
                    .commands
                    .try_send(LeaseCommand::Seen(Box::new(lease.clone())));
            }
        }
    }

    /// Carries out the plan. Returns whether to list again soon: a lease is being handed over to this worker, or
    /// another worker was faster.
    pub(super) async fn act(&mut self, leases: &[Lease]) -> bool {
        let (me, running) = (&self.settings.me, self.running.keys().cloned().collect());
        let orphans = self.orphans(leases);
        let leases = &*self.own_leases(leases);
        let view = View {
            leases,
            sightings: &self.sightings,
            me,
            running: &running,
            workers: &[],
            orphans: &orphans,
        };
        let rules = self.settings.rules();
        let actions = match self.following.lead() {
            FleetLead::Workers => plan(view, rules, &mut self.random),
            FleetLead::Leader | FleetLead::Vacant => adopt(view, rules),
        };
        let asked = actions
            .iter()
            .any(|action| matches!(action, Action::Steal(_)));
        let is_handed_one = leases
            .iter()
            .any(|lease| lease.owner.as_ref() == Some(me) && lease.checkpoint_owner.is_some());
        let renewed: HashSet<_> = actions
            .iter()
            .filter_map(Action::renewed)
            .cloned()
            .collect();
        let begun = self.clock.instant();
        let wanted = actions.len();
        let writes = actions.into_iter().map(|action| match action {
            Action::Steal(lease) if lease.hands_over() => {
                LeaseWrite::new(lease, LeaseChange::HandOver(me.clone()))
            }
            Action::Take(lease) | Action::Steal(lease) => LeaseWrite::take(lease, me.clone()),
            Action::Renew(lease) => LeaseWrite::new(lease, LeaseChange::Renew),
        });
        let written = self.write_all(writes).await;
        let was_refused = written.len() < wanted;
        for lease in written {
            if lease.checkpoint_owner.is_none() && !renewed.contains(&lease.shard_id) {
                self.start(lease, begun);
            }
        }
        asked || is_handed_one || was_refused
    }
}
