use std::sync::Arc;

use kinesis_pipeline::Clock;
use object_store::{Error, ObjectStore, path::Path};

use super::{
    Destination, Guard, RetryLimits, StoreFault, Troubles,
    fault::Call,
    tries::{NextTry, Tries},
    trouble::TroubleNote,
};
use crate::DeliveryError;

/// The store that objects are written to, and the limits of retries. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) destination: Destination,
    pub(crate) guard: Guard,
    pub(crate) clock: Clock,
    pub(crate) limits: RetryLimits,
    pub(crate) troubles: Arc<Troubles>,
}

/// The failure of a call.
#[derive(Debug)]
pub(super) enum Refused {
    /// An answer about the object, or one that no later call changes.
    Answer(Error),
    /// The call was retried for too long.
    GivenUp(DeliveryError),
}

impl Refused {
    /// Returns the delivery's error for the object under this key.
    pub(super) fn into_error(self, key: &Path) -> DeliveryError {
        match self {
            Self::Answer(source) => DeliveryError::Store {
                key: key.to_string(),
                source,
            },
            Self::GivenUp(error) => error,
        }
    }
}

impl Target {
    pub(super) fn store(&self) -> &dyn ObjectStore {
        &*self.destination.store
    }

    /// Makes a call, and retries it while the failure may pass, with pauses that grow to 30 s. Meanwhile the delivery's
    /// health shows the failure.
    pub(super) async fn retry<T, F>(
        &self,
        key: &Path,
        call: Call,
        make: impl Fn() -> F,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = Tries::new();
        let mut note = TroubleNote::new(&self.troubles);
        loop {
            let error = match make().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(fault) = StoreFault::of(&error, call) else {
                return Err(Refused::Answer(error));
            };
            let now = self.clock.instant();
            let next = tries.failed(fault, now, self.limits);
            let attempts = tries.attempts();
            match next {
                NextTry::After(pause) => {
                    note.failed(key.as_ref(), fault, error.to_string(), now);
                    tracing::warn!(%key, %fault, attempts, %error, "cannot write to the store; trying again");
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                }
                NextTry::GiveUp(failing_for) => {
                    return Err(Refused::GivenUp(DeliveryError::GaveUp {
                        key: key.to_string(),
                        fault,
                        failing_for,
                        attempts,
                        source: error,
                    }));
                }
            }
        }
    }
}
