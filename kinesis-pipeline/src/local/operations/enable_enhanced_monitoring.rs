//! `EnableEnhancedMonitoring`: shard-level metrics are said to be on.
//!
//! Left out: nothing is measured.

use super::{
    Operation,
    metrics::{self, Request, Response},
};
use crate::local::{api_error::ApiError, core::Core};

pub(in crate::local) struct EnableEnhancedMonitoring;

impl Operation for EnableEnhancedMonitoring {
    const NAME: &'static str = "EnableEnhancedMonitoring";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        metrics::change(core, &request, |metrics, named| metrics.extend(named))
    }
}
