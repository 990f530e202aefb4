//! `DeleteStream`: removes a stream with all its records.

use serde::Deserialize;

use super::{Nothing, Operation};
use crate::{
    local::{api_error::ApiError, core::Core, state::stream::Change, stream_ref::StreamRef},
    service::StreamStatus,
};

pub(in crate::local) struct DeleteStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) enforce_consumer_deletion: Option<bool>,
}

impl Operation for DeleteStream {
    const NAME: &'static str = "DeleteStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        request.stream.checks().finish()?;
        let (stream, now_millis) = core.named(&request.stream)?;
        let due_millis = core.due_millis(now_millis);
        let mut state = stream.write(now_millis);
        let latest_seconds = state.topology.latest_seconds();
        let has_consumers = state.consumers(now_millis).next().is_some();
        if has_consumers && request.enforce_consumer_deletion != Some(true) {
            return Err(ApiError::in_use(format!(
                "Stream {} under account {} has consumers: deregister them, or set EnforceConsumerDeletion",
                stream.name, stream.account_id
            )));
        }
        if state.status == StreamStatus::Creating {
            // A stream that never was usable lists no shards while it goes.
            state.topology.clear();
        }
        core.set_deleted(&stream.name, latest_seconds, now_millis);
        stream.schedule(&mut state, Change::Delete, due_millis, now_millis);
        Ok(Nothing {})
    }
}
