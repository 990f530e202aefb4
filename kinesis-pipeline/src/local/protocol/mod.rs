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

#[cfg(feature = "local-server")]
pub(crate) use format::{Format, Message};
