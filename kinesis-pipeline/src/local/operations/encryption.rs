//! The KMS key that records are said to be encrypted with.

use serde::Deserialize;

use super::Nothing;
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::stream::Change,
    validate::{Checks, KEY_ID},
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) encryption_type: Option<String>,
    pub(crate) key_id: Option<String>,
}

/// Gives a stream the key that `key_after` makes of the one that the request names.
pub(super) fn change(
    core: &Core,
    request: &Request,
    key_after: impl FnOnce(&str) -> Option<String>,
) -> Result<Nothing, ApiError> {
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
    state.key_id = key_after(key_id);
    let due_millis = core.due_millis(now_millis);
    stream.schedule(&mut state, Change::Update, due_millis, now_millis);
    Ok(Nothing {})
}
