//! Workers on the embedded Kinesis, in virtual time.

mod basics;
mod errors;
#[cfg(feature = "health-server")]
mod face;
mod following;
mod lanes;
mod life;
mod pressure;
mod remedies;
mod seen;
#[cfg(all(unix, feature = "signal"))]
mod signals;
mod throughput;
