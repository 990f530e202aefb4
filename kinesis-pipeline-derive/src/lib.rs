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
mod rows;
mod serde;
mod value;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use mistakes::Mistakes;

/// Implements `KinesisRecord`: see the reference in `kinesis_pipeline`.
///
/// | on | setting |
/// |---|---|
/// | a type | `codec`, `compat`, `event_type`, `produced_by`, `metadata`, `partition_key`, `put_only`, `get_only`, `crate` |
/// | a field | `partition_key`, `explicit_hash_key` |
/// | a type that is read from rows | `rows`, `table_name`, `delimiter`, `null`, `drop_if_none`, `drop_non_unique`, `fail_non_unique`, `drop_not_validated`, `fail_not_validated`, `emit` |
/// | its fields | `pos`, `column`, `null`, `default`, `required`, `parse`, `format`, `map`, `validate`, `unique`, `max_length`, `anonymize`, `replace`, `now`, `uuid` |
#[proc_macro_derive(KinesisRecord, attributes(kinesis))]
pub fn derive_kinesis_record(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    derive(&item).into()
}

fn derive(item: &DeriveInput) -> proc_macro2::TokenStream {
    let mut mistakes = Mistakes::default();
    let input = parse::parse(item, &mut mistakes);
    let record = check::check(&input, &mut mistakes);
    let model = rows::check(&input, &mut mistakes);
    match (mistakes.into_error(), record) {
        (None, Some(record)) => {
            let mut tokens = expand::expand(&record);
            tokens.extend(model.as_ref().map(rows::expand));
            tokens
        }
        (error, _) => {
            let crate_path = check::crate_path(&input);
            let mut tokens = expand::stand_in(item, &crate_path);
            if rows::is_model(&input) {
                tokens.extend(rows::stand_in(item, &crate_path));
            }
            tokens.extend(error.map(|error| error.to_compile_error()));
            tokens
        }
    }
}
