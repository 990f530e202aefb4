//! A reader, from its first record to its end.

use std::{
    io::Write as _,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use kinesis_pipeline::{Clock, EncodedRecord, GetError, Position, Record, Records};

use super::{print::Printer, select::Select};
use crate::{
    cli::Global,
    data,
    failure::Failure,
    interrupt::{Asked, Signal},
    output::{self, Stdout},
    pipe,
    progress_bar::{self, tell},
};

/// The settings of a run: the selection and printing of records, and the conditions that end it.
pub(super) struct Run<'a> {
    pub(super) name: String,
    pub(super) select: &'a Select,
    pub(super) printer: Printer,
    pub(super) max: Option<u64>,
    pub(super) idle: Option<Duration>,
    /// The time for which it reads.
    pub(super) time: Option<Duration>,
    /// Whether the run has an end of its own, so that a signal ends it early.
    pub(super) has_end: bool,
    /// The consumer that is removed at the end.
    pub(super) consumer: Option<&'a str>,
}

/// The next event of a run.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, on the stack"
)]
enum Next {
    Record(Record<EncodedRecord>),
    End,
    /// The reader of standard output is gone.
    NoReader,
}

/// The progress of a run.
#[derive(Default)]
struct Read {
    records: u64,
    bytes: u64,
    printed: u64,
    /// The position of the last record, and its arrival.
    last: Option<(Position, SystemTime)>,
}

impl Run<'_> {
    /// Prints records until the reader ends.
    pub(super) async fn finish(
        self,
        global: &Global,
        mut records: Records<EncodedRecord>,
    ) -> Result<(), Failure> {
        let asked = Asked::default();
        let stopping = tokio::spawn(self.stop_in_time(&records, asked.clone()));
        let clock = Clock::system();
        let begun = clock.instant();
        let shown = progress_bar::Progress::start(global, None, true);
        let mut read = Read::default();
        let done = self.print(&mut records, &mut read, &shown).await;
        stopping.abort();
        let time = clock.instant().duration_since(begun);
        shown.end(|| progress_bar::summary("read", read.records, read.bytes, "data", time));
        let is_full = self.is_full(&read);
        match asked.signal() {
            Some(signal) if done.is_ok() && self.has_end && !is_full => {
                tell(&self.stop_line(signal, &read));
                Err(Failure::Stopped(signal))
            }
            _ => done,
        }
    }

    /// Stops the reader when the user asks for it or the time is over. Records that were fetched still come.
    fn stop_in_time(
        &self,
        records: &Records<EncodedRecord>,
        asked: Asked,
    ) -> impl Future<Output = ()> + use<> {
        let stop = records.stop_handle();
        let time = self.time;
        let consumer = self.consumer.map(str::to_owned);
        async move {
            let time_over = async {
                match time {
                    Some(time) => tokio::time::sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            let last_words = |signal| {
                let left = consumer.map_or_else(String::new, |name| {
                    format!("; consumer `{name}` may still be registered")
                });
                tell(&format!("stopped by {signal} at once{left}"));
            };
            tokio::select! {
                () = asked.to_end(last_words) => {}
                () = time_over => {}
            }
            stop.stop();
        }
    }

    async fn print(
        &self,
        records: &mut Records<EncodedRecord>,
        read: &mut Read,
        shown: &progress_bar::Progress,
    ) -> Result<(), Failure> {
        let mut out = output::stdout();
        let mut reader = pipe::Reader::new();
        while !self.is_full(read) {
            let record = match self.next(records, &mut out, &mut reader).await? {
                Next::Record(record) => record,
                Next::End => break,
                Next::NoReader => return Ok(()),
            };
            read.records += 1;
            read.bytes += record.data.data.len() as u64;
            for data in self.select.data(&record) {
                if self.is_full(read) {
                    break;
                }
                self.printer.print(&mut out, &record, &data)?;
                read.printed += 1;
            }
            if self.has_end {
                read.last = Some((record.position().clone(), record.arrived_at));
            }
            shown.at(read.bytes, read.records);
        }
        Ok(out.flush()?)
    }

    fn is_full(&self, read: &Read) -> bool {
        self.max.is_some_and(|max| read.printed >= max)
    }

    async fn next(
        &self,
        records: &mut Records<EncodedRecord>,
        out: &mut Stdout,
        reader: &mut pipe::Reader,
    ) -> Result<Next, Failure> {
        if let Some(ready) = records.next().now_or_never() {
            return Ok(next(ready)?);
        }
        // The reader of the output gets all records before the program waits.
        out.flush()?;
        let stop = records.stop_handle();
        tokio::select! {
            record = records.next() => return Ok(next(record)?),
            () = reader.gone() => return Ok(Next::NoReader),
            () = idle(self.idle) => stop.stop(),
        }
        // Records that were fetched still come.
        Ok(next(records.next().await)?)
    }

    fn stop_line(&self, signal: Signal, read: &Read) -> String {
        let (name, printed) = (&self.name, read.printed);
        let last = match &read.last {
            Some((at, time)) => format!(
                "the last one arrived at {} as {}:{}",
                data::rfc3339(*time),
                at.shard_id,
                at.sequence_number
            ),
            None => "none had come".to_owned(),
        };
        format!("stopped by {signal} after {printed} records of {name}: {last}")
    }
}

fn next(record: Option<Result<Record<EncodedRecord>, GetError>>) -> Result<Next, GetError> {
    Ok(match record {
        Some(record) => Next::Record(record?),
        None => Next::End,
    })
}

async fn idle(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
