//! `RemoveTagsFromStream`: takes tags from a stream.

use serde::Deserialize;

use super::{Nothing, Operation, tags};
use crate::local::{api_error::ApiError, core::Core, stream_ref::StreamRef};

pub(in crate::local) struct RemoveTagsFromStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(super) tag_keys: Option<Vec<String>>,
}

impl Operation for RemoveTagsFromStream {
    const NAME: &'static str = "RemoveTagsFromStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let mut checks = request.stream.checks();
        let keys = checks.required("tagKeys", request.tag_keys);
        tags::check_keys(&mut checks, &keys);
        checks.finish()?;
        let (stream, now_millis) = core.named(&request.stream)?;
        let mut state = stream.write(now_millis);
        stream.check_usable(&state)?;
        tags::check_characters(keys.iter())?;
        state.tags.retain(|key, _| !keys.contains(key));
        Ok(Nothing {})
    }
}
