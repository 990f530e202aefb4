//! The HTTP face of the embedded Kinesis: through the official SDK, and request by request.

mod cbor;
mod dynamodb;
mod sdk;
mod wire;
