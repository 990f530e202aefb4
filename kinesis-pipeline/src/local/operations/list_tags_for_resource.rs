//! `ListTagsForResource`: the tags of a stream or a consumer.

use serde::{Deserialize, Serialize};

use super::{Operation, tags::Tag};
use crate::local::{
    api_error::ApiError,
    core::Core,
    validate::{Checks, RESOURCE_ARN},
};

pub(in crate::local) struct ListTagsForResource;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    tags: Vec<Tag>,
}

impl Operation for ListTagsForResource {
    const NAME: &'static str = "ListTagsForResource";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let arn = request.resource_arn.as_deref();
        let mut checks = Checks::new();
        let arn = checks.required_text("resourceARN", arn, RESOURCE_ARN);
        checks.finish()?;
        let tags = core.change_resource(arn, |resource| {
            resource.tags.iter().map(Tag::from).collect()
        })?;
        Ok(Response { tags })
    }
}
