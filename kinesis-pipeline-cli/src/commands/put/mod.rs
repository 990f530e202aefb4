//! The command `put`: puts the lines of a file or of standard input as records.
//!
//! ```text
//!   file or standard input ── lines ──> format ─┬─> in_order (one record per key under way) ─┬──> report: receipts,
//!                                               └─> the producer (--aggregate)              ─┘    errors by line
//! ```

mod format;
mod from_json;
mod in_order;
mod line;
mod lines;
mod report;
mod results;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use kinesis_pipeline::{Clock, KeyError, KinesisStream, Order, PartitionKey};
use tokio::{
    io::{AsyncBufRead, BufReader},
    sync::oneshot,
    time::timeout,
};

use self::{
    format::{Format, Keying},
    line::Line,
    lines::Progress,
    report::{Outlook, Report},
};
use crate::{
    cli::{Global, StreamArgument},
    connect::Connected,
    failure::{Failure, Told},
    interrupt::Asked,
    output::{self, Stdout},
    progress_bar::{self, tell},
};

/// The longest wait for the results of lines in flight once no record can be stored.
const HOPELESS_WAIT_MAX: Duration = Duration::from_secs(2);
/// The size of one read of the input, in bytes.
const READ_BYTES: usize = 256 * 1024;

#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Put {
    #[command(flatten)]
    stream: StreamArgument,
    /// The field that holds a record's partition key; keys are random without it.
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// The partition key of every record.
    #[arg(long, value_name = "TEXT", conflicts_with = "key", value_parser = partition_key)]
    key_value: Option<PartitionKey>,
    /// The format of a line, and the record that is put for it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Put the records that `get -o json` has written, with their partition keys and, where those are known, their
    /// explicit hash keys.
    #[arg(long, conflicts_with_all = ["format", "key", "key_value"])]
    from_json: bool,
    /// Let records share Kinesis records, as the Kinesis Producer Library does: many more small records per second.
    #[arg(long)]
    aggregate: bool,
    /// Store records in any order. Without it the records of a key are stored in the order of the lines: one record per
    /// key is in flight at a time, or with --aggregate one aggregate per shard. It is faster where many lines share few
    /// keys.
    #[arg(long)]
    unordered: bool,
    /// Print the place where each record was stored, a JSON object per line.
    #[arg(long)]
    receipts: bool,
    /// The file; standard input unless given.
    file: Option<PathBuf>,
}

fn partition_key(text: &str) -> Result<PartitionKey, KeyError> {
    PartitionKey::new(text)
}

impl Put {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        if self.key.is_some() && self.format == Format::Lines {
            let told =
                "--key names a field, and lines have none: add --format json, msgpack or triton";
            return Err(Failure::Usage(told.to_owned()));
        }
        let connected = global.connect_to(&self.stream.stream).await?;
        let keying = self.keying(&connected);
        let reading = Reading {
            format: if self.from_json {
                Format::Got
            } else {
                self.format
            },
            keying,
            aggregate: self.aggregate,
            unordered: self.unordered,
            receipts: self.receipts,
        };
        let receipts = self.receipts;
        let progress = |bytes| progress_bar::Progress::start(global, bytes, receipts);
        let Some(path) = self.file else {
            let input = BufReader::with_capacity(READ_BYTES, tokio::io::stdin());
            return put(&connected, input, "standard input", reading, progress(None)).await;
        };
        let name = path.display().to_string();
        let unreadable = |error| Told(format!("{name} cannot be read: {error}"));
        let file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
        let metadata = file.metadata().await.map_err(unreadable)?;
        let bytes = metadata.is_file().then_some(metadata.len());
        let input = BufReader::with_capacity(READ_BYTES, file);
        put(&connected, input, &name, reading, progress(bytes)).await
    }

    /// Returns the source of partition keys. The command line takes precedence over the configuration file.
    fn keying(&self, connected: &Connected) -> Keying {
        if let Some(key) = &self.key_value {
            return Keying::Fixed(key.clone());
        }
        let configured = connected.named.partition_key.clone();
        match self.key.clone().or(configured) {
            Some(field) => Keying::Field(field),
            None => Keying::Random,
        }
    }
}

