//! `UpdateStreamRecordDistributionStrategy`: has the service place the records of a stream on demand, or their
//! keys.

use serde::Deserialize;

use super::{Nothing, Operation};
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::stream::Change,
    validate::{Checks, STREAM_ARN},
};

/// The strategies of the API.
pub(super) const STRATEGIES: &[&str] = &["AUTO", "USER_PARTITION_KEY"];

pub(in crate::local) struct UpdateStreamRecordDistributionStrategy;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: Option<String>,
    pub(super) record_distribution_strategy: Option<String>,
}

impl Operation for UpdateStreamRecordDistributionStrategy {
    const NAME: &'static str = "UpdateStreamRecordDistributionStrategy";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let arn = request.stream_arn.as_deref();
        let strategy = request.record_distribution_strategy.as_deref();
        let mut checks = Checks::new();
        checks.required_text("streamARN", arn, STREAM_ARN);
        checks.one_of("recordDistributionStrategy", strategy, STRATEGIES);
        checks.required("recordDistributionStrategy", strategy);
        checks.finish()?;
        let now_millis = core.now_millis();
        let stream = core.stream(None, arn, now_millis)?;
        let mut state = stream.write_active(now_millis)?;
        if !state.is_on_demand {
            return Err(ApiError::invalid_argument(
                "The record distribution strategy is only supported in the ON_DEMAND stream mode.",
            ));
        }
        state.is_distributed = strategy == Some("AUTO");
        stream.schedule(
            &mut state,
            Change::Update,
            core.due_millis(now_millis),
            now_millis,
        );
        Ok(Nothing {})
    }
}
