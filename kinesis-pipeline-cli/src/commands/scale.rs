use clap::Args;
use kinesis_pipeline::{Shard, aws_sdk_kinesis::types::ScalingType};

use crate::{
    calls,
    cli::{Global, StreamArgument},
    connect::Connected,
    failure::{Failure, Told},
    output::{self, Layout},
    progress_bar::tell,
    shards::{self, ShardRow},
};

/// The most steps. Each at most doubles or halves the shards, so more are never needed.
const STEPS_MAX: usize = 32;

#[derive(Args, Debug)]
pub(crate) struct Scale {
    #[command(flatten)]
    stream: StreamArgument,
    /// The number of shards, all of about the same size. The service at most doubles or halves them in one step, and
    /// allows ten steps in 24 hours. As many steps are made as are needed.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    to: u32,
    /// The form in which the open shards are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Scale {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        self.steps(global, &connected).await?;
        let listed = shards::list(&connected).await?;
        let numbered = listed.iter().enumerate();
        let open = numbered.filter(|(_, shard): &(usize, &Shard)| shard.is_open());
        let rows: Vec<_> = open
            .map(|(number, shard)| ShardRow::new(number, shard))
            .collect();
        Ok(output::rows(self.output, &rows)?)
    }

    async fn steps(&self, global: &Global, connected: &Connected) -> Result<(), Failure> {
        for _ in 0..STEPS_MAX {
            let now = calls::until_active(&*connected.service, &connected.id()).await?;
            if now.open_shard_count == self.to {
                return Ok(());
            }
            let next = step(now.open_shard_count, self.to);
            if global.verbose > 0 {
                tell(&format!("{} shards become {next}", now.open_shard_count));
            }
            let call = connected.client().update_shard_count().stream_arn(now.arn);
            let call = call.scaling_type(ScalingType::UniformScaling);
            let count = i32::try_from(next).unwrap_or(i32::MAX);
            let done = call.target_shard_count(count).send().await;
            done.map_err(|error| connected.failed("UpdateShardCount", &error))?;
        }
        let told = format!(
            "the stream has not {} shards after {STEPS_MAX} steps",
            self.to
        );
        Err(Told(told).into())
    }
}

/// Returns the next count on the way: the service takes at most twice and at least half of the present count.
fn step(now: u32, to: u32) -> u32 {
    to.clamp(now.div_ceil(2), now.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_or_halve_at_most_and_arrive() {
        for (from, to, steps) in [(1, 8, 3), (8, 1, 3), (5, 6, 1), (3, 1, 2), (4, 4, 0)] {
            let (mut now, mut count) = (from, 0);
            while now != to {
                let next = step(now, to);
                assert!(next <= now * 2 && next * 2 >= now);
                (now, count) = (next, count + 1);
            }
            assert_eq!(count, steps, "{from} to {to}");
        }
    }
}
