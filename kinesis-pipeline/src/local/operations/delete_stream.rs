//! DeleteStream: removes a stream with all its records.

use serde::Deserialize;

use super::{Nothing, Operation};
use crate::local::{api_error::ApiError, core::Core};

pub(crate) struct DeleteStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) enforce_consumer_deletion: Option<bool>,
}

impl Operation for DeleteStream {
    const NAME: &'static str = "DeleteStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let _ = (core, request);
        Ok(Nothing {})
    }
}
