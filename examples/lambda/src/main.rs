//! Keeps the records from the state of New York, drops those from other states of the US, and fails the others.
//!
//! Records are objects `{uuid: state}`. The files beside it are `template.yaml`, the stack around the function, and
//! `README.md`, with the steps to build and deploy it.

mod filter;

use kinesis_pipeline::firehose::{Event, NewLine, Response, Transform};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // Lambda sends this output to CloudWatch Logs.
    tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .init();
    lambda_runtime::run(service_fn(handle)).await
}

/// Handles an event. It is passed as text, so that only the library parses it.
async fn handle(event: LambdaEvent<Box<RawValue>>) -> Result<Response, Error> {
    let event = Event::parse(event.payload.get().as_bytes())?;
    // As in the workshop, each kept text is an object of its own on S3, so no new lines are added.
    let transform = Transform::new().new_line(NewLine::AsIs);
    Ok(transform.run(event, filter::filter))
}
