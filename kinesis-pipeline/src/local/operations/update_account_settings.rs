//! `UpdateAccountSettings`: begins or ends the account's billing commitment, which this Kinesis only remembers.

use serde::Deserialize;

use super::{
    Operation,
    commitment::{Input, Response},
};
use crate::local::{api_error::ApiError, core::Core, validate::Checks};

pub(in crate::local) struct UpdateAccountSettings;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    pub(super) minimum_throughput_billing_commitment: Option<Input>,
}

impl Operation for UpdateAccountSettings {
    const NAME: &'static str = "UpdateAccountSettings";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let input = request.minimum_throughput_billing_commitment;
        let status = input.and_then(|input| input.status);
        let member = "minimumThroughputBillingCommitment.status";
        let mut checks = Checks::new();
        checks.one_of(member, status.as_deref(), &["ENABLED", "DISABLED"]);
        let status = checks.required(member, status);
        checks.finish()?;
        core.set_commitment(status == "ENABLED");
        Ok(Response::of(core.commitment()))
    }
}
