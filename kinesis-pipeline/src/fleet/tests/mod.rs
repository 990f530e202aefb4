//! Tests against recordings of KCL, and of the stores on the embedded DynamoDB.

pub(super) mod vectors;

#[cfg(feature = "local-server")]
mod credentials;
#[cfg(feature = "local-server")]
mod database;
#[cfg(feature = "local-server")]
mod kcl;
#[cfg(feature = "local-server")]
mod leases;
#[cfg(feature = "local-server")]
mod led;
#[cfg(feature = "local-server")]
mod lost;
#[cfg(feature = "local-server")]
mod store;
#[cfg(feature = "local-server")]
mod table;
#[cfg(feature = "local-server")]
mod throttled;
