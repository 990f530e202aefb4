//! One call on the wire.

use serde::{Serialize, de::DeserializeOwned};

use crate::local::api_error::ApiError;

/// One call on the wire: how its request is read and its answer written.
pub(in crate::local) trait Wire: Send {
    /// A written answer.
    type Answer: Send;

    /// Reads the request's members; `SerializationException` if it cannot.
    fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError>;

    /// Writes the answer's members.
    fn write<T: Serialize>(&self, response: &T) -> Result<Self::Answer, ApiError>;
}
