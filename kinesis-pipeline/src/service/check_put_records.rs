/// The outcome of a put that the service only checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutCheck {
    /// The records could be put: the stream is there, and the permission too.
    Allowed,
    /// The service does not check puts.
    Unknown,
}
