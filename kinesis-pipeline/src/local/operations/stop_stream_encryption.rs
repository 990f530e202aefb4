//! `StopStreamEncryption`: records are no longer said to be encrypted.

use super::{
    Nothing, Operation,
    encryption::{self, Request},
};
use crate::local::{api_error::ApiError, core::Core};

pub(in crate::local) struct StopStreamEncryption;

impl Operation for StopStreamEncryption {
    const NAME: &'static str = "StopStreamEncryption";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        encryption::change(core, &request, |_| None)
    }
}
