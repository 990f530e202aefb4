//! Ready clients of the official SDK.

use aws_sdk_kinesis::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};

use super::LocalServer;

impl LocalServer {
    /// A client of the official SDK that talks to this server, with made-up credentials.
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

    /// The settings of [`kinesis_client`](Self::kinesis_client), for a client with further settings of yours.
    #[must_use]
    pub fn kinesis_config(&self) -> aws_sdk_kinesis::config::Builder {
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(self.endpoint_url())
    }
}
