use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;

use super::coordinator::LeaseCoordinator;
use crate::fleet::lease::{Lease, LeaseWrite, LeaseWritten};

/// The limit of concurrent writes.
const WRITES_AT_A_TIME: usize = 16;

/// The writes of leases that this worker does not hold.
impl<F> LeaseCoordinator<F> {
    /// Makes these writes, a limited number at a time. Returns the leases of successful writes.
    pub(super) async fn write_all(&self, writes: impl Iterator<Item = LeaseWrite>) -> Vec<Lease> {
        let calls: Vec<_> = writes.map(|write| self.write(write)).collect();
        let done = stream::iter(calls).buffer_unordered(WRITES_AT_A_TIME);
        done.filter_map(async |lease| lease).collect().await
    }

    async fn write(&self, write: LeaseWrite) -> Option<Lease> {
        let shard = write.seen.shard_id.clone();
        let call = self.store.write(&self.settings.app, write);
        match timeout(self.settings.call_max(), call).await {
            Ok(Ok(LeaseWritten::Done(lease))) => Some(lease),
            // The next round shows whether the write was made.
            Ok(Err(error)) => {
                tracing::debug!(%shard, %error, "lease not written");
                None
            }
            Ok(Ok(LeaseWritten::Refused(_))) | Err(_) => None,
        }
    }
}
