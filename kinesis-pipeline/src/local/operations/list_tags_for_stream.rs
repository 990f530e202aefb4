//! `ListTagsForStream`: a stream's tags by key, in pages.

use serde::{Deserialize, Serialize};

use super::{Operation, tags::Tag};
use crate::local::{api_error::ApiError, core::Core, stream_ref::StreamRef, validate::TAG_KEY};

const LIMIT_MAX: i64 = 50;

pub(in crate::local) struct ListTagsForStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(super) exclusive_start_tag_key: Option<String>,
    pub(in crate::local) limit: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    tags: Vec<Tag>,
    has_more_tags: bool,
}

impl Operation for ListTagsForStream {
    const NAME: &'static str = "ListTagsForStream";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let start = request.exclusive_start_tag_key;
        let mut checks = request.stream.checks();
        checks.text("exclusiveStartTagKey", start.as_deref(), TAG_KEY);
        checks.number("limit", request.limit, 1, LIMIT_MAX);
        checks.finish()?;
        let limit = usize::try_from(request.limit.unwrap_or(LIMIT_MAX)).unwrap_or(usize::MAX);
        let (stream, now_millis) = core.named(&request.stream)?;
        let state = stream.read(now_millis);
        let later = state
            .tags
            .iter()
            .filter(|(key, _)| start.as_ref().is_none_or(|start| *key > start));
        let mut tags: Vec<Tag> = later.take(limit + 1).map(Tag::from).collect();
        let has_more_tags = tags.len() > limit;
        tags.truncate(limit);
        Ok(Response {
            tags,
            has_more_tags,
        })
    }
}
