mod print;

use std::{io::Write as _, time::SystemTime};

use clap::{Args, ValueEnum};
use futures_util::FutureExt as _;
use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisStream, Reader, Records, ShardSelector, StartAt, StopHandle,
    Until as ReadUntil,
};

use crate::{
    cli::{Global, StreamArgument},
    connect::Connected,
    failure::Failure,
    interrupt, output, shards,
    values::{self, From, Place, Until},
};

#[derive(Args, Debug)]
pub(crate) struct Get {
    #[command(flatten)]
    stream: StreamArgument,
    /// Where to begin: latest, all, a time ago such as -15m, or a time such as 2026-11-21T08:00:00Z.
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "latest",
        allow_hyphen_values = true
    )]
    from: From,
    /// Begin after this record of a shard, and read that shard and those that descend from it.
    #[arg(long, value_name = "SHARD:SEQUENCE", conflicts_with_all = ["from", "shards"])]
    after: Option<Place>,
    /// Only this shard: its number, as `shards` shows it, or its id; may be given more than once.
    #[arg(short = 'd', long = "shard", value_name = "SHARD", value_parser = values::shard)]
    shards: Vec<ShardSelector>,
    /// When to end: tip, at what is in the stream now; or after a time such as 30s.
    #[arg(long, value_name = "WHEN")]
    until: Option<Until>,
    /// End after so many records.
    #[arg(short = 'n', long, value_name = "COUNT")]
    max: Option<u64>,
    /// Have records pushed to this consumer by enhanced fan-out. It is registered if the stream does not have it,
    /// and stays so, which the service charges for.
    #[arg(long, value_name = "NAME")]
    fan_out: Option<String>,
    /// How to print records.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// How records are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line with shard and sequence number, then the data.
    #[default]
    Pretty,
    /// A JSON object per line.
    Json,
    /// The data alone, nothing between records.
    Raw,
}

type Raw = KinesisStream<EncodedRecord>;

impl Get {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let stream: Raw = connected.stream();
        let records = self.reader(&connected, &stream).await?.open().await?;
        if !global.quiet {
            let name = connected.id();
            // Nobody can be told that nobody listens.
            let _ = writeln!(std::io::stderr(), "reading {name}; Ctrl-C ends it");
        }
        tokio::spawn(stop_in_time(records.stop_handle(), self.until));
        deliver(records, self.output, self.max).await
    }

    async fn reader(
        &self,
        connected: &Connected,
        stream: &Raw,
    ) -> Result<Reader<EncodedRecord>, Failure> {
        let start = match &self.after {
            Some(place) => after(connected, place).await?,
            None => start(self.from, Clock::system().now()),
        };
        let until = match self.until {
            Some(Until::Tip) => ReadUntil::Tip,
            _ => ReadUntil::Stopped,
        };
        let shards = self.shards.iter().cloned();
        let reader = stream.reader().start(start).until(until).shards(shards);
        Ok(match &self.fan_out {
            Some(name) => reader.fan_out(name.as_str()),
            None => reader,
        })
    }
}

async fn after(connected: &Connected, place: &Place) -> Result<StartAt, Failure> {
    let listed = shards::list(connected).await?;
    let shard = shards::find(connected, &listed, &place.shard)?;
    Ok(StartAt::AfterSequenceNumber(
        shard.id.clone(),
        place.sequence_number.clone(),
    ))
}

fn start(from: From, now: SystemTime) -> StartAt {
    match from {
        From::Latest => StartAt::Latest,
        From::All => StartAt::TrimHorizon,
        From::At(time) => StartAt::Timestamp(time),
        // What is older than time itself is everything.
        From::Ago(ago) => now
            .checked_sub(ago)
            .filter(|time| *time > SystemTime::UNIX_EPOCH)
            .map_or(StartAt::TrimHorizon, StartAt::Timestamp),
    }
}

/// Stops the reader when the user asks for it or the time is over; what was fetched still comes.
async fn stop_in_time(stop: StopHandle, until: Option<Until>) {
    let time_over = async {
        match until {
            Some(Until::After(time)) => tokio::time::sleep(time).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        () = interrupt::asked_to_end() => {}
        () = time_over => {}
    }
    stop.stop();
}

/// Prints records until the reader ends or there were `max`.
async fn deliver(
    mut records: Records<EncodedRecord>,
    format: Format,
    max: Option<u64>,
) -> Result<(), Failure> {
    let mut out = output::stdout();
    let mut left = max.unwrap_or(u64::MAX);
    while left > 0 {
        let next = if let Some(ready) = records.next().now_or_never() {
            ready
        } else {
            // Who reads the output gets what there is before the program waits.
            out.flush()?;
            records.next().await
        };
        match next {
            Some(record) => print::record(&mut out, format, &record?)?,
            None => break,
        }
        left -= 1;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_ago_is_before_now_and_not_before_time() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let minute = Duration::from_mins(1);
        assert_eq!(
            start(From::Ago(minute), now),
            StartAt::Timestamp(now - minute)
        );
        let ages = From::Ago(Duration::from_hours(2));
        assert_eq!(start(ages, now), StartAt::TrimHorizon);
    }
}
