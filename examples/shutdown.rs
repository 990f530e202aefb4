//! A complete program: it puts records until it is told to stop, loses none, and reports success by its exit status.
//!
//! ```text
//! cargo run --example shutdown        # and Ctrl-C, or `kill`
//! ```

use std::{error::Error, io, pin::pin, process::ExitCode, time::Duration};

use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis, Producer, PutError};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    count: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 2).await?;
    // This is less than the time that the platform leaves between SIGTERM and SIGKILL.
    let producer = stream.producer().aggregate(true);
    let producer = producer.close_timeout(Duration::from_secs(20)).build()?;

    let put = put_until(&producer, signal()?).await;
    // Accepted records are stored first, for whatever reason the puts ended. Without this line they would be lost.
    let handle = producer.clone();
    let closed = producer.close().await;

    let stats = handle.stats();
    println!(
        "{} of {} readings are stored",
        stats.records_stored, stats.records_accepted
    );
    put?;
    Ok(closed?)
}

/// Puts readings until `stop` is ready. Their receipts are dropped: `close` counts those that were not stored.
async fn put_until(
    producer: &Producer<Reading>,
    stop: impl Future<Output = ()>,
) -> Result<(), PutError> {
    let mut stop = pin!(stop);
    println!("putting");
    for count in 0.. {
        let device = format!("device-{}", count % 7);
        let reading = Reading { device, count };
        // A put waits while the producer is full. A put that is dropped then was not accepted.
        tokio::select! {
            () = &mut stop => break,
            put = producer.put(&reading) => drop(put?),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Returns a future that is ready at SIGTERM or Ctrl-C. From this call on the signals are handled.
#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
