//! The command `get`: prints the records of a stream.
//!
//! ```text
//!   reader ──> select: by key and data, unpacked ──> print: lines, pretty, JSON, raw, template
//!     ▲
//!     └─ stopped by a signal, a time, idleness, the count, or a reader of standard output that is gone
//! ```

mod consumer;
mod print;
mod run;
mod select;
mod template;

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, SystemTime},
};

use clap::{Args, ValueEnum};
use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisStream, Reader, ShardSelector, StartAt, Until as ReadUntil,
};

use self::{consumer::Consumer, print::Printer, run::Run, select::Select, template::Template};
use crate::{
    cli::{Global, StreamArgument},
    connect::Connected,
    failure::Failure,
    progress_bar::tell,
    shards,
    values::{self, From, Place, Until},
};

#[derive(Args, Debug)]
pub(crate) struct Get {
    #[command(flatten)]
    stream: StreamArgument,
    /// The start: latest, all, a time ago such as -15m, a time such as 2026-11-21T08:00:00Z, a date or a time of today
    /// such as 08:00, both in UTC.
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "latest",
        allow_hyphen_values = true
    )]
    from: From,
    /// Begin this long ago: --since 15m is the same as --from -15m.
    #[arg(long, value_name = "TIME", value_parser = values::duration, conflicts_with = "from")]
    since: Option<Duration>,
    /// Begin after this record of a shard, and read that shard and those that descend from it.
    #[arg(long, value_name = "SHARD:SEQUENCE", conflicts_with_all = ["from", "since", "shards"])]
    after: Option<Place>,
    /// Only this shard: its number, as `shards` shows it, or its id; may be given more than once.
    #[arg(short = 'd', long = "shard", value_name = "SHARD", value_parser = values::shard)]
    shards: Vec<ShardSelector>,
    /// The end: tip, at the last record that is in the stream now; after a length of time, such as 30s; or at records
    /// that arrive at a time, a date or a time of today such as 14:30.
    #[arg(long, value_name = "WHEN")]
    until: Option<Until>,
    /// End after this number of records.
    #[arg(short = 'n', long, value_name = "COUNT")]
    max: Option<u64>,
    /// End when no record has come for this time, such as 10s.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    idle: Option<Duration>,
    #[command(flatten)]
    select: Select,
    /// Have records pushed to this consumer by enhanced fan-out. It is registered if the stream does not have it, and
    /// removed at the end if it was not there before: the service charges for it by the hour.
    #[arg(long, value_name = "NAME")]
    fan_out: Option<String>,
    /// Do not remove the consumer at the end. `consumers` lists and removes it.
    #[arg(long, requires = "fan_out")]
    keep_consumer: bool,
    /// The form in which records are printed; by default pretty on a terminal, and lines into a pipe or a file.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Print records by a template: %t time, %k partition key, %h explicit hash key, %i shard, %s sequence number, %u
    /// sub-sequence number, %d data, %b bytes of data, %% a percent sign, \n, \t, \0. Such as '%t %k %s %d\n'.
    #[arg(short, long, value_name = "TEMPLATE", conflicts_with = "output")]
    format: Option<Template>,
}

/// The form in which records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The data, one record per line.
    Lines,
    /// A line with shard, sequence number, time and key, then the data.
    Pretty,
    /// A JSON object per line, of which `put --from-json` makes the same record.
    Json,
    /// The data alone, nothing between records.
    Raw,
}

type Raw = KinesisStream<EncodedRecord>;

impl Get {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let stream: Raw = connected.stream();
        let reader = self.reader(&connected, &stream).await?;
        let Some(name) = &self.fan_out else {
            return self.read(global, &stream, reader, None).await;
        };
        let consumer = Consumer::find(&connected, name).await?;
        let consumer = consumer.filter(|_| !self.keep_consumer);
        let read = self.read(global, &stream, reader, consumer.as_ref()).await;
        let removed = match consumer {
            Some(consumer) => consumer.remove(&stream).await,
            None => Ok(()),
        };
        read.and(removed)
    }

    async fn read(
        &self,
        global: &Global,
        stream: &Raw,
        reader: Reader<EncodedRecord>,
        consumer: Option<&Consumer>,
    ) -> Result<(), Failure> {
        let records = reader.open().await?;
        let name = stream.id();
        if !global.quiet {
            tell(&format!("reading {name}; Ctrl-C ends it"));
        }
        let run = Run {
            name: name.name().to_owned(),
            select: &self.select,
            printer: self.printer(),
            max: self.max,
            idle: self.idle,
            time: match self.until {
                Some(Until::After(time)) => Some(time),
                _ => None,
            },
            has_end: self.until.is_some() || self.max.is_some() || self.idle.is_some(),
            consumer: consumer.map(Consumer::name),
        };
        run.finish(global, records).await
    }

    fn printer(&self) -> Printer {
        if let Some(template) = &self.format {
            return Printer::By(template.clone());
        }
        let usual = || {
            if io::stdout().is_terminal() {
                Format::Pretty
            } else {
                Format::Lines
            }
        };
        Printer::As(self.output.unwrap_or_else(usual))
    }

    async fn reader(
        &self,
        connected: &Connected,
        stream: &Raw,
    ) -> Result<Reader<EncodedRecord>, Failure> {
        let now = Clock::system().now();
        let start = match (&self.after, self.since) {
            (Some(place), _) => after(connected, place).await?,
            (None, Some(since)) => start(From::Ago(since), now),
            (None, None) => start(self.from, now),
        };
        let until = match self.until {
            Some(Until::Tip) => ReadUntil::Tip,
            Some(Until::At(time)) => ReadUntil::Timestamp(time.resolve(now)),
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
        From::At(time) => StartAt::Timestamp(time.resolve(now)),
        // A time before the clock's range means everything.
        From::Ago(ago) => now
            .checked_sub(ago)
            .filter(|time| *time > SystemTime::UNIX_EPOCH)
            .map_or(StartAt::TrimHorizon, StartAt::Timestamp),
    }
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
