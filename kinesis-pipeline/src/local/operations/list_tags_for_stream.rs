//! `ListTagsForStream`: a stream's tags by key, in pages.

use serde::{Deserialize, Serialize};

use super::{Operation, tags::Tag};
use crate::local::{
    api_error::ApiError,
    core::Core,
    validate::{Checks, TAG_KEY},
};

const LIMIT_MAX: i64 = 50;

pub(crate) struct ListTagsForStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) exclusive_start_tag_key: Option<String>,
    pub(crate) limit: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    tags: Vec<Tag>,
    has_more_tags: bool,
}

impl Operation for ListTagsForStream {
    const NAME: &'static str = "ListTagsForStream";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let (name, arn) = (
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        );
        let start = request.exclusive_start_tag_key;
        let mut checks = Checks::new();
        checks.stream(name, arn);
        checks.text("exclusiveStartTagKey", start.as_deref(), TAG_KEY);
        checks.number("limit", request.limit, 1, LIMIT_MAX);
        checks.finish()?;
        let limit = usize::try_from(request.limit.unwrap_or(LIMIT_MAX)).unwrap_or(usize::MAX);
        let now_millis = core.now_millis();
        let stream = core.stream(name, arn, now_millis)?;
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
