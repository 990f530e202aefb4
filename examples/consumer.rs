//! A consumer for production: concurrent shards, checkpoints, and dead letters for records that cannot be processed.
//!
//! ```text
//! cargo run --example consumer
//! ```
//!
//! It bills orders, is stopped, and continues behind them after a restart. Two orders cannot be billed and one record
//! cannot be decoded. They are stored in a file, and the shards continue.
//!
//! Leases and checkpoints are in a file here, for workers on one machine. With a `DynamoDbLeases` the same program runs
//! on any number of machines.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use kinesis_pipeline::{
    Batch, BoxError, Checkpointer, DeadLetter, ErrorPolicy, FileDeadLetters, FileLeases,
    KinesisRecord, KinesisStream, LocalKinesis, Processor, StartAt,
};
use serde::{Deserialize, Serialize};

/// The file of dead letters. A worker that is stopped while a batch fails may write the same letter again after its
/// restart.
const FAILED: &str = "failed.jsonl";
const WAIT_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Order {
    #[kinesis(partition_key)]
    id: u64,
    euros: i64,
}

/// A stand-in for a database.
#[derive(Clone, Default)]
struct Bills {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    /// The number of bills for each order.
    times: BTreeMap<u64, u32>,
    shards_at_work: usize,
    shards_at_work_max: usize,
}

/// The work on one shard. There is one value, and one task, for each shard that the worker holds.
struct Billing {
    bills: Bills,
}

impl Processor for Billing {
    type Record = Order;

    /// Bills all orders of the batch or none: after an error the whole batch comes again.
    async fn process(&mut self, batch: Batch<Order>, _: &Checkpointer) -> Result<(), BoxError> {
        let orders: Vec<_> = batch.into_iter().map(|record| record.data).collect();
        if let Some(order) = orders.iter().find(|order| order.euros < 0) {
            return Err(format!("order {} is of {} euros", order.id, order.euros).into());
        }
        self.bills.change(|table| {
            table.shards_at_work += 1;
            table.shards_at_work_max = table.shards_at_work_max.max(table.shards_at_work);
        })?;
        tokio::time::sleep(Duration::from_millis(20)).await; // the other shards go on meanwhile
        self.bills.change(|table| {
            table.shards_at_work -= 1;
            for order in orders {
                *table.times.entry(order.id).or_default() += 1;
            }
        })
    }
}

impl Bills {
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> Result<T, BoxError> {
        let mut table = self.table.lock().map_err(|_| "another shard panicked")?;
        Ok(change(&mut table))
    }

    fn billed(&self) -> Result<usize, String> {
        self.change(|table| table.times.len())
            .map_err(|error| error.to_string())
    }
}

/// Waits until this many orders are billed and this many dead letters are stored.
async fn done(
    bills: &Bills,
    failed: &Path,
    (billed, aside): (usize, usize),
) -> Result<(), Box<dyn Error>> {
    let done = async {
        while bills.billed()? < billed || letters(failed).len() < aside {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    };
    tokio::time::timeout(WAIT_MAX, done).await?
}

/// Returns the lines of the file of dead letters; none if the file does not exist.
fn letters(failed: &Path) -> Vec<String> {
    let text = fs::read_to_string(failed).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Consumes until `stop` is ready. Then batches are finished, checkpoints are saved, and leases are given back.
///
/// In a service, pass the signal of the example `shutdown`.
async fn consume(
    stream: &KinesisStream<Order>,
    folder: &Path,
    bills: &Bills,
    stop: impl Future<Output = Result<(), Box<dyn Error>>>,
) -> Result<(), Box<dyn Error>> {
    // After three tries a batch is halved, again and again. A record that fails alone becomes a dead letter with its
    // error.
    let policy = ErrorPolicy::retry()
        .attempts_max(3)
        .pause_max(Duration::from_millis(200)) // short, so that the example ends soon: 30 s is usual
        .bisect()
        .then_dead_letter(FileDeadLetters::new(folder.join(FAILED)));
    let worker = stream
        .worker("billing")
        .leases(FileLeases::new(folder.join("leases.json")))
        .start(StartAt::TrimHorizon)
        .on_error(policy)
        .build()?;
    let handle = worker.handle();
    let bills = bills.clone();
    let running = tokio::spawn(worker.run(move |_shard| Billing {
        bills: bills.clone(),
    }));
    let stopped = stop.await;
    handle.stop();
    let report = running.await??;
    println!("stopped: {} shards given back", report.released.len());
    stopped
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("consumer-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let stream: KinesisStream<Order> = LocalKinesis::start().await?.stream("orders", 4).await?;
    let (bills, failed) = (Bills::default(), folder.join(FAILED));
    let order = |id, euros| Order { id, euros };

    stream
        .put_all((0..200).map(|id| order(id, 10)))
        .await
        .ok()?;
    stream
        .put_all([order(1_001, -5), order(1_002, -7)])
        .await
        .ok()?;
    let texts = stream.with_record_type::<String>();
    texts.put(&"not an order".to_owned()).await?;
    consume(&stream, &folder, &bills, done(&bills, &failed, (200, 3))).await?;

    println!("restarted");
    stream
        .put_all((200..300).map(|id| order(id, 20)))
        .await
        .ok()?;
    consume(&stream, &folder, &bills, done(&bills, &failed, (300, 3))).await?;

    let table = bills.table.lock().map_err(|_| "a shard panicked")?;
    let twice = table.times.values().filter(|times| **times > 1).count();
    println!("{} orders billed, {twice} of them twice", table.times.len());
    println!("up to {} shards at a time", table.shards_at_work_max);
    for line in letters(&failed) {
        let letter = DeadLetter::from_json(&line).map_err(|error| error.to_string())?;
        println!(
            "set aside after {} attempts: {}",
            letter.attempts, letter.error
        );
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}
