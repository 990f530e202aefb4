//! Calls that the library's service trait does not have, made with the SDK's client.

use std::error::Error;

use kinesis_pipeline::aws_sdk_kinesis::{
    Client,
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::{
    connect::Connected,
    failure::{self, Failure},
    hints::Trouble,
};

impl Connected {
    /// Returns the SDK's client of the stream's service. It retries calls that were throttled or did not arrive.
    pub(crate) fn client(&self) -> Client {
        let config = self.aws.client().config().to_builder();
        Client::from_conf(config.retry_config(RetryConfig::standard()).build())
    }

    /// Converts an error of the SDK, in the words of the library's errors.
    pub(crate) fn failed<E, R>(&self, operation: &str, error: &SdkError<E, R>) -> Failure
    where
        E: Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug + 'static,
    {
        let stream = self.id();
        let endpoint = self.service.endpoint();
        let told = match (error.code(), error.message()) {
            (Some(code), message) => format!("{code}: {}", message.unwrap_or("no words")),
            (None, _) => failure::line(error),
        };
        let told = format!("{operation} of stream `{stream}` at {endpoint} failed: {told}");
        let trouble = match error {
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => Some(Trouble::NoKinesis),
            _ if error.code() == Some(NOT_FOUND) => Some(Trouble::NotFound),
            _ => None,
        };
        CallFailed { told, trouble }.into()
    }
}

const NOT_FOUND: &str = "ResourceNotFoundException";

/// A call of the SDK's client that failed.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub(crate) struct CallFailed {
    told: String,
    pub(crate) trouble: Option<Trouble>,
}
