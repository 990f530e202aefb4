use std::sync::Arc;

use crate::{
    service::{Kinesis, aws::ConnectOptions},
    stream::KinesisStream,
};

/// The default region, as in Triton.
const REGION_DEFAULT: &str = "us-east-1";

/// A stream of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedStream {
    /// The stream's real name, or its ARN.
    pub name: String,
    /// The field of untyped records with the partition key.
    pub partition_key: Option<String>,
    /// The region; `None` means that of the ARN, or `us-east-1`.
    pub region: Option<String>,
    /// The URL of the service, instead of the region's.
    pub endpoint_url: Option<String>,
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
}

impl NamedStream {
    /// Makes a stream with a name and no other settings.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            partition_key: None,
            region: None,
            endpoint_url: None,
            profile: None,
        }
    }

    /// Returns the connection settings of the stream.
    #[must_use]
    pub fn connect_options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new().region(self.region());
        if let Some(url) = &self.endpoint_url {
            options = options.endpoint_url(url);
        }
        match &self.profile {
            Some(profile) => options.profile(profile),
            None => options,
        }
    }

    /// Returns this stream on a service. Untyped records take their key from the configured field.
    #[must_use]
    pub fn on<R>(&self, service: Arc<dyn Kinesis>) -> KinesisStream<R> {
        let stream = KinesisStream::with_service(service, self.name.as_str());
        match &self.partition_key {
            Some(field) => stream.with_partition_key_field(field.as_str()),
            None => stream,
        }
    }

    fn region(&self) -> &str {
        let of_arn = || {
            let mut parts = self.name.strip_prefix("arn:")?.split(':');
            parts.nth(2).filter(|region| !region.is_empty())
        };
        self.region
            .as_deref()
            .or_else(of_arn)
            .unwrap_or(REGION_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_the_configured_one_else_the_arns_else_tritons() {
        let mut stream = NamedStream::new("s");
        assert_eq!(stream.region(), "us-east-1");
        stream.name = "arn:aws:kinesis:eu-west-1:000000000000:stream/s".to_owned();
        assert_eq!(stream.region(), "eu-west-1");
        stream.region = Some("us-west-1".to_owned());
        assert_eq!(stream.region(), "us-west-1");
    }
}
