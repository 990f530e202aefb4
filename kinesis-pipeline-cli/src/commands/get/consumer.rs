//! A consumer that is registered for one run.

use kinesis_pipeline::service::{DescribeStreamConsumer, ErrorClass};

use super::Raw;
use crate::{
    calls::{describe, repeated},
    connect::Connected,
    failure::Failure,
};

/// A consumer that the stream did not have: whoever registers it removes it.
#[derive(Debug)]
pub(super) struct Consumer(String);

impl Consumer {
    /// The consumer of this name, unless the stream has it already.
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
