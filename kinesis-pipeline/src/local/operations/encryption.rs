//! The KMS key that records are said to be encrypted with.

use serde::Deserialize;

use super::Nothing;
use crate::local::{
    api_error::ApiError, core::Core, state::stream::Change, stream_ref::StreamRef, validate::KEY_ID,
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) encryption_type: Option<String>,
    pub(in crate::local) key_id: Option<String>,
}

/// Gives a stream the key that `key_after` makes of the one that the request names.
pub(super) fn change(
    core: &Core,
    request: &Request,
    key_after: impl FnOnce(&str) -> Option<String>,
) -> Result<Nothing, ApiError> {
    let kind = request.encryption_type.as_deref();
    let mut checks = request.stream.checks();
    checks.one_of("encryptionType", kind, &["KMS", "NONE"]);
    checks.required("encryptionType", kind);
    let key_id = checks.required_text("keyId", request.key_id.as_deref(), KEY_ID);
    checks.finish()?;
    if kind != Some("KMS") {
        return Err(ApiError::invalid_argument("EncryptionType must be KMS."));
    }
    let (stream, now_millis) = core.named(&request.stream)?;
    let mut state = stream.write_active(now_millis)?;
    state.key_id = key_after(key_id);
    let due_millis = core.due_millis(now_millis);
    stream.schedule(&mut state, Change::Update, due_millis, now_millis);
    Ok(Nothing {})
}
