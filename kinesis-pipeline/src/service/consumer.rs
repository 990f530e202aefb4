use std::{fmt, time::SystemTime};

/// A consumer that is registered with a stream for enhanced fan-out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumer {
    /// The consumer's name.
    pub name: String,
    /// The consumer's ARN, by which [`SubscribeToShard`](super::SubscribeToShard) names it. A consumer that is registered
    /// anew under an old name has another ARN.
    pub arn: String,
    /// Whether it can subscribe.
    pub status: ConsumerStatus,
    /// The time of its registration.
    pub created_at: SystemTime,
}

impl Consumer {
    /// Makes a consumer.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        arn: impl Into<String>,
        status: ConsumerStatus,
        created_at: SystemTime,
    ) -> Self {
        Self {
            name: name.into(),
            arn: arn.into(),
            status,
            created_at,
        }
    }
}

/// Whether a consumer can subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsumerStatus {
    /// Being created: it cannot subscribe yet.
    Creating,
    /// Ready to subscribe.
    Active,
    /// Being removed: it cannot subscribe any more.
    Deleting,
}

impl fmt::Display for ConsumerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        })
    }
}
