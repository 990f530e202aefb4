use std::{error::Error, time::Duration};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::shard::ShardId;

/// Why a lease table cannot be read or written: the `source()` of the
/// [`CheckpointError`](crate::CheckpointError) of [`DynamoDbCheckpoints`](crate::DynamoDbCheckpoints).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// A worker of a fleet holds the lease and is alive: it wrote to the row.
    #[error(
        "the worker `{owner}` holds the lease of {shard}: stop its fleet, or read under another application name"
    )]
    Held {
        /// The shard.
        shard: ShardId,
        /// The worker's id.
        owner: String,
    },
    /// Somebody else wrote the shard's row since the checkpoints were loaded.
    #[error(
        "somebody else saved a checkpoint of {shard} in the meantime: open one reader at a time under an \
         application name"
    )]
    Overtaken {
        /// The shard.
        shard: ShardId,
    },
    /// The table is for one application and stream, and holds those of others.
    #[error(
        "the table holds the checkpoints of `{app}` in the stream `{stream}`: use an application name for each \
         stream, or a table name"
    )]
    OtherStream {
        /// The application whose checkpoints the table holds.
        app: String,
        /// The stream whose checkpoints the table holds.
        stream: String,
    },
    /// The table is a fleet's that reads several streams.
    #[error("the lease `{lease_key}` is one of KCL's for many streams, which are not supported")]
    ManyStreams {
        /// A key of the table.
        lease_key: String,
    },
    /// There is no table, and it is not to be created.
    #[error(
        "there is no such table: create it with the key `leaseKey` (S), or allow it to be created"
    )]
    MissingTable,
    /// The table has another key than a lease table.
    #[error("the table is no lease table: its key is {key}, and not `leaseKey` (S)")]
    NotALeaseTable {
        /// The attributes of its key, with their types.
        key: String,
    },
    /// The table is being created or deleted, for longer than a call waits.
    #[error("the table is not active after {waited:?}: its status is {status}")]
    NotActive {
        /// What DynamoDB says of it.
        status: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The table has more rows than any stream has shards.
    #[error("the table has more than {rows_max} rows: it is no lease table of one stream")]
    TooLarge {
        /// How many rows are read.
        rows_max: u64,
    },
    /// A row is not as KCL or this library write it.
    #[error("the row `{lease_key}` has no readable `{attribute}`: mend or delete it")]
    Malformed {
        /// The row's key.
        lease_key: String,
        /// The attribute that is absent or has another form.
        attribute: &'static str,
    },
    /// DynamoDB refused a call or cannot be reached, also after the client's retries.
    #[error("{operation} failed: {message}")]
    Service {
        /// The call.
        operation: &'static str,
        /// The code of DynamoDB's answer, such as `AccessDeniedException`, if it gave one.
        code: Option<String>,
        /// What it said, or how far the call came.
        message: String,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The code of an answer that there is no such table.
pub(super) const NOT_FOUND: &str = "ResourceNotFoundException";

/// Codes of answers that stay the same however often one asks.
const FINAL_CODES: [&str; 6] = [
    "AccessDeniedException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
    "ValidationException",
];

impl LeaseError {
    /// Whether the same call may succeed later without a change on your side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Service { code, .. } => code
                .as_deref()
                .is_none_or(|code| !FINAL_CODES.contains(&code)),
            Self::NotActive { .. } => true,
            _ => false,
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
        let message = match (&error, &code) {
            (_, Some(code)) => match error.message() {
                Some(message) => format!("{code}: {message}"),
                None => code.clone(),
            },
            (SdkError::ConstructionFailure(_), _) => "the request cannot be made".to_owned(),
            (SdkError::DispatchFailure(_), _) => "DynamoDB cannot be reached".to_owned(),
            (SdkError::TimeoutError(_), _) => "no complete answer came in time".to_owned(),
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
