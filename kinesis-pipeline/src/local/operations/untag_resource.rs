//! `UntagResource`: takes tags from a stream or a consumer.

use serde::Deserialize;

use super::{Nothing, Operation, resource, tags};
use crate::local::{
    api_error::ApiError,
    core::Core,
    validate::{Checks, RESOURCE_ARN},
};

pub(in crate::local) struct UntagResource;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
    pub(super) tag_keys: Option<Vec<String>>,
}

impl Operation for UntagResource {
    const NAME: &'static str = "UntagResource";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let arn = request.resource_arn.as_deref();
        let mut checks = Checks::new();
        let arn = checks.required_text("resourceARN", arn, RESOURCE_ARN);
        let keys = checks.required("tagKeys", request.tag_keys);
        tags::check_keys(&mut checks, &keys);
        checks.finish()?;
        resource::check_tags(core, arn)?;
        tags::check_characters(keys.iter())?;
        core.change_resource(arn, |resource| {
            resource.tags.retain(|key, _| !keys.contains(key));
        })?;
        Ok(Nothing {})
    }
}
