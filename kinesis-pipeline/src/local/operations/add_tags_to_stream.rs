//! `AddTagsToStream`: tags a stream.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Nothing, Operation, tags};
use crate::local::{api_error::ApiError, core::Core, validate::Checks};

pub(crate) struct AddTagsToStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) tags: Option<BTreeMap<String, String>>,
}

impl Operation for AddTagsToStream {
    const NAME: &'static str = "AddTagsToStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let (name, arn) = (
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        );
        let mut checks = Checks::new();
        checks.stream(name, arn);
        let added = checks.required("tags", request.tags);
        tags::check(&mut checks, &added);
        checks.finish()?;
        let now_millis = core.now_millis();
        let stream = core.stream(name, arn, now_millis)?;
        tags::add(&mut stream.write(now_millis).tags, added)?;
        Ok(Nothing {})
    }
}
