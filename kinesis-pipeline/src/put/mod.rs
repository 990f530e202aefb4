//! Records into a stream.

/// The put pipeline that all clones of one stream handle share.
#[derive(Clone, Default)]
pub(crate) struct SharedPut {}
