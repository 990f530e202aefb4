//! A worker of a mixed fleet, for programs in other languages: it prints each step as a line of JSON.
//!
//! ```text
//!   fleet_worker STREAM APP ID FAILOVER_SECONDS
//!   start | record | checkpoint | made | lost | ended | left   ->  {"ev":..,"t":..,"w":..,"shard":..,"seq":..,"sub":..}
//! ```
//!
//! A checkpoint lies inside an aggregate, near the middle of its batch. The endpoints come from the environment. SIGINT
//! stops it.

use std::{io::Write as _, sync::Arc, time::Duration, time::SystemTime};

use bytes::Bytes;
use kinesis_pipeline::{
    Batch, BoxError, Checkpointer, Checkpointing, Clock, DynamoDbLeases, KinesisStream,
    LeaseCheckpoint, Position, Processor, Record, ShardId, ShardStart, StartAt,
};
use serde_json::{Value, json};

/// The time between checkpoints of a shard.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// The time that a batch takes. It is long enough that every worker gets some records.
const WORK_TIME: Duration = Duration::from_millis(40);

struct Teller {
    worker: Arc<str>,
    shard: ShardId,
    clock: Clock,
    checkpointed_at: SystemTime,
}

impl Teller {
    fn tell(&self, event: &str, place: &Value, text: &str) -> Result<(), BoxError> {
        let time = self.clock.now().duration_since(SystemTime::UNIX_EPOCH)?;
        let (seq, sub) = (&place["seq"], &place["sub"]);
        let line = json!({
            "ev": event, "t": time.as_secs_f64(), "w": &*self.worker, "shard": self.shard.as_str(),
            "seq": seq, "sub": sub, "data": text,
        });
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }

    async fn checkpoint(
        &mut self,
        position: &Position,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        // The line is printed before the checkpoint: a kill between the two must not hide it.
        self.tell("checkpoint", &place(position), "")?;
        checkpointer.checkpoint(position).await?;
        self.tell("made", &place(position), "")?;
        self.checkpointed_at = self.clock.now();
        Ok(())
    }
}

fn place(position: &Position) -> Value {
    json!({ "seq": position.sequence_number.as_str(), "sub": position.sub_sequence_number })
}

impl Processor for Teller {
    type Record = Bytes;

    async fn initialize(&mut self, start: &ShardStart, _: &Checkpointer) -> Result<(), BoxError> {
        let begun = match &start.checkpoint {
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number,
            } => json!({ "seq": sequence_number.as_str(), "sub": sub_sequence_number }),
            _ => Value::Null,
        };
        self.tell("start", &begun, "")
    }

    async fn process(
        &mut self,
        batch: Batch<Bytes>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        for record in &batch {
            let text = String::from_utf8_lossy(&record.data);
            self.tell("record", &place(record.position()), &text)?;
        }
        tokio::time::sleep(WORK_TIME).await;
        let first_half = batch.records.iter().take(batch.records.len() / 2 + 1);
        let is_inside = |position: &&Position| position.sub_sequence_number > 0;
        let inside = first_half.map(Record::position).rfind(is_inside);
        let since = self.clock.now().duration_since(self.checkpointed_at)?;
        match inside.cloned() {
            Some(position) if since >= CHECKPOINT_INTERVAL => {
                self.checkpoint(&position, checkpointer).await
            }
            _ => Ok(()),
        }
    }

    async fn shard_ended(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        self.tell("ended", &Value::Null, "")
    }

    async fn lease_lost(&mut self) {
        // An error means that the pipe is closed and the output is not read.
        let _ = self.tell("lost", &Value::Null, "");
    }

    async fn shutdown_requested(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        self.tell("left", &Value::Null, "")
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let usage = "usage: fleet_worker STREAM APP ID FAILOVER_SECONDS";
    let [stream, app, id, failover] = std::env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| usage)?;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let stream = KinesisStream::<Bytes>::connect(stream).await?;
    let worker = stream
        .worker(app)
        .id(id.as_str())
        .leases(DynamoDbLeases::connect().await?)
        .start(StartAt::TrimHorizon)
        .failover(Duration::from_secs(failover.parse()?))
        .checkpointing(Checkpointing::Manual)
        .poll_interval(Duration::from_millis(250))
        .batch_records_max(25)
        .build()?;
    let handle = worker.handle();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            handle.stop();
        }
    });
    let clock = Clock::system();
    let report = worker
        .run(|shard: &ShardId| Teller {
            worker: id.as_str().into(),
            shard: shard.clone(),
            clock: clock.clone(),
            checkpointed_at: clock.now(),
        })
        .await?;
    writeln!(std::io::stderr(), "{report:?}")?;
    Ok(())
}
