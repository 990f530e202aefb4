//! `StartStreamEncryption`: records are said to be encrypted with a KMS key.
//!
//! Left out: nothing is encrypted, and no key is asked for.

use serde::Deserialize;

use super::{Nothing, Operation};
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::stream::Change,
    validate::{Checks, KEY_ID},
};

pub(crate) struct StartStreamEncryption;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) encryption_type: Option<String>,
    pub(crate) key_id: Option<String>,
}

impl Operation for StartStreamEncryption {
    const NAME: &'static str = "StartStreamEncryption";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let (name, arn) = (
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        );
        let kind = request.encryption_type.as_deref();
        let mut checks = Checks::new();
        checks.stream(name, arn);
        checks.one_of("encryptionType", kind, &["KMS", "NONE"]);
        checks.required("encryptionType", kind);
        let key_id = checks.required_text("keyId", request.key_id.as_deref(), KEY_ID);
        checks.finish()?;
        if kind != Some("KMS") {
            return Err(ApiError::invalid_argument("EncryptionType must be KMS."));
        }
        let now_millis = core.now_millis();
        let stream = core.stream(name, arn, now_millis)?;
        let mut state = stream.write_active(now_millis)?;
        state.key_id = Some(key_id.to_owned());
        stream.schedule(
            &mut state,
            Change::Update,
            core.due_millis(now_millis),
            now_millis,
        );
        Ok(Nothing {})
    }
}
