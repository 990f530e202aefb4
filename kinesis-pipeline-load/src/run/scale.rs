//! Scaling of the stream before a load, and back after it.

use std::time::Duration;

use kinesis_pipeline::{
    KinesisStream,
    service::{DescribeStreamSummary, StreamStatus, StreamSummary, UpdateShardCount},
};

use crate::LoadError;

/// The time between two looks at a stream that is being scaled.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// The most looks for one step: an hour.
const POLLS_MAX: u32 = 3_600;
/// The most steps of one scaling: 2^14 shards are more than a stream can have.
const STEPS_MAX: u32 = 14;

/// Scales the stream. Returns the number of shards that it had; `None` if it has the target number already.
pub(crate) async fn to<R>(
    stream: &KinesisStream<R>,
    target: u32,
) -> Result<Option<u32>, LoadError> {
    let summary = active(stream).await?;
    if summary.is_on_demand {
        let name = summary.name;
        let problem = format!("stream `{name}` scales by itself: leave its shards to it");
        return Err(LoadError::Options(problem));
    }
    let before = summary.open_shard_count;
    let mut open = before;
    for _ in 0..STEPS_MAX {
        if open == target {
            break;
        }
        let next = step(open, target);
        let call = UpdateShardCount::new(stream.id().clone(), next);
        stream.service().update_shard_count(call).await?;
        open = active(stream).await?.open_shard_count;
    }
    Ok((before != target).then_some(before))
}

/// Returns the next number of shards: the service allows from half to twice the open ones.
fn step(open: u32, target: u32) -> u32 {
    target.clamp(open.div_ceil(2).max(1), open.saturating_mul(2).max(1))
}

/// Waits until the stream is active, and returns it.
async fn active<R>(stream: &KinesisStream<R>) -> Result<StreamSummary, LoadError> {
    for _ in 0..POLLS_MAX {
        let call = DescribeStreamSummary::new(stream.id().clone());
        let summary = stream.service().describe_stream_summary(call).await?;
        if summary.status == StreamStatus::Active {
            return Ok(summary);
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
    let id = stream.id();
    let problem = format!("stream `{id}` has been changing for an hour: try again later");
    Err(LoadError::Options(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_at_most_a_doubling_or_a_halving() {
        assert_eq!(step(4, 6), 6);
        assert_eq!(step(4, 100), 8);
        assert_eq!(step(9, 1), 5);
        assert_eq!(step(1, 1), 1);
    }
}
