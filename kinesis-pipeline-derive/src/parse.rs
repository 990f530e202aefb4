//! Parses attributes into settings. Mistakes within one attribute are found here, contradictions between attributes in
//! `check`.

use syn::{
    Attribute, Data, DeriveInput, Fields, Member, Meta, meta::ParseNestedMeta, spanned::Spanned,
};

use crate::{
    input::{Field, Input, Setting, TypeSettings, Variant},
    mistakes::Mistakes,
    names::{Place, misplaced},
    rows, value,
};

pub(crate) fn parse<'a>(item: &'a DeriveInput, mistakes: &mut Mistakes) -> Input<'a> {
    Input {
        item,
        settings: type_settings(&item.attrs, mistakes),
        variants: variants(item, mistakes),
    }
}

fn type_settings(attributes: &[Attribute], mistakes: &mut Mistakes) -> TypeSettings {
    let mut settings = TypeSettings::default();
    for_each_setting(attributes, mistakes, |name, meta, mistakes| match name {
        "codec" => set(&mut settings.codec, meta, value::codec, mistakes),
        "compat" => set(&mut settings.compat, meta, value::none, mistakes),
        "event_type" => set(&mut settings.event_type, meta, value::text, mistakes),
        "produced_by" => set(&mut settings.produced_by, meta, value::text, mistakes),
        "metadata" => set(&mut settings.metadata, meta, value::function, mistakes),
        "partition_key" => set(
            &mut settings.partition_key,
            meta,
            value::key_function,
            mistakes,
        ),
        "put_only" => set(&mut settings.put_only, meta, value::none, mistakes),
        "get_only" => set(&mut settings.get_only, meta, value::none, mistakes),
        "crate" => set(&mut settings.crate_path, meta, value::crate_path, mistakes),
        other => rows::read_type_setting(other, meta, &mut settings.rows, mistakes)
            .unwrap_or_else(|| Err(meta.error(misplaced(other, Place::Type)))),
    });
    settings
}

fn variants<'a>(item: &'a DeriveInput, mistakes: &mut Mistakes) -> Vec<Variant<'a>> {
    match &item.data {
        Data::Struct(data) => vec![Variant {
            name: None,
            fields: fields(&data.fields, mistakes),
        }],
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                refuse_settings(&variant.attrs, mistakes);
                Variant {
                    name: Some(&variant.ident),
                    fields: fields(&variant.fields, mistakes),
                }
            })
            .collect(),
        Data::Union(data) => {
            mistakes.add(
                data.union_token.span(),
                "a union has no bytes that could be read back: use a struct or an enum",
            );
            Vec::new()
        }
    }
}

fn fields<'a>(fields: &'a Fields, mistakes: &mut Mistakes) -> Vec<Field<'a>> {
    fields
        .members()
        .zip(fields)
        .map(|(member, source)| field(member, source, mistakes))
        .collect()
}

fn field<'a>(member: Member, source: &'a syn::Field, mistakes: &mut Mistakes) -> Field<'a> {
    let mut field = Field {
        source,
        member,
        partition_key: None,
        explicit_hash_key: None,
        row: rows::FieldSettings::default(),
    };
    for_each_setting(&source.attrs, mistakes, |name, meta, mistakes| {
        let span = meta.path.span();
        let mark = match name {
            "partition_key" => &mut field.partition_key,
            "explicit_hash_key" => &mut field.explicit_hash_key,
            other => {
                return rows::read_field_setting(other, meta, &mut field.row, mistakes)
                    .unwrap_or_else(|| Err(meta.error(misplaced(other, Place::Field))));
            }
        };
        value::none(meta)?;
        if mark.replace(span).is_some() {
            mistakes.add(span, twice(name));
        }
        Ok(())
    });
    field
}

fn refuse_settings(attributes: &[Attribute], mistakes: &mut Mistakes) {
    for_each_setting(attributes, mistakes, |name, meta, _| {
        Err(meta.error(misplaced(name, Place::Variant)))
    });
}

/// Calls `read` for every setting of every `#[kinesis(...)]`. After a mistake the other settings of the attribute are
/// still read.
fn for_each_setting(
    attributes: &[Attribute],
    mistakes: &mut Mistakes,
    mut read: impl FnMut(&str, &ParseNestedMeta<'_>, &mut Mistakes) -> syn::Result<()>,
) {
    let ours = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("kinesis"));
    for attribute in ours {
        if !matches!(attribute.meta, Meta::List(_)) {
            mistakes.add(
                attribute.meta.span(),
                "settings stand in parentheses: write `#[kinesis(...)]`",
            );
            continue;
        }
        let parsed = attribute.parse_nested_meta(|meta| {
            if let Err(mistake) = read(&value::name(&meta), &meta, mistakes) {
                mistakes.push(mistake);
                value::skip(meta.input)?;
            }
            Ok(())
        });
        if let Err(mistake) = parsed {
            mistakes.add(
                mistake.span(),
                format!(
                    "{mistake}: settings are `name` or `name = value`, with commas between them"
                ),
            );
        }
    }
}

/// Keeps the first value of a setting. A value that cannot be read counts as set.
pub(crate) fn set<T>(
    slot: &mut Option<Setting<T>>,
    meta: &ParseNestedMeta<'_>,
    read: impl FnOnce(&ParseNestedMeta<'_>) -> syn::Result<T>,
    mistakes: &mut Mistakes,
) -> syn::Result<()> {
    let span = meta.path.span();
    if slot.is_some() {
        mistakes.add(span, twice(&value::name(meta)));
    }
    let (value, result) = match read(meta) {
        Ok(value) => (Some(value), Ok(())),
        Err(mistake) => (None, Err(mistake)),
    };
    slot.get_or_insert(Setting { span, value });
    result
}

fn twice(name: &str) -> String {
    format!("`{name}` stands here twice: remove one of the two")
}
