//! Fresh identifiers.

use uuid::{Builder, Uuid};

/// A type that `#[kinesis(uuid)]` can fill.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold a UUID",
    label = "`uuid` fills a `Uuid`, a `String` or an `Option` of these"
)]
pub trait FromUuid {
    /// Returns the value with this UUID.
    fn from_uuid(uuid: Uuid) -> Self;
}

impl FromUuid for Uuid {
    fn from_uuid(uuid: Uuid) -> Self {
        uuid
    }
}

impl FromUuid for String {
    fn from_uuid(uuid: Uuid) -> Self {
        uuid.to_string()
    }
}

impl<T: FromUuid> FromUuid for Option<T> {
    fn from_uuid(uuid: Uuid) -> Self {
        Some(T::from_uuid(uuid))
    }
}

/// Returns a random UUID of version 4, without a call to the system.
pub(super) fn fresh() -> Uuid {
    Builder::from_random_bytes(fastrand::u128(..).to_le_bytes()).into_uuid()
}
