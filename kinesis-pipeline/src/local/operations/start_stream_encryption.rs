//! `StartStreamEncryption`: records are said to be encrypted with a KMS key.
//!
//! Left out: nothing is encrypted, and no key is asked for.

use super::{
    Nothing, Operation,
    encryption::{self, Request},
};
use crate::local::{api_error::ApiError, core::Core};

pub(in crate::local) struct StartStreamEncryption;

impl Operation for StartStreamEncryption {
    const NAME: &'static str = "StartStreamEncryption";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        encryption::change(core, &request, |key_id| Some(key_id.to_owned()))
    }
}
