//! A Firehose transform without Firehose: reads an event from a file and prints the response.
//!
//! Warm readings are kept, in Fahrenheit, and cold ones are dropped. The same function runs in a Lambda:
//! `examples/lambda/`.
//!
//! ```text
//! cargo run --example firehose_transform -- EVENT.json
//! ```

use std::{env, error::Error};

use kinesis_pipeline::{
    KinesisRecord,
    firehose::{self, Event, Verdict},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    temperature: f64,
}

fn warm_in_fahrenheit(mut reading: Reading) -> Verdict<Reading> {
    if reading.temperature < 20.0 {
        return Verdict::Drop;
    }
    reading.temperature = reading.temperature * 1.8 + 32.0;
    Verdict::Keep(reading)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("which file holds the event?")?;
    let json = std::fs::read(path)?;
    let response = firehose::transform(Event::parse(&json)?, warm_in_fahrenheit);
    for failure in response.failures() {
        eprintln!("record {} failed: {}", failure.record_id, failure.reason);
    }
    println!("{}", String::from_utf8(response.into_json())?);
    Ok(())
}
