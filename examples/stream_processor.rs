//! A stream processor with the `.properties` file of KCL's daemon. Started in two terminals, both processes share the
//! shards. It logs its records, and checkpoints every 60 s, at a shard's end and on Ctrl-C.
//!
//! ```text
//! cargo run --example stream_processor [-- examples/record_processor.properties]
//! ```
//!
//! It runs on an embedded Kinesis with a few readings, and stops after it has them all. With `--features aws` and an
//! endpoint or region in the environment it works on that stream, and shares its leases with other workers in DynamoDB.

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use kinesis_pipeline::{
    Batch, BoxError, Checkpointer, KinesisStream, LeaseStore, LocalKinesis, MemoryLeases,
    Processor, ShardId, ShardStart, WorkerHandle, WorkerProperties,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const CHECKPOINT_INTERVAL: Duration = Duration::from_mins(1);
const READINGS: usize = 10;

/// The processor of one shard.
struct RecordProcessor {
    shard: ShardId,
    /// Reports each record, if the number of records is known.
    seen: Option<UnboundedSender<()>>,
}

impl Processor for RecordProcessor {
    type Record = Bytes;

    async fn initialize(&mut self, start: &ShardStart, _: &Checkpointer) -> Result<(), BoxError> {
        println!("{}: begins at {:?}", self.shard, start.checkpoint);
        Ok(())
    }

    async fn process(&mut self, batch: Batch<Bytes>, _: &Checkpointer) -> Result<(), BoxError> {
        for record in &batch {
            let text = String::from_utf8_lossy(&record.data);
            println!("{}: {text}", record.position());
            if let Some(seen) = &self.seen {
                // The receiver is gone after the last record.
                let _ = seen.send(());
            }
        }
        // Returning `Ok` finishes the batch. The checkpoint is saved at the interval, at the shard's end and at a stop.
        // After an error the same records come again.
        Ok(())
    }

    async fn shard_ended(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        println!("{}: ended", self.shard);
        Ok(())
    }

    async fn lease_lost(&mut self) {
        println!("{}: another worker has it", self.shard);
    }

    async fn shutdown_requested(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        println!("{}: left", self.shard);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/record_processor.properties");
    let file = std::env::args_os()
        .nth(1)
        .map_or(beside.into(), PathBuf::from);
    let properties = WorkerProperties::load(&file)?;
    let name = properties.stream_name().ok_or("the file names no stream")?;
    #[cfg(feature = "aws")]
    if ["AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL", "AWS_REGION"]
        .iter()
        .any(|variable| std::env::var_os(variable).is_some())
    {
        let stream = KinesisStream::connect(name).await?;
        let leases = kinesis_pipeline::DynamoDbLeases::connect().await?;
        return run(stream, leases, &file, None).await;
    }
    let stream = LocalKinesis::start().await?.stream(name, 4).await?;
    put_readings(&stream).await?;
    run(
        stream,
        MemoryLeases::new(),
        &file,
        Some(unbounded_channel()),
    )
    .await
}

/// Works until Ctrl-C, or until all readings are seen.
async fn run(
    stream: KinesisStream<Bytes>,
    leases: impl LeaseStore,
    file: &Path,
    seen: Option<(UnboundedSender<()>, UnboundedReceiver<()>)>,
) -> Result<(), Box<dyn Error>> {
    let worker = stream.worker_from_properties(file)?;
    let worker = worker
        .leases(leases)
        .checkpoint_interval(CHECKPOINT_INTERVAL)
        .build()?;
    println!("worker {} of {}", worker.id(), stream.id());
    let (seen, all) = seen.unzip();
    tokio::spawn(stop_at_the_end(worker.handle(), all));
    let report = worker
        .run(|shard: &ShardId| RecordProcessor {
            shard: shard.clone(),
            seen: seen.clone(),
        })
        .await?;
    println!("{} shards were saved and given back", report.released.len());
    Ok(())
}

async fn stop_at_the_end(handle: WorkerHandle, seen: Option<UnboundedReceiver<()>>) {
    let all = async {
        match seen {
            Some(mut seen) => {
                for _ in 0..READINGS {
                    seen.recv().await;
                }
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = all => {}
        // If signals cannot be handled, the worker is stopped at once: otherwise it could never be stopped.
        _ = tokio::signal::ctrl_c() => {}
    }
    handle.stop();
}

async fn put_readings(stream: &KinesisStream<Bytes>) -> Result<(), Box<dyn Error>> {
    for number in 0..READINGS {
        let reading =
            format!(r#"{{"device":"foo-{number}","temperature":42.42,"humidity":84.84}}"#);
        stream.put(&Bytes::from(reading)).await?;
    }
    Ok(())
}
