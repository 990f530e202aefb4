//! `DescribeAccountSettings`: the account's billing commitment, which this Kinesis only remembers.

use serde::Deserialize;

use super::{Operation, commitment::Response};
use crate::local::{api_error::ApiError, core::Core};

pub(in crate::local) struct DescribeAccountSettings;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {}

impl Operation for DescribeAccountSettings {
    const NAME: &'static str = "DescribeAccountSettings";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let Request {} = request;
        Ok(Response::of(core.commitment()))
    }
}
