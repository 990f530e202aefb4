//! Ready clients of the official SDK.

use aws_sdk_kinesis::{
    Client,
    config::{BehaviorVersion, Builder, Credentials, Region, SharedCredentialsProvider},
};
use aws_types::SdkConfig;

use super::{LocalDynamoDb, LocalServer};

impl LocalServer {
    /// Returns a client of the official SDK that talks to this server, with made-up credentials.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use kinesis_pipeline::local::LocalKinesis;
    ///
    /// let server = LocalKinesis::start().await?.serve("127.0.0.1:0").await?;
    /// let streams = server.kinesis_client().list_streams().send().await?;
    /// assert!(streams.stream_names.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn kinesis_client(&self) -> Client {
        Client::from_conf(self.kinesis_config().build())
    }

    /// Returns the settings of [`kinesis_client`](Self::kinesis_client), for a client with further settings of yours.
    #[must_use]
    pub fn kinesis_config(&self) -> Builder {
        Builder::from(&self.sdk_config())
    }

    /// Returns the settings that every client of the official SDK takes: region, made-up credentials, and this server's
    /// URL as the endpoint.
    ///
    /// It is the `SdkConfig` of the crates `aws-config` and `aws-types`.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(self.region.clone(), self.endpoint_url())
    }
}

impl LocalDynamoDb {
    /// Returns the settings of a client of the official SDK that talks to this database, with made-up credentials: pass
    /// them to `aws_sdk_dynamodb::Client::new`.
    ///
    /// It is the `SdkConfig` of the crates `aws-config` and `aws-types`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use kinesis_pipeline::local::LocalKinesis;
    ///
    /// let database = LocalKinesis::start().await?.serve_dynamodb("127.0.0.1:0").await?;
    /// let config = database.sdk_config();
    /// assert_eq!(config.endpoint_url(), Some(&*database.endpoint_url()));
    /// // let leases = aws_sdk_dynamodb::Client::new(&config);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(self.region.clone(), self.endpoint_url())
    }
}

fn sdk_config(region: String, endpoint_url: String) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint_url)
        .build()
}
