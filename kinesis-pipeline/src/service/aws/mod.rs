//! The service as AWS offers it, through the official SDK.
