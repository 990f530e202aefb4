//! What goes over the wire: the values of the API and, for the HTTP face, its formats.

#[cfg(feature = "local-server")]
mod cbor;
#[cfg(feature = "local-server")]
pub(crate) mod event_stream;
#[cfg(feature = "local-server")]
mod format;
#[cfg(feature = "local-server")]
mod json;
#[cfg(feature = "local-server")]
mod mismatch;
pub(crate) mod values;
mod wire;

#[cfg(feature = "local-server")]
pub(crate) use format::{Format, Message};
pub(crate) use wire::Wire;
