//! The put pipeline on a scripted service, in virtual time.

mod failures;
#[cfg(feature = "local")]
mod local;
mod many;
mod model;
mod producer;
mod runtimes;
mod script;
mod sharing;

use script::{Answer, Script};
