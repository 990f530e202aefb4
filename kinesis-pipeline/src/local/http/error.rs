/// Why the embedded Kinesis could not be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// Nothing can listen on the address: it is in use, not of this machine, or not an address.
    #[error("cannot listen on {address}: choose another address or stop what uses it")]
    Listen {
        /// The address that was asked for.
        address: String,
        /// The reason, from the system.
        source: std::io::Error,
    },
    /// No certificate could be made for TLS.
    #[cfg(feature = "local-tls")]
    #[error("cannot make a certificate for TLS")]
    Certificate {
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The embedded DynamoDB did not start.
    #[error("the embedded DynamoDB cannot start")]
    Database {
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
