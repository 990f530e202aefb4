use std::time::Duration;

use clap::Args;

use super::describe;
use crate::{
    calls,
    cli::{Global, StreamArgument},
    connect::Connected,
    failure::Failure,
    output::Layout,
    values,
};

const HOUR: Duration = Duration::from_hours(1);

#[derive(Args, Debug)]
pub(crate) struct Retention {
    #[command(flatten)]
    stream: StreamArgument,
    /// The time that records are kept, in whole hours or days: 24h to 365d. If it gets shorter, older records are lost.
    #[arg(long, value_name = "TIME", value_parser = whole_hours)]
    to: Duration,
    /// The form in which the stream is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

fn whole_hours(text: &str) -> Result<Duration, String> {
    let time = values::duration(text)?;
    let is_whole = time.as_secs() % HOUR.as_secs() == 0 && time.subsec_nanos() == 0;
    let is_whole = is_whole && time >= HOUR;
    is_whole
        .then_some(time)
        .ok_or_else(|| format!("`{text}` is not a number of hours, such as 24h or 7d"))
}

impl Retention {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let now = calls::describe(&*connected.service, &connected.id()).await?;
        let hours = i32::try_from(self.to.as_secs() / HOUR.as_secs()).unwrap_or(i32::MAX);
        if self.to > now.retention {
            increase(&connected, &now.arn, hours).await?;
        } else if self.to < now.retention {
            decrease(&connected, &now.arn, hours).await?;
        }
        let summary = calls::until_active(&*connected.service, &connected.id()).await?;
        describe::print(self.output, summary)
    }
}

async fn increase(connected: &Connected, arn: &str, hours: i32) -> Result<(), Failure> {
    let call = connected.client().increase_stream_retention_period();
    let call = call.stream_arn(arn).retention_period_hours(hours);
    let done = call.send().await;
    done.map_err(|error| connected.failed("IncreaseStreamRetentionPeriod", &error))?;
    Ok(())
}

async fn decrease(connected: &Connected, arn: &str, hours: i32) -> Result<(), Failure> {
    let call = connected.client().decrease_stream_retention_period();
    let call = call.stream_arn(arn).retention_period_hours(hours);
    let done = call.send().await;
    done.map_err(|error| connected.failed("DecreaseStreamRetentionPeriod", &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_whole_hours() {
        assert_eq!(whole_hours("36h"), Ok(36 * HOUR));
        assert_eq!(whole_hours("7d"), Ok(7 * 24 * HOUR));
        assert_eq!(whole_hours("60m"), Ok(HOUR));
        for wrong in ["0h", "90m", "3600001ms", "24"] {
            assert!(whole_hours(wrong).is_err(), "{wrong}");
        }
    }
}
