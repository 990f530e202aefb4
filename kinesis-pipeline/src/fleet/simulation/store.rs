//! A lease store that fails as a remote database can, and reports every write to the checker.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::watch;

use super::world::{World, lock};
use crate::fleet::lease::{
    Lease, LeaseFuture, LeaseStore, LeaseStoreError, LeaseWrite, LeaseWritten, WorkerId,
};

/// The probabilities of faults in the calls of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoreFaults {
    pub(super) throttled: f64,
    /// The write is made, but its answer is lost.
    pub(super) lost: f64,
    /// The call hangs. The write is made later, even if the caller has given up.
    pub(super) late: f64,
    pub(super) slow: f64,
}

/// The lease store as one worker sees it.
#[derive(Clone)]
pub(super) struct FaultyLeases {
    pub(super) world: Arc<World>,
    pub(super) worker: WorkerId,
    pub(super) faults: Arc<Mutex<StoreFaults>>,
    /// Whether the worker is paused.
    pub(super) paused: watch::Receiver<bool>,
}

impl fmt::Debug for FaultyLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultyLeases").field(&self.worker).finish()
    }
}

enum StoreFault {
    None,
    Throttled,
    Lost,
    Late,
    Slow,
}

impl FaultyLeases {
    fn draw_fault(&self) -> StoreFault {
        let faults = *lock(&self.faults);
        let mut dice = self.world.random(fastrand::Rng::f64);
        for (chance, fault) in [
            (faults.throttled, StoreFault::Throttled),
            (faults.lost, StoreFault::Lost),
            (faults.late, StoreFault::Late),
            (faults.slow, StoreFault::Slow),
        ] {
            if dice < chance {
                return fault;
            }
            dice -= chance;
        }
        StoreFault::None
    }

    async fn pass(&self) {
        let mut paused = self.paused.clone();
        let _ = paused.wait_for(|paused| !paused).await;
    }

    async fn delay(&self, at_most: Duration) {
        let part = self.world.random(fastrand::Rng::f64);
        tokio::time::sleep(at_most.mul_f64(part)).await;
    }
}

fn error(what: &str) -> LeaseStoreError {
    LeaseStoreError::new("the simulated table", what.to_owned())
}

impl LeaseStore for FaultyLeases {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        Box::pin(async move {
            self.pass().await;
            match self.draw_fault() {
                StoreFault::Throttled => return Err(error("throttled")),
                StoreFault::Lost | StoreFault::Late => self.delay(Duration::from_secs(20)).await,
                StoreFault::Slow => self.delay(Duration::from_secs(2)).await,
                StoreFault::None => {}
            }
            let list = self.world.leases.list(app).await;
            // The answer may be out of date when it arrives.
            self.delay(Duration::from_millis(200)).await;
            self.pass().await;
            list
        })
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        Box::pin(async move {
            self.pass().await;
            let fault = self.draw_fault();
            match fault {
                StoreFault::Throttled => return Err(error("throttled")),
                StoreFault::Slow => self.delay(Duration::from_secs(2)).await,
                StoreFault::Late => {
                    let (store, app) = (self.clone(), app.to_owned());
                    let late = tokio::spawn(async move {
                        store.delay(Duration::from_secs(8)).await;
                        store.world.write(&store.worker, &app, &write).await
                    });
                    return late.await.map_err(|_| error("the write is lost"));
                }
                StoreFault::Lost | StoreFault::None => {}
            }
            let written = self.world.write(&self.worker, app, &write).await;
            self.pass().await;
            match fault {
                StoreFault::Lost => Err(error("the answer is lost")),
                _ => Ok(written),
            }
        })
    }
}
