//! The loading of the application's checkpoints, the first step of opening.

use std::time::SystemTime;

use crate::{
    get::{
        checkpoint::Checkpoint,
        error::GetError,
        fetch::{consumer::summary, with_retries::UNREACHABLE_MAX},
        plan::{
            mismatch::{Mismatch, of_another_stream},
            options::Options,
        },
    },
    target::Target,
};

/// Loads the checkpoints of the application, checked against the creation time of the stream.
pub(super) async fn load_checkpoints(
    target: &Target,
    options: &Options,
) -> Result<Vec<Checkpoint>, GetError> {
    let Some(saver) = &options.saver else {
        return Ok(Vec::new());
    };
    let stream = &target.stream;
    let checkpoints = saver.load_first().await;
    let checkpoints = checkpoints.map_err(|error| GetError::checkpoint(stream, error))?;
    let Some(created_at) = created_at(target).await else {
        // Without a creation time, the stream counts as the one of the checkpoints.
        let last = checkpoints.iter().filter_map(|row| row.stream_created_at);
        last.max()
            .into_iter()
            .for_each(|time| saver.set_stream_created_at(time));
        return Ok(checkpoints);
    };
    saver.set_stream_created_at(created_at);
    match of_another_stream(&checkpoints, created_at) {
        Some(row) => Err(GetError::mismatch(
            stream,
            row.clone(),
            Mismatch::CreatedAt(created_at),
        )),
        None => Ok(checkpoints),
    }
}

/// Asks for the creation time of the stream, with a short time limit: reading does not depend on it.
async fn created_at(target: &Target) -> Option<SystemTime> {
    let summary = tokio::time::timeout(UNREACHABLE_MAX, summary(target)).await;
    match summary {
        Ok(Ok(summary)) => Some(summary.created_at),
        Ok(Err(error)) => {
            let stream = &target.stream;
            tracing::debug!(%stream, %error, "cannot tell whether the checkpoints are of this stream");
            None
        }
        Err(_) => None,
    }
}
