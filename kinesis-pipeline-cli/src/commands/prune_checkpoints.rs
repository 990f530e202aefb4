use std::time::Duration;

use clap::Args;

use super::list_checkpoints::Checkpoints;
use crate::{cli::Global, failure::Failure, progress_bar::tell, values};

#[derive(Args, Debug)]
pub(crate) struct PruneCheckpoints {
    #[command(flatten)]
    of: Checkpoints,
    /// The time without a save after which a checkpoint is removed. Take a longer one than the streams' retention: that of
    /// a shard that is read to its end is not saved again, and is needed while the shard is listed.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    unchanged_for: Duration,
}

impl PruneCheckpoints {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let (app, stream) = (self.of.app.as_deref(), self.of.stream.as_deref());
        let store = self.of.store()?;
        let removed = store.prune(app, stream, self.unchanged_for).await?;
        if !global.quiet {
            tell(&format!("{removed} checkpoints removed"));
        }
        Ok(())
    }
}
