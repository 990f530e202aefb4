//! `TagResource`: tags a stream or a consumer.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Nothing, Operation, resource, tags};
use crate::local::{
    api_error::ApiError,
    core::Core,
    validate::{Checks, RESOURCE_ARN},
};

pub(in crate::local) struct TagResource;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
    pub(in crate::local) tags: Option<BTreeMap<String, String>>,
}

impl Operation for TagResource {
    const NAME: &'static str = "TagResource";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let arn = request.resource_arn.as_deref();
        let mut checks = Checks::new();
        let arn = checks.required_text("resourceARN", arn, RESOURCE_ARN);
        let added = checks.required("tags", request.tags);
        tags::check(&mut checks, &added);
        checks.finish()?;
        resource::check_tags(core, arn)?;
        core.change_resource(arn, |resource| tags::add(resource.tags, added))??;
        Ok(Nothing {})
    }
}
