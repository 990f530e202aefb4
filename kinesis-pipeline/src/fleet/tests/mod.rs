#[cfg(feature = "local-server")]
mod store;
