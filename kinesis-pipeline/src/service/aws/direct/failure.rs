use aws_smithy_runtime_api::http::Response;
use aws_smithy_schema::{protocol::SharedClientProtocol, serde::SerdeError};
use aws_smithy_types::{
    config_bag::ConfigBag,
    error::metadata::{Builder, ErrorMetadata},
};

use super::super::{
    cbor_error::error_in_json,
    dialect::{Dialect, Form},
};

/// The code and message of a failed call, as the SDK reads them.
pub(in crate::service::aws) struct Failure {
    pub(in crate::service::aws) metadata: Result<ErrorMetadata, SerdeError>,
    /// Whether the call was refused for its form, see [`Dialect::failed_otherwise`].
    pub(in crate::service::aws) is_refused: bool,
}

impl Failure {
    /// Reads the answer to a call in this form.
    pub(in crate::service::aws) fn read(
        sdk: &SharedClientProtocol,
        (dialect, form): (&Dialect, Form),
        response: &Response,
        config: &ConfigBag,
    ) -> Self {
        if let Some(response) = error_in_json(response) {
            dialect.answered_in_cbor();
            let metadata = sdk.parse_error_metadata(&response, config);
            return Self {
                metadata: metadata.map(Builder::build),
                is_refused: false,
            };
        }
        let metadata = sdk.parse_error_metadata(response, config);
        let metadata = metadata.map(Builder::build);
        let code = metadata.as_ref().ok().and_then(ErrorMetadata::code);
        let status = response.status().as_u16();
        let is_refused = form == Form::Cbor && dialect.failed_otherwise(status, code);
        Self {
            metadata,
            is_refused,
        }
    }
}
