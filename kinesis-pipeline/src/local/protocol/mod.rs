//! The wire protocols: the values of the API and, for the HTTP face, its formats.

#[cfg(feature = "local-server")]
mod cbor;
#[cfg(feature = "local-server")]
pub(super) mod event_stream;
#[cfg(feature = "local-server")]
mod format;
#[cfg(feature = "local-server")]
mod json;
#[cfg(feature = "local-server")]
mod mismatch;
pub(super) mod values;
mod wire;

#[cfg(feature = "local-server")]
pub(super) use format::{Format, Message};
pub(super) use wire::Wire;
