//! The embedded Kinesis.
