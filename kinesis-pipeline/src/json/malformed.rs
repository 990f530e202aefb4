/// The error for text that is not JSON, or not in the requested form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {offset} of the text")]
pub(crate) struct Malformed {
    /// The offset of the problem, in bytes.
    pub(crate) offset: usize,
    /// The problem. It never contains parts of the text.
    pub(crate) what: &'static str,
}
