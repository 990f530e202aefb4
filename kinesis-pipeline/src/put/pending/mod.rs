pub(super) mod flush;
pub(super) mod oneshot;
pub(super) mod pending;
pub(super) mod receipt;
pub(super) mod slab;
