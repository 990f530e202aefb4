//! `EnableEnhancedMonitoring`: shard-level metrics are said to be on.
//!
//! Left out: nothing is measured.

use serde::Deserialize;

use super::{
    Operation,
    metrics::{self, Response},
};
use crate::local::{api_error::ApiError, core::Core, validate::Checks};

pub(crate) struct EnableEnhancedMonitoring;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) shard_level_metrics: Option<Vec<String>>,
}

impl Operation for EnableEnhancedMonitoring {
    const NAME: &'static str = "EnableEnhancedMonitoring";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let (name, arn) = (
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        );
        let mut checks = Checks::new();
        checks.stream(name, arn);
        let named = metrics::check(&mut checks, request.shard_level_metrics.as_deref());
        checks.finish()?;
        let now_millis = core.now_millis();
        let stream = core.stream(name, arn, now_millis)?;
        let mut state = stream.write_active(now_millis)?;
        let before = state.metrics.clone();
        state.metrics.extend(named);
        Ok(Response::new(&stream, &before, &state.metrics))
    }
}
