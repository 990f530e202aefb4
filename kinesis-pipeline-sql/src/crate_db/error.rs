use std::{sync::Arc, time::Duration};

use kinesis_pipeline::BoxError;

/// The most bytes of a server's message that are kept.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// The failure of a call. CrateDB did not carry it out, or its outcome is not known. Cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrateDbError {
    /// No answer came: the connection failed, or broke off. The statement may have been carried out.
    #[error(
        "CrateDB at {node} cannot be reached: look whether it runs and whether the URL is right"
    )]
    #[non_exhaustive]
    Unreachable {
        /// The node's URL.
        node: String,
        /// The reason.
        source: Arc<BoxError>,
    },
    /// No answer came in time. The statement may have been carried out.
    #[error("CrateDB at {node} did not answer within {} s", after.as_secs_f64())]
    #[non_exhaustive]
    TimedOut {
        /// The node's URL.
        node: String,
        /// The limit for a request.
        after: Duration,
    },
    /// The server, or a proxy in front of it, is overloaded or unavailable for now: 429, 502, 503 or 504.
    #[error("CrateDB has no room for now: HTTP status {status}")]
    #[non_exhaustive]
    Busy {
        /// The HTTP status.
        status: u16,
    },
    /// A row with this primary key is there already (4091).
    #[error("a row with this primary key is there already: {message}")]
    #[non_exhaustive]
    DuplicateKey {
        /// The server's message.
        message: String,
    },
    /// Another statement changed the row at the same time (4092).
    #[error("another statement changed the row at the same time: {message}")]
    #[non_exhaustive]
    VersionConflict {
        /// The server's message.
        message: String,
    },
    /// The table or its schema does not exist (4041, 4045).
    #[error("the table does not exist: create it, or let the sink do so: {message}")]
    #[non_exhaustive]
    UnknownTable {
        /// The server's message.
        message: String,
    },
    /// The column does not exist (4043).
    #[error("the column does not exist: {message}")]
    #[non_exhaustive]
    UnknownColumn {
        /// The server's message.
        message: String,
    },
    /// The user is not known, or lacks a right (401, 4010, 4011).
    #[error("the user is not known or lacks a right: {message}")]
    #[non_exhaustive]
    Unauthorized {
        /// The server's message.
        message: String,
    },
    /// The statement or a value was refused: the other codes from 4000 on.
    #[error("refused with code {code}: {message}")]
    #[non_exhaustive]
    Refused {
        /// CrateDB's error code.
        code: u32,
        /// The server's message.
        message: String,
    },
    /// The server failed: the codes from 5000 on.
    #[error("CrateDB failed with code {code}: {message}")]
    #[non_exhaustive]
    Server {
        /// CrateDB's error code.
        code: u32,
        /// The server's message.
        message: String,
    },
    /// The answer is not one of CrateDB's, or is longer than the limit.
    #[error("the answer with HTTP status {status} is none of CrateDB's: {reason}")]
    #[non_exhaustive]
    BadAnswer {
        /// The HTTP status.
        status: u16,
        /// The difference.
        reason: String,
    },
}

impl CrateDbError {
    /// Returns the error for a code of CrateDB.
    pub(super) fn of_code(code: u32, message: &str) -> Self {
        let message = message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned();
        match code {
            4091 => Self::DuplicateKey { message },
            4092 => Self::VersionConflict { message },
            4041 | 4045 => Self::UnknownTable { message },
            4043 => Self::UnknownColumn { message },
            4010 | 4011 => Self::Unauthorized { message },
            code if (4000..5000).contains(&code) || code >= 40_000 => {
                Self::Refused { code, message }
            }
            // A text above the index's limit is reported as a server failure.
            code if message.contains("immense term") => Self::Refused { code, message },
            code => Self::Server { code, message },
        }
    }

    /// Whether the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Busy { .. }
            | Self::VersionConflict { .. }
            | Self::Server { .. }
            | Self::BadAnswer { .. } => true,
            // 4031: the node is read-only for now.
            Self::Refused { code, .. } => *code == 4031,
            _ => false,
        }
    }

    /// Whether the statement may have been carried out although this error came.
    #[must_use]
    pub fn may_have_been_done(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Busy { .. }
                | Self::Server { .. }
                | Self::BadAnswer { .. }
        )
    }

    /// Whether a value of one row may be the reason why a whole statement was refused.
    pub(super) fn may_be_of_a_row(&self) -> bool {
        !self.is_retryable() && !self.is_of_the_table()
    }

    /// Whether the table or the user's rights must be corrected: no row is at fault.
    pub(super) fn is_of_the_table(&self) -> bool {
        matches!(self, Self::UnknownTable { .. } | Self::Unauthorized { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_kind() {
        let of = |code| CrateDbError::of_code(code, "words");
        assert!(matches!(of(4091), CrateDbError::DuplicateKey { .. }));
        assert!(matches!(of(4041), CrateDbError::UnknownTable { .. }));
        assert!(matches!(of(4043), CrateDbError::UnknownColumn { .. }));
        assert!(matches!(of(4003), CrateDbError::Refused { code: 4003, .. }));
        assert!(matches!(of(40_410), CrateDbError::Refused { .. }));
        assert!(of(5002).is_retryable() && of(4092).is_retryable() && of(4031).is_retryable());
        assert!(!of(4000).is_retryable() && !of(4091).is_retryable());
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let CrateDbError::Refused { message, .. } = CrateDbError::of_code(4000, &"ä".repeat(1_001))
        else {
            panic!("it is refused");
        };
        assert_eq!(message, "ä".repeat(500));
    }
}
