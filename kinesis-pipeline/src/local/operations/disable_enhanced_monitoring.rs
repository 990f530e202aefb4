//! `DisableEnhancedMonitoring`: shard-level metrics are said to be off.

use super::{
    Operation,
    metrics::{self, Request, Response},
};
use crate::local::{api_error::ApiError, core::Core};

pub(in crate::local) struct DisableEnhancedMonitoring;

impl Operation for DisableEnhancedMonitoring {
    const NAME: &'static str = "DisableEnhancedMonitoring";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        metrics::change(core, &request, |metrics, named| {
            metrics.retain(|metric| !named.contains(metric));
        })
    }
}
