//! Objects under construction of one shard, and the decisions when each is complete. Nothing here waits or reads a clock.
//!
//! ```text
//!   record ── add ──> OpenObject of its folder ── due ──> SealedObject, to be written
//!                          │ by bytes after compression, a folder's idle time, the budget's coldest
//!   ends_before, seal_all ─┘ by age: all of them, and a checkpoint may follow
//! ```
//!
//! A window begins with no open object and ends with none. Every decision inside it depends on the records since its
//! beginning, their arrival times, and its [`Limits`], so that a worker that reads the same records again makes the same
//! objects. `window` decides, `object` collects and compresses, `limits` has the numbers.

mod limits;
mod object;
mod window;

pub(crate) use limits::Limits;
pub(crate) use object::{Folder, Kind, SealedObject};
pub(crate) use window::Window;
