//! The put pipeline on a scripted service, in virtual time.

#[cfg(feature = "local")]
mod endings;
mod failures;
mod faulted;
mod in_order;
mod limit;
mod listing;
#[cfg(feature = "local")]
mod local;
mod many;
mod model;
mod numbered;
mod producer;
#[cfg(feature = "local")]
mod resharded;
mod runtimes;
mod script;
mod shards;
mod sharing;
mod sink;
#[cfg(feature = "local")]
mod throttling;

use std::sync::Arc;

use script::{Answer, Script};

use crate::put::admission::shared::Shared;

/// Settings of a pipeline whose service stores everything.
pub(super) fn shared() -> Arc<Shared> {
    let stream = Script::new([]).stream();
    Arc::new(Shared::new(stream.target.clone(), super::PutOptions::new()))
}
