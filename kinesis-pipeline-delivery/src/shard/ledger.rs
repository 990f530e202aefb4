use bytes::Bytes;
use kinesis_pipeline::{Checkpointer, Position};

use crate::DeliveryError;

/// The place where the progress of a shard is kept.
#[derive(Debug)]
pub(crate) enum Ledger {
    /// The lease of a fleet's worker.
    Lease(Checkpointer),
    /// No place: a reader's next run delivers its records again.
    None,
}

impl Ledger {
    /// Stores the decision about objects before they are written.
    pub(super) async fn prepare(
        &self,
        through: &Position,
        state: Vec<u8>,
    ) -> Result<(), DeliveryError> {
        match self {
            Self::Lease(checkpointer) => checkpointer
                .prepare(through, Bytes::from(state))
                .await
                .map_err(|source| progress(through, source)),
            Self::None => Ok(()),
        }
    }

    /// Stores that all objects up to this record are written.
    pub(super) async fn checkpoint(&self, through: &Position) -> Result<(), DeliveryError> {
        match self {
            Self::Lease(checkpointer) => checkpointer
                .checkpoint(through)
                .await
                .map_err(|source| progress(through, source)),
            Self::None => Ok(()),
        }
    }
}

fn progress(through: &Position, source: kinesis_pipeline::CheckpointerError) -> DeliveryError {
    DeliveryError::Progress {
        shard: through.shard_id.clone(),
        source,
    }
}
