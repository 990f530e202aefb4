//! The text of a plan.

use std::fmt;

use super::{HotReason, LoadPlan, SHARD_BYTES_PER_SECOND};
use crate::report::precise;

impl fmt::Display for LoadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = match (self.is_whole, self.is_size_known) {
            (true, _) => "",
            (false, true) => "about ",
            (false, false) => "at least ",
        };
        writeln!(
            f,
            "{about}{} record(s), {:.1} MiB with keys (sampled {} row(s))",
            self.records,
            precise(self.bytes) / SHARD_BYTES_PER_SECOND,
            self.sample_rows
        )?;
        writeln!(
            f,
            "{} shard(s) take {about}{} s: {:.0} records/s, {:.2} MiB/s",
            self.shards,
            short(self.seconds),
            self.records_per_second,
            self.mib_per_second
        )?;
        if let Some(hot) = &self.hot {
            write!(
                f,
                "{} will be hot, with {} % of the load: ",
                hot.shard, hot.percent
            )?;
            match &hot.reason {
                HotReason::Key { key, percent } => {
                    writeln!(f, "the key {key:?} is {percent} % of it")?;
                }
                HotReason::Range { percent } => writeln!(f, "it has {percent} % of the key space")?,
                HotReason::FewKeys { keys } => {
                    writeln!(f, "there are only {keys} key(s) to spread")?;
                }
            }
        }
        match (self.within_seconds, self.shards_needed) {
            (Some(within), Some(shards)) => {
                writeln!(
                    f,
                    "{shards} shard(s) of equal ranges take it in {within} s, if keys spread evenly"
                )
            }
            (Some(within), None) => writeln!(
                f,
                "no number of shards takes it in {within} s: the largest key alone takes {} s",
                short(self.largest_key_seconds)
            ),
            (None, _) => Ok(()),
        }?;
        if self.is_whole || self.is_size_known {
            return Ok(());
        }
        writeln!(
            f,
            "these are the figures of the sample alone: the input goes on, and only a file tells how long it is"
        )
    }
}

/// Returns seconds for people, with a digit behind the point where they are few.
fn short(seconds: f64) -> String {
    let digits = usize::from(seconds < 10.0);
    format!("{seconds:.digits$}")
}
