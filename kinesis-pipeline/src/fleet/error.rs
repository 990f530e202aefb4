use std::{error::Error, time::Duration};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::{
    service::{ErrorClass, aws::credentials::Credentials, is_expired_session},
    shard::ShardId,
};

/// An error of a lease table. It is the `source()` of the [`CheckpointError`](crate::CheckpointError) of a
/// [`DynamoDbCheckpoints`](crate::DynamoDbCheckpoints).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// A worker of a fleet holds the lease and is alive: it wrote to the row.
    #[error(
        "the worker `{owner}` holds the lease of {shard}: stop its fleet, or read under another application name"
    )]
    #[non_exhaustive]
    Held {
        /// The shard.
        shard: ShardId,
        /// The worker's id.
        owner: String,
    },
    /// Another program wrote the shard's row since the checkpoints were loaded.
    #[error(
        "somebody else saved a checkpoint of {shard} in the meantime: open one reader at a time under an \
         application name"
    )]
    #[non_exhaustive]
    Overtaken {
        /// The shard.
        shard: ShardId,
    },
    /// The table has the checkpoints of another application or stream. A table is for one of each.
    #[error(
        "the table holds the checkpoints of `{app}` in the stream `{stream}`: use an application name for each \
         stream, or a table name"
    )]
    #[non_exhaustive]
    OtherStream {
        /// The application whose checkpoints the table holds.
        app: String,
        /// The stream whose checkpoints the table holds.
        stream: String,
    },
    /// The table is that of a fleet of several streams. A reader of one stream cannot keep its checkpoints there.
    #[error(
        "the lease `{lease_key}` is one of a fleet of several streams: read under another application name, or read with \
         a worker of these streams"
    )]
    #[non_exhaustive]
    ManyStreams {
        /// A key of the table.
        lease_key: String,
    },
    /// The table does not exist, and the store may not create it.
    #[error(
        "there is no such table: create it with the key `leaseKey` (S), or allow it to be created"
    )]
    MissingTable,
    /// The name is not allowed for a table. By default it is the application's name.
    #[error(
        "`{name}` cannot be the name of a DynamoDB table: 3 to 255 letters, digits, `_`, `-` or `.`"
    )]
    #[non_exhaustive]
    InvalidTableName {
        /// The name.
        name: String,
    },
    /// The table has another key than a lease table.
    #[error("the table is no lease table: its key is {key}, and not `leaseKey` (S)")]
    #[non_exhaustive]
    NotALeaseTable {
        /// The attributes of the table's key, with their types.
        key: String,
    },
    /// The table was still being created or deleted when the longest wait had passed.
    #[error("the table is not active after {waited:?}: its status is {status}")]
    #[non_exhaustive]
    NotActive {
        /// The status of the table.
        status: String,
        /// The time that the call waited.
        waited: Duration,
    },
    /// The table has more rows than any stream has shards.
    #[error("the table has more than {rows_max} rows: it is no lease table of one stream")]
    #[non_exhaustive]
    TooLarge {
        /// The limit of rows that are read.
        rows_max: u64,
    },
    /// A row is in a form that neither KCL nor this library writes.
    #[error("the row `{lease_key}` has no readable `{attribute}`: mend or delete it")]
    #[non_exhaustive]
    Malformed {
        /// The row's key.
        lease_key: String,
        /// The attribute that is absent or malformed.
        attribute: &'static str,
    },
    /// DynamoDB refused a call or cannot be reached, also after the client's retries.
    #[error("{operation} failed: {message}")]
    #[non_exhaustive]
    Service {
        /// The call.
        operation: &'static str,
        /// The code of DynamoDB's answer, such as `AccessDeniedException`, if it gave one.
        code: Option<String>,
        /// DynamoDB's message, or a text on how far the call came.
        message: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// DynamoDB's error code for a table that does not exist.
pub(super) const NOT_FOUND: &str = "ResourceNotFoundException";

impl LeaseError {
    /// Whether the same call may succeed later without a change on your side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Service { code, source, .. } => match code {
                Some(code) => !is_final(ErrorClass::of_code(code)),
                None => Credentials::of(&**source).is_none_or(Credentials::may_pass),
            },
            Self::NotActive { .. } => true,
            _ => false,
        }
    }

    /// Whether a call failed for want of credentials, for now: their source failed, or the session has expired.
    pub(super) fn awaits_credentials(&self) -> bool {
        let Self::Service { code, source, .. } = self else {
            return false;
        };
        match code {
            Some(code) => is_expired_session(code),
            None => Credentials::of(&**source).is_some_and(Credentials::may_pass),
        }
    }

    /// Whether a call found no table.
    pub(super) fn says_not_found(&self) -> bool {
        matches!(self, Self::Service { code: Some(code), .. } if code == NOT_FOUND)
    }

    #[cold]
    pub(super) fn of_call<E>(operation: &'static str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let credentials = Credentials::of(&error);
        let message = match (&error, &code, credentials) {
            (_, Some(code), _) => match error.message() {
                Some(message) => format!("{code}: {message}"),
                None => code.clone(),
            },
            (_, None, Some(credentials)) => credentials.to_string(),
            (SdkError::ConstructionFailure(_), ..) => "the request cannot be made".to_owned(),
            (SdkError::DispatchFailure(_), ..) => "DynamoDB cannot be reached".to_owned(),
            (SdkError::TimeoutError(_), ..) => "no complete answer came in time".to_owned(),
            _ => "the answer is not one of DynamoDB".to_owned(),
        };
        Self::Service {
            operation,
            code,
            message,
            source: error.into_source().unwrap_or_else(Into::into),
        }
    }
}

/// Whether an error of this class is permanent.
fn is_final(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::AccessDenied | ErrorClass::Invalid)
}
