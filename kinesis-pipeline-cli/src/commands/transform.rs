use std::{io::Write as _, path::PathBuf};

use clap::Args;
use kinesis_pipeline::firehose::Event;

use crate::{cli::Global, failure::Failure, filters::Filter, output, progress_bar::tell};

#[derive(Args, Debug)]
pub(crate) struct Transform {
    /// A file with the event that Firehose hands to a Lambda function, in JSON.
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// The filter to run.
    #[arg(long, value_enum, default_value = "json")]
    filter: Filter,
}

impl Transform {
    pub(crate) fn run(self, global: &Global) -> Result<(), Failure> {
        let json = std::fs::read(&self.event).map_err(|source| {
            crate::failure::Told(format!("{}: {source}", self.event.display()))
        })?;
        let response = self.filter.run(&Event::parse(&json)?);
        for failure in response.failures() {
            tell(&format!(
                "record {} failed: {}",
                failure.record_id, failure.reason
            ));
        }
        if !global.quiet {
            tell(&format!(
                "{} kept, {} dropped, {} failed",
                response.kept(),
                response.dropped(),
                response.failures().len()
            ));
        }
        let mut out = output::stdout();
        out.write_all(response.as_json())?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }
}
