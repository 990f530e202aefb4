//! The embedded Kinesis.

mod api_error;
mod core;
mod operations;
mod protocol;

use std::sync::Arc;

use self::core::Core;

/// A Kinesis in this process. Cheap to clone; clones are the same Kinesis.
#[derive(Clone, Debug)]
pub struct LocalKinesis {
    pub(crate) core: Arc<Core>,
}
