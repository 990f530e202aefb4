use std::{sync::Arc, time::Duration};

use crate::{
    service::{EntryFailure, ErrorClass, ServiceError},
    shard::ShardId,
};

/// The failure of one attempt to store a record.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The request failed as a whole.
    #[error(transparent)]
    Request(Arc<ServiceError>),
    /// The request succeeded, but this record of it failed.
    #[error(transparent)]
    Record(Arc<EntryFailure>),
    /// No answer came in time.
    #[error("no answer came within {} ms", after.as_millis())]
    #[non_exhaustive]
    TimedOut {
        /// The time limit of the request.
        after: Duration,
    },
    /// The answer has another number of results than the request had records, so that no result can be matched.
    #[error("the service answered {answered} results to {sent} records")]
    #[non_exhaustive]
    WrongAnswer {
        /// The number of records that were sent.
        sent: usize,
        /// The number of results that came back.
        answered: usize,
    },
    /// The record was stored, as part of an [aggregate](crate::guide::words), in a shard that is not known to take its hash key. Readers
    /// that check this, as Amazon's Kinesis Client Library (KCL) does, drop it there.
    #[error(
        "shard {shard_id} stored the record, but is not known to take its hash key: readers may drop it there"
    )]
    #[non_exhaustive]
    WrongShard {
        /// The shard that stored it.
        shard_id: ShardId,
    },
}

impl AttemptError {
    /// Returns the class of the failure.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Request(error) => error.class,
            Self::Record(failure) => failure.class,
            Self::TimedOut { .. } | Self::WrongShard { .. } => ErrorClass::Transient,
            Self::WrongAnswer { .. } => ErrorClass::Other,
        }
    }

    /// Returns the service's error code, if it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Request(error) => error.code.as_deref(),
            Self::Record(failure) => Some(&failure.code),
            Self::TimedOut { .. } | Self::WrongAnswer { .. } | Self::WrongShard { .. } => None,
        }
    }

    /// Whether this attempt may have stored the record all the same.
    #[must_use]
    pub fn may_have_been_stored(&self) -> bool {
        match self {
            Self::Request(error) => error.may_have_been_done,
            Self::Record(_) => false,
            Self::TimedOut { .. } | Self::WrongAnswer { .. } | Self::WrongShard { .. } => true,
        }
    }

    pub(super) fn is_of_firehose(&self) -> bool {
        matches!(self, Self::Request(error) if error.operation == "PutRecordBatch")
    }

    /// Returns the outage that kept the request from the service, if it is known that it was not carried out.
    pub(in crate::put) fn outage(&self) -> Option<Outage> {
        let Self::Request(error) = self else {
            return None;
        };
        if error.awaits_credentials() {
            return Some(Outage::Credentials);
        }
        let unreached = error.code.is_none()
            && !error.may_have_been_done
            && error.class == ErrorClass::Transient;
        unreached.then_some(Outage::Unreachable)
    }
}

/// An outage that keeps every request from the service, whatever it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::put) enum Outage {
    /// No connection can be made.
    Unreachable,
    /// No request can be signed, or the session of the credentials has expired.
    Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_keeps_every_request_from_the_service_is_an_outage() {
        let unanswered =
            || ServiceError::unanswered("PutRecords", "http://x", ErrorClass::Transient, "broken");
        let mut lost = unanswered();
        lost.may_have_been_done = true;
        let answered = |code| ServiceError::answered("PutRecords", "http://x", code, "");
        let denied =
            ServiceError::unanswered("PutRecords", "http://x", ErrorClass::AccessDenied, "none");
        for (error, outage) in [
            (unanswered(), Some(Outage::Unreachable)),
            (lost, None),
            (denied, None),
            (answered("InternalFailure"), None),
            (answered("ExpiredTokenException"), Some(Outage::Credentials)),
            (
                ServiceError::unsigned("PutRecords", "http://x", "busy"),
                Some(Outage::Credentials),
            ),
        ] {
            let text = error.to_string();
            assert_eq!(
                AttemptError::Request(Arc::new(error)).outage(),
                outage,
                "{text}"
            );
        }
    }
}
