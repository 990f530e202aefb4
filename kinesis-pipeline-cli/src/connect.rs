use std::sync::Arc;

use kinesis_pipeline::{
    DynamoDbLeases, KinesisStream, NamedStream, StreamConfig,
    service::{
        Kinesis, StreamId,
        aws::{AwsKinesis, ConnectOptions},
    },
};

use crate::{cli::Global, failure::Failure, progress_bar::tell};

/// A stream as the configuration file or the command line names it, and the service that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    pub(crate) named: NamedStream,
    pub(crate) service: Arc<dyn Kinesis>,
    pub(crate) aws: AwsKinesis,
}

impl Connected {
    pub(crate) fn id(&self) -> StreamId {
        StreamId::from(&self.named.name)
    }

    pub(crate) fn stream<R>(&self) -> KinesisStream<R> {
        KinesisStream::with_service(self.service.clone(), &self.named.name)
    }
}

impl Global {
    /// Connects to the service alone.
    pub(crate) async fn connect(&self) -> Result<AwsKinesis, Failure> {
        Ok(self.over(ConnectOptions::new()).connect().await?)
    }

    /// Connects to the service of a stream.
    pub(crate) async fn connect_to(&self, stream: &str) -> Result<Connected, Failure> {
        let named = self.configured(stream)?;
        let (named, options) = match named {
            Some(named) => {
                let options = named.connect_options();
                (named, options)
            }
            None => (
                NamedStream::new(stream),
                ConnectOptions::for_stream(&StreamId::from(stream))?,
            ),
        };
        let aws = self.over(options).connect().await?;
        let connected = Connected {
            named,
            service: Arc::new(aws.clone()),
            aws,
        };
        self.used.add(connected.clone());
        if self.verbose > 0 {
            let (stream, endpoint) = (connected.id(), connected.service.endpoint());
            tell(&format!("stream `{stream}` at {endpoint}"));
        }
        Ok(connected)
    }

    /// Connects to the leases in DynamoDB. `--endpoint-url` is that of Kinesis: DynamoDB's comes from
    /// `AWS_ENDPOINT_URL_DYNAMODB`, as in every AWS tool.
    pub(crate) async fn connect_leases(&self) -> Result<DynamoDbLeases, Failure> {
        let mut options = ConnectOptions::new();
        if let Some(region) = &self.region {
            options = options.region(region);
        }
        if let Some(profile) = &self.profile {
            options = options.profile(profile);
        }
        Ok(DynamoDbLeases::connect_with(options).await?)
    }

    /// Returns the configuration of a stream; `None` if the file does not have the name, which is then the stream's
    /// own.
    fn configured(&self, stream: &str) -> Result<Option<NamedStream>, Failure> {
        let Some(file) = &self.config else {
            return Ok(None);
        };
        let config = StreamConfig::load(file)?;
        let is_configured = config.names().any(|name| name == stream);
        Ok(match is_configured.then(|| config.named(stream)) {
            Some(named) => Some(named?.clone()),
            None => None,
        })
    }

    /// Applies the options of the command line, which take precedence over all others.
    fn over(&self, mut options: ConnectOptions) -> ConnectOptions {
        if let Some(region) = &self.region {
            options = options.region(region);
        }
        if let Some(url) = &self.endpoint_url {
            options = options.endpoint_url(url);
        }
        match &self.profile {
            Some(profile) => options.profile(profile),
            None => options,
        }
    }
}
