use proc_macro2::Span;

use crate::{
    input::{Field, Input, Variant},
    mistakes::Mistakes,
    record::{KeyField, KeySource},
};

pub(super) fn partition_key<'a>(
    input: &Input<'a>,
    mistakes: &mut Mistakes,
) -> Option<KeySource<'a>> {
    let mark = |field: &Field<'_>| field.partition_key;
    if let Some(computed) = &input.settings.partition_key {
        for span in input.fields().filter_map(mark) {
            mistakes.add(
                span,
                "the key is computed by the `partition_key` of the type: remove one of the two",
            );
        }
        return computed.value.clone().map(KeySource::Computed);
    }
    let keys = marked(
        input,
        mark,
        "a record has one partition key: remove this mark, or compute the key from both fields with `#[kinesis(partition_key = path::to::function)]` on the type",
        mistakes,
    );
    if keys.is_empty() {
        return Some(KeySource::Random);
    }
    require_in_every_variant(input, &keys, mistakes);
    Some(KeySource::Fields(keys))
}

pub(super) fn explicit_hash_keys<'a>(
    input: &Input<'a>,
    mistakes: &mut Mistakes,
) -> Vec<KeyField<'a>> {
    marked(
        input,
        |field| field.explicit_hash_key,
        "a record has one explicit hash key: remove this mark",
        mistakes,
    )
}

/// Returns the first marked field of every variant that has one; further marks are mistakes.
fn marked<'a>(
    input: &Input<'a>,
    mark: impl Fn(&Field<'a>) -> Option<Span>,
    one_too_many: &str,
    mistakes: &mut Mistakes,
) -> Vec<KeyField<'a>> {
    let mut keys = Vec::new();
    for variant in &input.variants {
        let mut marks = variant
            .fields
            .iter()
            .filter_map(|field| Some((field, mark(field)?)));
        keys.extend(marks.next().map(|(field, _)| key_field(variant, field)));
        for (_, span) in marks {
            mistakes.add(span, one_too_many);
        }
    }
    keys
}

fn key_field<'a>(variant: &Variant<'a>, field: &Field<'a>) -> KeyField<'a> {
    KeyField {
        variant: variant.name,
        member: field.member.clone(),
        ty: &field.source.ty,
        label: field.label(),
    }
}

fn require_in_every_variant(input: &Input<'_>, keys: &[KeyField<'_>], mistakes: &mut Mistakes) {
    for name in input.variants.iter().filter_map(|variant| variant.name) {
        if keys.iter().all(|key| key.variant != Some(name)) {
            mistakes.add(
                name.span(),
                format!(
                    "`{name}` has no partition key, and other variants have: mark one of its fields with `#[kinesis(partition_key)]`, or compute the key with `#[kinesis(partition_key = path::to::function)]` on the type"
                ),
            );
        }
    }
}
