//! The options of a loader.

use std::{path::PathBuf, sync::Arc};

use kinesis_pipeline::{
    Order,
    record::row::{FromRow, Seed},
};

use super::{Loader, StopLoad};
use crate::{Format, Policy, model::Typed};

impl Loader {
    /// Adds a model: each row is read into it too, and its records are put to the same stream.
    ///
    /// ```
    /// # use kinesis_pipeline::{KinesisRecord, KinesisStream};
    /// # use kinesis_pipeline_load::Loader;
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize, KinesisRecord)]
    /// struct Person {
    ///     #[kinesis(partition_key, column = "id")]
    ///     id: String,
    /// }
    ///
    /// #[derive(Serialize, Deserialize, KinesisRecord)]
    /// struct Address {
    ///     #[kinesis(partition_key, column = "id")]
    ///     person: String,
    ///     street: Option<String>,
    /// }
    ///
    /// # fn example(stream: KinesisStream<Person>) {
    /// // A table with the columns `id` and `street` gives two records a row.
    /// let loader = Loader::new(&stream).model::<Address>();
    /// # }
    /// ```
    #[must_use]
    pub fn model<M: FromRow + 'static>(mut self) -> Self {
        self.models
            .push(Box::new(|context| Box::new(Typed::<M>::new(context))));
        self
    }

    /// Sets the format of the input. Default: the model's `delimiter`, else the format of the file's extension, else
    /// TSV.
    ///
    /// ```
    /// use kinesis_pipeline_load::Format;
    ///
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// loader.format(Format::Delimited(b';')).load("airports.txt").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets how the load handles rows that are not valid. Default [`Policy::Stop`].
    ///
    /// ```
    /// use kinesis_pipeline_load::Policy;
    ///
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// let report = loader.policy(Policy::Rejects("rejects.tsv".into())).load("airports.tsv").await?;
    /// println!("{} row(s) are in rejects.tsv, the reasons in rejects.tsv.reasons", report.rejected);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets whether this is a trial: nothing is sent, and the report shows what would be sent. Default false.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// let report = loader.trial(true).load("airports.tsv").await?;
    /// for sample in &report.samples {
    ///     println!("{}: {}", sample.partition_key, sample.data);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn trial(mut self, trial: bool) -> Self {
        self.trial = trial;
        self
    }

    /// Sets how many records a trial's report shows, and how many rows of the input are logged at the level debug.
    /// Default 3.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// loader.trial(true).samples(10).load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn samples(mut self, records: usize) -> Self {
        self.samples = records;
        self
    }

    /// Reads at most this many rows, those of previous runs with the same resume file included. Default: all.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// loader.rows_max(1_000).load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn rows_max(mut self, rows: u64) -> Self {
        self.rows_max = Some(rows);
        self
    }

    /// Also writes the records to `<dir>/<table>.json`, one per line, in the same pass. The directory is made, and
    /// files of earlier loads are replaced. Off by default.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// // Writes results/airport.json for a model `Airport`.
    /// loader.outdir("results").load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn outdir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.outdir = Some(dir.into());
        self
    }

    /// Sets the resume file. It keeps how far the load is stored, and a load begins at the place in it. Default: none.
    ///
    /// The file is written, with an fsync, once a second or more often: a run after a crash sends the rest and repeats
    /// at most [`resume_window`](Self::resume_window) rows. It identifies the load by the stream, the tables and the
    /// SHA-256 of each input file, so each file is read once more, and must not change meanwhile.
    ///
    /// One load at a time uses it: a file of the same name and `.lock`, which stays, is locked as long as the load runs.
    /// A stream that was deleted and made again since is another one, and the load begins anew with another file.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// // Run it again after a crash: it sends the rest.
    /// loader.resume("airports.resume").load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.resume = Some(path.into());
        self
    }

    /// Sets the most rows that a second run repeats. Default 32,768; at least 2,048. A smaller window costs more writes
    /// of the resume file.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// loader.resume("airports.resume").resume_window(4_096).load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn resume_window(mut self, rows: u64) -> Self {
        self.resume_window = rows;
        self
    }

    /// Sets whether each record carries `_meta.id`: 16 digits of its file's SHA-256, `:`, and the line of its row;
    /// further records of the same row have `.1`, `.2` ... appended. A sink can drop duplicates by this id. Default
    /// false.
    ///
    /// Records must be JSON objects, and files must be readable twice.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// // A record on line 7: {"iata":"AMS","_meta":{"id":"5891b5b522d5df08:7"}}
    /// loader.ids(true).load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ids(mut self, ids: bool) -> Self {
        self.ids = ids;
        self
    }

    /// Sets the seed of the anonymisers. Default: a random one, so that pseudonyms differ from run to run.
    ///
    /// ```
    /// use kinesis_pipeline::record::row::Seed;
    ///
    /// # use kinesis_pipeline_load::Loader;
    /// # fn example(loader: Loader) -> std::io::Result<()> {
    /// // The same secret in every run: a person keeps its pseudonym.
    /// let loader = loader.seed(Seed::new(std::fs::read("secret")?));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets whether several records share one Kinesis record, in the aggregate format of the Kinesis Producer Library.
    /// Default true: with an order per key, a shard takes one Kinesis record per round trip, which is slow without
    /// aggregates.
    ///
    /// Every reader of the stream must split aggregates, as this library, KCL, Firehose and Lambda's helpers do.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// // For readers that cannot split aggregates.
    /// loader.aggregate(false).load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn aggregate(mut self, aggregate: bool) -> Self {
        self.aggregate = aggregate;
        self
    }

    /// Sets the order in which records are stored. Default [`Order::PerKey`].
    ///
    /// ```
    /// use kinesis_pipeline::Order;
    ///
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// // Faster where the order of a key's records does not matter.
    /// loader.order(Order::None).load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets whether a progress bar is drawn on standard error, if it is a terminal. Default false.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// loader.progress(true).load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn progress(mut self, show: bool) -> Self {
        self.show_progress = show;
        self
    }

    /// Puts a marker with this id to every open shard before the first record and after the last one, so that readers
    /// can tell loaded records from live ones. Default: none.
    ///
    /// A marker is a JSON object: `_meta.eventType` is `snapshot.begin` or `snapshot.end`, `snapshot.id` is the id,
    /// `snapshot.tables` has the tables, and the end marker has `snapshot.counts`: rows, records, dropped, rejected. A
    /// load that is stopped or fails has no end marker; after a resume a marker may come twice.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// loader.snapshot("2026-11-29").load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot(mut self, id: impl Into<String>) -> Self {
        self.snapshot = Some(id.into());
        self
    }

    /// Scales the stream to this number of open shards before the first record, and back after the last one, also if
    /// the load fails or is stopped. Off by default.
    ///
    /// Shards cost money. The service allows 10 scalings in 24 hours, each to at least half and at most twice the
    /// shards; larger changes take several. A process that is killed leaves the stream scaled.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// loader.scale_to(16).load("airports.tsv").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn scale_to(mut self, shards: u32) -> Self {
        self.scale_to = Some(shards);
        self
    }

    /// Returns a handle that stops the load.
    ///
    /// ```
    /// # use kinesis_pipeline_load::{LoadError, Loader};
    /// # async fn example(loader: Loader) -> Result<(), LoadError> {
    /// let stop = loader.stop_handle();
    /// tokio::spawn(async move {
    ///     // On a signal, or after a time.
    ///     tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    ///     stop.stop();
    /// });
    /// let report = loader.load("airports.tsv").await?;
    /// println!("ended after row {}", report.rows);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn stop_handle(&self) -> StopLoad {
        StopLoad(Arc::clone(&self.progress))
    }
}
