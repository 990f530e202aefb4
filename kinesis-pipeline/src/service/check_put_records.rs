/// The outcome of a put that the service only checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutCheck {
    /// The records could be put: the stream exists, and the permission is there.
    Allowed,
    /// The service does not check puts.
    Unknown,
}
