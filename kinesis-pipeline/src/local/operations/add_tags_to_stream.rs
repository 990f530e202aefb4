//! `AddTagsToStream`: tags a stream.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Nothing, Operation, tags};
use crate::local::{api_error::ApiError, core::Core, stream_ref::StreamRef};

pub(in crate::local) struct AddTagsToStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) tags: Option<BTreeMap<String, String>>,
}

impl Operation for AddTagsToStream {
    const NAME: &'static str = "AddTagsToStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let mut checks = request.stream.checks();
        let added = checks.required("tags", request.tags);
        tags::check(&mut checks, &added);
        checks.finish()?;
        let (stream, now_millis) = core.named(&request.stream)?;
        let mut state = stream.write(now_millis);
        stream.check_usable(&state)?;
        tags::add(&mut state.tags, added)?;
        Ok(Nothing {})
    }
}
