//! `DeleteResourcePolicy`: forgets the policy of a stream or a consumer.

use serde::Deserialize;

use super::{Nothing, Operation, resource};
use crate::local::{
    api_error::ApiError,
    core::Core,
    validate::{Checks, RESOURCE_ARN},
};

pub(in crate::local) struct DeleteResourcePolicy;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
}

impl Operation for DeleteResourcePolicy {
    const NAME: &'static str = "DeleteResourcePolicy";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let arn = request.resource_arn.as_deref();
        let mut checks = Checks::new();
        let arn = checks.required_text("resourceARN", arn, RESOURCE_ARN);
        checks.finish()?;
        resource::check_policy(core, arn)?;
        core.change_resource(arn, |resource| resource.policy.take())?
            .map(|_| Nothing {})
            .ok_or_else(|| {
                ApiError::not_found(format!("No resource policy found for resource {arn}"))
            })
    }
}
