//! `RemoveTagsFromStream`: takes tags from a stream.

use serde::Deserialize;

use super::{Nothing, Operation, tags};
use crate::local::{api_error::ApiError, core::Core, validate::Checks};

pub(crate) struct RemoveTagsFromStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) tag_keys: Option<Vec<String>>,
}

impl Operation for RemoveTagsFromStream {
    const NAME: &'static str = "RemoveTagsFromStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let (name, arn) = (
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        );
        let mut checks = Checks::new();
        checks.stream(name, arn);
        let keys = checks.required("tagKeys", request.tag_keys);
        tags::check_keys(&mut checks, &keys);
        checks.finish()?;
        tags::check_characters(keys.iter())?;
        let now_millis = core.now_millis();
        let stream = core.stream(name, arn, now_millis)?;
        stream
            .write(now_millis)
            .tags
            .retain(|key, _| !keys.contains(key));
        Ok(Nothing {})
    }
}
