//! `#[derive(KinesisRecord)]` for the crate [`kinesis-pipeline`](https://docs.rs/kinesis-pipeline).
//!
//! Depend on `kinesis-pipeline`, which exports the macro: its documentation has the reference of all settings.
//!
//! ```text
//!   attributes ── parse ──> Input ── check ──> Record ── expand ──> impl KinesisRecord
//!                   └─────────────────┴── Mistakes: all of one type, reported at once
//! ```

mod check;
mod expand;
mod generics;
mod input;
mod mistakes;
mod names;
mod parse;
mod record;
mod serde;
mod value;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use mistakes::Mistakes;

/// Implements `KinesisRecord`: see the reference in `kinesis_pipeline`.
///
/// | on | setting |
/// |---|---|
/// | a type | `codec`, `compat`, `event_type`, `produced_by`, `metadata`, `partition_key`, `crate` |
/// | a field | `partition_key`, `explicit_hash_key` |
#[proc_macro_derive(KinesisRecord, attributes(kinesis))]
pub fn derive_kinesis_record(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    derive(&item).into()
}

fn derive(item: &DeriveInput) -> proc_macro2::TokenStream {
    let mut mistakes = Mistakes::default();
    let input = parse::parse(item, &mut mistakes);
    let record = check::check(&input, &mut mistakes);
    match (mistakes.into_error(), record) {
        (None, Some(record)) => expand::expand(&record),
        (error, _) => {
            let mut tokens = expand::stand_in(item, &check::crate_path(&input));
            tokens.extend(error.map(|error| error.to_compile_error()));
            tokens
        }
    }
}
