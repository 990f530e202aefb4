//! The flush and the close of a pipeline.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::pipeline::Pipeline;
use crate::put::{error::FlushError, pending::flush::FlushWait};

impl Pipeline {
    /// Closes the pipeline for new records, and waits until the accepted ones have their results.
    pub(in crate::put) async fn close(self: &Arc<Self>) -> Result<(), FlushError> {
        // The flush comes behind all that the inbox has accepted, as it accepts no more.
        self.inbox.close();
        self.flush().await
    }

    /// Waits until all records that were accepted before the call have their results.
    pub(in crate::put) async fn flush(self: &Arc<Self>) -> Result<(), FlushError> {
        let stream = || self.shared.target.stream.clone();
        if self.has_runtime().is_err() {
            return Err(FlushError::NoRuntime { stream: stream() });
        }
        let (reply, groups) = oneshot::channel();
        self.inbox.flush(reply);
        self.arrived();
        // The reply is dropped if the scheduler is lost, since a driver panicked.
        let groups = groups.await;
        let mut groups = groups.map_err(|_| FlushError::Gone { stream: stream() })?;
        let mut failed = 0;
        for group in &mut groups {
            failed += group.ended().await;
        }
        groups.into_iter().for_each(FlushWait::tell);
        if failed == 0 {
            return Ok(());
        }
        Err(FlushError::NotStored {
            stream: stream(),
            records: failed,
        })
    }
}
