//! `UpdateMaxRecordSize`: raises or lowers the largest record that a stream takes.

use serde::Deserialize;

use super::{Nothing, Operation};
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::stream::{Change, RECORD_KIB_DEFAULT},
    validate::{Checks, STREAM_ARN},
};

/// The bounds of `MaxRecordSizeInKiB`.
pub(super) const KIB_MIN: i64 = 1_024;
pub(super) const KIB_MAX: i64 = 10_240;

pub(in crate::local) struct UpdateMaxRecordSize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: Option<String>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub(in crate::local) max_record_size_in_kib: Option<i64>,
}

impl Operation for UpdateMaxRecordSize {
    const NAME: &'static str = "UpdateMaxRecordSize";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let arn = request.stream_arn.as_deref();
        let kib = request.max_record_size_in_kib;
        let mut checks = Checks::new();
        checks.required_text("streamARN", arn, STREAM_ARN);
        checks.number("maxRecordSizeInKiB", kib, KIB_MIN, KIB_MAX);
        let kib = checks.required("maxRecordSizeInKiB", kib);
        checks.finish()?;
        let now_millis = core.now_millis();
        let stream = core.stream(None, arn, now_millis)?;
        let mut state = stream.write_active(now_millis)?;
        state.record_kib_max = u32::try_from(kib).unwrap_or(RECORD_KIB_DEFAULT);
        stream.schedule(
            &mut state,
            Change::Update,
            core.due_millis(now_millis),
            now_millis,
        );
        Ok(Nothing {})
    }
}
