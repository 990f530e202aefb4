//! Checks the settings of a type against each other and against its shape.

mod codec;
mod direction;
mod envelope;
mod keys;

use syn::parse_quote;

use crate::{input::Input, mistakes::Mistakes, record::Record};

/// Returns the record that the settings describe, or `None` where a part is missing. Problems are added to `mistakes`.
pub(crate) fn check<'a>(input: &Input<'a>, mistakes: &mut Mistakes) -> Option<Record<'a>> {
    let direction = direction::check(input, mistakes);
    let codec = codec::check(input, direction, mistakes);
    let envelope = envelope::check(input, mistakes);
    let partition_key = keys::partition_key(input, mistakes);
    let explicit_hash_keys = keys::explicit_hash_keys(input, mistakes);
    Some(Record {
        item: input.item,
        crate_path: crate_path(input),
        direction,
        codec: codec?,
        envelope: envelope?,
        partition_key: partition_key?,
        explicit_hash_keys,
    })
}

pub(crate) fn crate_path(input: &Input<'_>) -> syn::Path {
    let setting = input.settings.crate_path.as_ref();
    let path = setting.and_then(|setting| setting.value.clone());
    path.unwrap_or_else(|| parse_quote!(::kinesis_pipeline))
}