struct Reading {
    format: Format,
    keying: Keying,
    aggregate: bool,
    unordered: bool,
    receipts: bool,
}

impl Reading {
    /// Returns the order of records. Random keys need none.
    fn order(&self) -> Order {
        let has_keys = self.format == Format::Got || self.keying != Keying::Random;
        if self.unordered || !has_keys {
            Order::None
        } else {
            Order::PerKey
        }
    }
}

/// Puts the lines of an input until its end, a signal, or a failure that all later records would have too.
async fn put(
    connected: &Connected,
    input: impl AsyncBufRead + Unpin,
    name: &str,
    reading: Reading,
    shown: progress_bar::Progress,
) -> Result<(), Failure> {
    let stream: KinesisStream<Line> = connected.stream();
    let clock = Clock::system();
    let begun = clock.instant();
    let progress = Progress::default();
    let asked = Asked::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let Reading { format, keying, .. } = &reading;
    let ended = listen(asked.clone(), name.to_owned(), progress.clone());
    let records = lines::read(input, progress.clone())
        .filter_map(|text| std::future::ready(format.record(text, keying, clock.now())))
        .inspect(|line| progress.put(line.number))
        .take_until(until_end(ended, stopped));
    let mut results = match reading.order() {
        order if reading.aggregate => results::aggregated(&stream, order, records)?.boxed_local(),
        Order::PerKey => in_order::single(&stream, records).boxed_local(),
        _ => results::unordered(&stream, records).boxed_local(),
    };
    let mut report = Report::new(output::stdout(), reading.receipts);
    let mut stop = Some(stop);
    while let Some(result) = next(&mut results, &mut report).await? {
        if result.is_err() {
            progress.count_failed();
        }
        if report.result(progress.next_result(), result)? == Outlook::Hopeless {
            stop.take();
        }
        shown.at(progress.bytes_read(), report.stored_count());
    }
    let (stored, failed) = (report.stored_count(), progress.failed());
    shown.end(|| {
        let time = clock.instant().duration_since(begun);
        let line = progress_bar::summary("stored", stored, progress.bytes_read(), "input", time);
        match failed {
            0 => line,
            failed => format!("{line}; {failed} were not stored"),
        }
    });
    report.finish(name, &progress, asked.signal())
}

/// Returns the next result; `None` at the end, or when the outlook is hopeless and none comes in time.
async fn next<S: Stream + Unpin>(
    results: &mut S,
    report: &mut Report<Stdout>,
) -> Result<Option<S::Item>, Failure> {
    if let Some(ready) = results.next().now_or_never() {
        return Ok(ready);
    }
    // The reader of the receipts gets all of them before the program waits.
    report.flush()?;
    let next = results.next();
    match report.outlook() {
        Outlook::Good => Ok(next.await),
        Outlook::Hopeless => Ok(timeout(HOPELESS_WAIT_MAX, next).await.unwrap_or(None)),
    }
}

/// Listens for signals as long as the put lasts, also after the input has ended. The returned receiver is closed at the
/// first signal.
fn listen(asked: Asked, input: String, progress: Progress) -> oneshot::Receiver<()> {
    let (open, ended) = oneshot::channel::<()>();
    let last_words = move |signal| tell(&report::stop_line(signal, &input, &progress));
    tokio::spawn(async move {
        asked.to_end(last_words).await;
        drop(open);
    });
    ended
}

/// Waits until one of the two is closed.
async fn until_end(asked: oneshot::Receiver<()>, hopeless: oneshot::Receiver<()>) {
    tokio::select! {
        _ = asked => {}
        _ = hopeless => {}
    }
}
