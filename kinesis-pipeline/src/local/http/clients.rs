//! Ready clients of the official SDK.

use aws_sdk_kinesis::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};

use super::LocalServer;

/// The region that clients of the embedded Kinesis name; its ARNs name it too.
const REGION: &str = "us-east-1";

impl LocalServer {
    /// A client of the official SDK that talks to this server, with made-up credentials.
    #[must_use]
    pub fn kinesis_client(&self) -> Client {
        Client::from_conf(self.kinesis_config().build())
    }

    /// The settings of [`kinesis_client`](Self::kinesis_client), for a client with further settings of yours.
    #[must_use]
    pub fn kinesis_config(&self) -> aws_sdk_kinesis::config::Builder {
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(REGION))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .endpoint_url(self.endpoint_url())
    }
}
