//! `#[derive(KinesisRecord)]` for the crate `kinesis-pipeline`.

use proc_macro::TokenStream;

/// Implements `KinesisRecord`.
#[proc_macro_derive(KinesisRecord, attributes(kinesis))]
pub fn derive_kinesis_record(_: TokenStream) -> TokenStream {
    TokenStream::new()
}
