//! A consumer that is registered for one run.

use kinesis_pipeline::service::{DescribeStreamConsumer, ErrorClass};

use super::Raw;
use crate::{
    calls::{describe, repeated},
    connect::Connected,
    failure::Failure,
};

/// A consumer that the stream did not have before, so that the run that registers it must remove it.
#[derive(Debug)]
pub(super) struct Consumer(String);

impl Consumer {
    /// Returns the consumer of this name; `None` if the stream has it already.
    pub(super) async fn find(connected: &Connected, name: &str) -> Result<Option<Self>, Failure> {
        let service = &connected.service;
        let arn = describe(&**service, &connected.id()).await?.arn;
        let call = DescribeStreamConsumer::new(arn, name);
        match repeated(|| service.describe_stream_consumer(call.clone())).await {
            Ok(_) => Ok(None),
            Err(error) if error.class == ErrorClass::NotFound => Ok(Some(Self(name.to_owned()))),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    pub(super) async fn remove(self, stream: &Raw) -> Result<(), Failure> {
        Ok(stream.deregister_consumer(&self.0).await?)
    }
}
