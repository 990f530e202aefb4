/// Text that is not JSON, or not of the shape that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {offset} of the text")]
pub(crate) struct Malformed {
    /// How many bytes went before.
    pub(crate) offset: usize,
    /// What is wrong. It holds nothing of the text.
    pub(crate) what: &'static str,
}
