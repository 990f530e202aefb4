//! The one service call of the pipeline.

use std::sync::Arc;

use tokio::time::timeout;

use super::{AttemptError, collect::Batch, settings::Settings};
use crate::service::{PutRecords, PutRecordsAnswer};

/// A request that came back, with or without an answer.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) batch: Batch,
    pub(crate) outcome: Result<PutRecordsAnswer, AttemptError>,
}

/// Sends one request and waits for its answer.
pub(crate) async fn send(settings: Arc<Settings>, mut batch: Batch) -> Sent {
    for record in &mut batch {
        record.sent();
    }
    let records = batch.iter().map(|record| record.record.clone()).collect();
    let call = PutRecords::new(settings.target.stream.clone(), records);
    let after = settings.options.request_timeout;
    let outcome = match timeout(after, settings.target.service.put_records(call)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(AttemptError::Request(Arc::new(error))),
        Err(_) => Err(AttemptError::TimedOut { after }),
    };
    Sent { batch, outcome }
}
