/// Text that is not JSON, or not of the shape that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {offset} of the text")]
pub(crate) struct Malformed {
    /// The offset of the problem, in bytes.
    pub(crate) offset: usize,
    /// The problem. It holds nothing of the text.
    pub(crate) what: &'static str,
}
