//! The put pipeline in virtual time: on a scripted service (`script`), on the embedded Kinesis (`local`), and on the
//! embedded Kinesis behind a network with faults (`network`).

#[cfg(feature = "local")]
mod arenas;
#[cfg(feature = "local")]
mod endings;
mod failures;
#[cfg(feature = "local")]
mod faulted;
#[cfg(feature = "local")]
mod in_order;
mod limit;
#[cfg(feature = "local")]
mod listing;
#[cfg(feature = "local")]
mod local;
#[cfg(feature = "local")]
mod made_again;
mod many;
#[cfg(feature = "local")]
mod network;
#[cfg(feature = "local")]
mod numbered;
mod producer;
#[cfg(feature = "local")]
mod resharded;
mod runtimes;
mod script;
#[cfg(feature = "local")]
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
