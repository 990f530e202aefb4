//! The ground that all pipelines stand on: a stream, the way to it, and the clock.

use std::sync::Arc;

use crate::{
    clock::Clock,
    service::{Kinesis, StreamId},
};

/// A stream, the service that holds it, and the clock to go by. All pipelines of a stream handle share it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) service: Arc<dyn Kinesis>,
    pub(crate) stream: StreamId,
    pub(crate) clock: Clock,
}
