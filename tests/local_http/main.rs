//! Tests of the embedded Kinesis over HTTP: through the official SDK, and request by request.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod cbor;
mod dynamodb;
mod fan_out;
mod faults;
mod http_client;
mod interceptors;
mod sdk;
mod wire;
