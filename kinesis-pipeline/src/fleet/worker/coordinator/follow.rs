use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::coordinator::LeaseCoordinator;
use crate::{
    KinesisRecord,
    fleet::{
        lease::{FleetLead, Lease},
        worker::Processor,
    },
    shard::ShardId,
};

/// The number of looks for assigned leases in a fail-over time. An assigned lease that is not renewed within that time
/// goes to another worker.
const LOOKS: u32 = 3;

/// The state of a worker that follows a KCL 3 leader.
#[derive(Debug, Default)]
pub(in crate::fleet::worker) struct Following {
    lead: FleetLead,
    /// Whether the warning that there is no leader was logged.
    said_vacant: bool,
    /// All leases as last listed, used for the parents of leases that are assigned to this worker. Empty without a
    /// leader.
    leases: Vec<Lease>,
    listed_at: Option<Instant>,
}

impl Following {
    pub(super) fn lead(&self) -> FleetLead {
        self.lead
    }

    pub(super) fn on_listed(&mut self, leases: Vec<Lease>, now: Instant) {
        let is_led = self.lead == FleetLead::Leader;
        self.leases = if is_led { leases } else { Vec::new() };
        self.listed_at = Some(now);
    }

    fn learn(&mut self, lead: FleetLead) {
        if lead != self.lead {
            tracing::info!(?lead, before = ?self.lead, "the fleet is led otherwise");
        }
        if lead == FleetLead::Vacant && !self.said_vacant {
            self.said_vacant = true;
            tracing::warn!(
                "no KCL 3 worker leads the fleet, and this one does not lead Java workers: it keeps the leases that \
                 it holds and takes no others until one of them leads"
            );
        }
        self.lead = lead;
    }

    /// Returns the listed leases, replaced by those in `found` with the same shard.
    fn with(&self, found: Vec<Lease>) -> Vec<Lease> {
        let mut leases = self.leases.clone();
        leases.retain(|lease| found.iter().all(|new| new.shard_id != lease.shard_id));
        leases.extend(found);
        leases
    }
}

/// The work of a coordinator under a leader.
impl<R, P, F> LeaseCoordinator<F>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R> + 'static,
    F: Fn(&ShardId) -> P,
{
    /// Reports this worker to the fleet's leader, and takes in who assigns the leases.
    pub(super) async fn report(&mut self) {
        let now = self.clock.instant();
        // A leader assigns more leases to every worker that reports. So a worker that cannot renew its leases does not
        // report.
        if self
            .running
            .values()
            .any(|running| !running.hold.is_valid(now))
        {
            return;
        }
        let call = self.store.report(&self.settings.app, &self.settings.me);
        match timeout(self.settings.call_max(), call).await {
            Ok(Ok(lead)) => self.following.learn(lead),
            // The lead stays as it was: a leader whose rows cannot be read is still there.
            Ok(Err(error)) => tracing::debug!(%error, "the fleet's leader cannot be found out"),
            Err(_) => tracing::debug!("the fleet's leader cannot be found out in time"),
        }
    }

    /// Takes the leases that a leader has assigned to this worker since the last list. Returns the time until the next
    /// look, or `None` if it is time to list all leases.
    pub(super) async fn discover(&mut self) -> Option<Duration> {
        let now = self.clock.instant();
        let listed_at = self.following.listed_at?;
        let is_due =
            now.duration_since(listed_at) + self.next_look() > self.settings.round_interval();
        if self.following.lead != FleetLead::Leader || is_due {
            return None;
        }
        let call = self.store.assigned(&self.settings.app, &self.settings.me);
        match timeout(self.settings.call_max(), call).await {
            Ok(Ok(found)) => {
                let leases = self.following.with(found);
                self.act(&leases).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "assigned leases cannot be found"),
            Err(_) => tracing::debug!("assigned leases cannot be found in time"),
        }
        Some(self.next_look())
    }

    /// Returns the time until the next look, for a worker that does not wait for a hand-over.
    pub(super) fn next_look(&self) -> Duration {
        match self.following.lead {
            FleetLead::Leader => self.settings.round_interval() / LOOKS,
            FleetLead::Workers | FleetLead::Vacant => self.settings.round_interval(),
        }
    }
}
