//! `DecreaseStreamRetentionPeriod`: keeps records less long; those that are older are gone at once.

use super::{
    Nothing, Operation,
    retention::{self, Request, WrongWay},
};
use crate::local::{api_error::ApiError, core::Core};

pub(in crate::local) struct DecreaseStreamRetentionPeriod;

impl Operation for DecreaseStreamRetentionPeriod {
    const NAME: &'static str = "DecreaseStreamRetentionPeriod";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        retention::change(core, &request, |hours, before| {
            (hours > before).then_some(WrongWay {
                is: "longer",
                operation: "IncreaseRetentionPeriod",
            })
        })
    }
}
