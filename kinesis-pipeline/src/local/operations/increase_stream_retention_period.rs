//! `IncreaseStreamRetentionPeriod`: keeps records longer.

use super::{
    Nothing, Operation,
    retention::{self, Request, WrongWay},
};
use crate::local::{api_error::ApiError, core::Core};

pub(in crate::local) struct IncreaseStreamRetentionPeriod;

impl Operation for IncreaseStreamRetentionPeriod {
    const NAME: &'static str = "IncreaseStreamRetentionPeriod";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        retention::change(core, &request, |hours, before| {
            (hours < before).then_some(WrongWay {
                is: "shorter",
                operation: "DecreaseRetentionPeriod",
            })
        })
    }
}
