//! JSON text in memory, read piece by piece: for the paths that most of the time goes into and whose shape is known.
//!
//! ```text
//!  bytes ── Scanner ── open_object, next_key ── string, number, .. ── Text (borrows)
//!                  └── open_array, next_element    └── skip, raw: what nobody asked for
//! ```
//!
//! It takes what `serde_json` takes, and allocates nothing but for text with escapes that is asked for.

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
