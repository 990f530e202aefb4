//! Workers on the embedded Kinesis, in virtual time.

mod basics;
mod errors;
#[cfg(feature = "health-server")]
mod face;
mod following;
mod lane_memory;
mod lanes;
mod lease_stores;
mod life;
mod pressure;
mod remedies;
mod retained;
mod seen;
#[cfg(all(unix, feature = "signal"))]
mod signals;
mod streams;
mod streams_apart;
mod throughput;
