//! Keeps what comes from the state of New York, drops the other states of the US, and fails the rest.
//!
//! Records are objects `{uuid: state}`. Beside this file: `template.yaml`, the stack around the function, and
//! `README.md`, how to build and deploy it.

mod filter;

use kinesis_pipeline::firehose::{Event, NewLine, Response, Transform};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // What Lambda writes to CloudWatch Logs.
    tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .init();
    lambda_runtime::run(service_fn(handle)).await
}

/// The event as text, so that it is read once, by the library.
async fn handle(event: LambdaEvent<Box<RawValue>>) -> Result<Response, Error> {
    let event = Event::parse(event.payload.get().as_bytes())?;
    // Each kept text is an object of its own on S3 as the workshop has it: nothing is put between them.
    let transform = Transform::new().new_line(NewLine::AsIs);
    Ok(transform.run(event, filter::filter))
}
