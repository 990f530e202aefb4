//! `PutResourcePolicy`: keeps the policy of a stream or a consumer.
//!
//! Left out: a policy is kept and given back, and allows or denies nothing.

use serde::Deserialize;

use super::{Nothing, Operation, resource};
use crate::local::{
    api_error::ApiError,
    core::Core,
    validate::{Checks, RESOURCE_ARN},
};

pub(in crate::local) struct PutResourcePolicy;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "ResourceARN")]
    pub(super) resource_arn: Option<String>,
    pub(in crate::local) policy: Option<String>,
}

impl Operation for PutResourcePolicy {
    const NAME: &'static str = "PutResourcePolicy";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let arn = request.resource_arn.as_deref();
        let mut checks = Checks::new();
        let arn = checks.required_text("resourceARN", arn, RESOURCE_ARN);
        let policy = checks.required("policy", request.policy);
        checks.finish()?;
        if serde_json::from_str::<serde::de::IgnoredAny>(&policy).is_err() {
            return Err(ApiError::invalid_argument(
                "The policy is not a JSON document.",
            ));
        }
        resource::check_policy(core, arn)?;
        core.change_resource(arn, |resource| *resource.policy = Some(policy))?;
        Ok(Nothing {})
    }
}
