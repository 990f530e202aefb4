//! A pull scanner of JSON text in memory, for hot paths with a known shape.
//!
//! ```text
//!  bytes ── Scanner ── open_object, next_key ── string, number, .. ── Text (borrows)
//!                  └── open_array, next_element    └── skip, raw: values that are not needed
//! ```
//!
//! It accepts the same texts as `serde_json`. It allocates only to decode a text with escapes.

mod malformed;
#[cfg(any(test, fuzzing))]
mod peer;
mod plain;
mod scanner;
mod text;

pub(crate) use malformed::Malformed;
#[cfg(fuzzing)]
pub(crate) use peer::agrees;
pub(crate) use scanner::{Kind, Scanner};
pub(crate) use text::Text;

#[cfg(test)]
mod tests;
