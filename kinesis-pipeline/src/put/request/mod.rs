pub(super) mod aggregate;
pub(super) mod draft;
pub(super) mod entry;
pub(super) mod request;
pub(super) mod send;
