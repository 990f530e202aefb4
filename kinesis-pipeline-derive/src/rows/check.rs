//! Checks the row settings of a type against each other.

use proc_macro2::Span;
use syn::{Data, LitStr};

use super::{FieldSettings, Model, ModelField, Source, TypeSettings};
use crate::{
    input::{Field, Input, Setting},
    mistakes::Mistakes,
    serde,
};

/// The null marker of a field that names none.
const NULL: &str = "NULL";

/// Whether the type has a setting that concerns rows, which makes it a row model.
pub(crate) fn is_model(input: &Input<'_>) -> bool {
    first_setting(input).is_some()
}

fn first_setting(input: &Input<'_>) -> Option<Span> {
    let mut fields = input.fields().filter_map(|field| field.row.first);
    input.settings.rows.first.or_else(|| fields.next())
}

/// Returns the row model that the settings describe, or `None` if the type is no row model or has mistakes.
pub(crate) fn check<'a>(input: &'a Input<'a>, mistakes: &mut Mistakes) -> Option<Model<'a>> {
    let first = first_setting(input)?;
    let body = body(first, input, mistakes)?;
    let settings = &input.settings.rows;
    let fields: Vec<_> = body
        .iter()
        .filter_map(|field| model_field(field, settings, mistakes))
        .collect();
    check_type(settings, body, mistakes);
    if fields.len() != body.len() {
        return None;
    }
    let table = settings.table_name.as_ref();
    let table = table.and_then(|table| table.value.as_ref());
    Some(Model {
        item: input.item,
        crate_path: crate::check::crate_path(input),
        table: table.map_or_else(
            || input.item.ident.to_string().to_lowercase(),
            LitStr::value,
        ),
        delimiter: settings.delimiter.as_ref().and_then(|one| one.value),
        on_duplicate: consequence(
            settings.drop_non_unique.as_ref(),
            settings.fail_non_unique.as_ref(),
        ),
        not_validated: consequence(
            settings.drop_not_validated.as_ref(),
            settings.fail_not_validated.as_ref(),
        ),
        emit: settings.emit.as_ref().and_then(|emit| emit.value.clone()),
        fields,
    })
}

fn consequence(drop: Option<&Setting<()>>, fail: Option<&Setting<()>>) -> &'static str {
    match (drop, fail) {
        (Some(_), _) => "Drop",
        (None, Some(_)) => "Fail",
        (None, None) => "Refuse",
    }
}

/// Returns the fields of the struct.
fn body<'a>(first: Span, input: &'a Input<'a>, mistakes: &mut Mistakes) -> Option<&'a [Field<'a>]> {
    let (Data::Struct(_), [body]) = (&input.item.data, input.variants.as_slice()) else {
        if matches!(input.item.data, Data::Enum(_)) {
            mistakes.add(
                first,
                "rows are read into a struct: derive it for one, and make the enum of it with `#[kinesis(emit = path::to::function)]`",
            );
        }
        return None;
    };
    if !input.item.generics.params.is_empty() {
        mistakes.add(
            first,
            "rows are read into a type without parameters: remove the parameters or the row settings",
        );
        return None;
    }
    Some(&body.fields)
}

fn model_field<'a>(
    field: &'a Field<'a>,
    of_type: &TypeSettings,
    mistakes: &mut Mistakes,
) -> Option<ModelField<'a>> {
    let settings = &field.row;
    check_pairs(settings, mistakes);
    let source = source(field)?;
    check_source(settings, &source, mistakes);
    let own = settings.null.as_ref().or(of_type.null.as_ref());
    let nulls = match own {
        Some(null) => null.value.clone().unwrap_or_default(),
        None => vec![LitStr::new(NULL, Span::call_site())],
    };
    Some(ModelField {
        member: &field.member,
        ty: &field.source.ty,
        label: field.label(),
        source,
        nulls,
        settings,
        drop_if_none: drops(of_type, field),
    })
}

fn drops(of_type: &TypeSettings, field: &Field<'_>) -> bool {
    let names = of_type.drop_if_none.as_ref();
    let names = names.and_then(|names| names.value.as_ref());
    names.is_some_and(|names| names.iter().any(|name| *name == field.label()))
}

/// Returns the origin of the value; `None` where its setting cannot be read.
fn source<'a>(field: &'a Field<'a>) -> Option<Source<'a>> {
    let settings = &field.row;
    if let Some(pos) = &settings.pos {
        return pos.value.as_ref().map(Source::Position);
    }
    if let Some(column) = &settings.column {
        return column.value.as_ref().map(|name| Source::Name(name.value()));
    }
    if settings.now.is_some() {
        return Some(Source::Now);
    }
    if settings.uuid.is_some() {
        return Some(Source::Uuid);
    }
    if settings.parse.is_some() {
        return Some(Source::Row);
    }
    if settings.first.is_none() && serde::skips(&field.source.attrs) {
        return Some(Source::Skipped);
    }
    let name = serde::read_name(&field.source.attrs).unwrap_or_else(|| field.label());
    Some(Source::Name(name))
}

fn reads_cell(settings: &FieldSettings) -> bool {
    settings.pos.is_some() || settings.column.is_some()
}

/// Returns the place of a setting, if the field has it.
fn place(settings: &FieldSettings, name: &str) -> Option<Span> {
    fn of<T>(setting: Option<&Setting<T>>) -> Option<Span> {
        setting.map(|setting| setting.span)
    }
    match name {
        "pos" => of(settings.pos.as_ref()),
        "column" => of(settings.column.as_ref()),
        "null" => of(settings.null.as_ref()),
        "default" => of(settings.default.as_ref()),
        "required" => of(settings.required.as_ref()),
        "parse" => of(settings.parse.as_ref()),
        "format" => of(settings.format.as_ref()),
        "map" => of(settings.map.as_ref()),
        "validate" => of(settings.validate.as_ref()),
        "unique" => of(settings.unique.as_ref()),
        "max_length" => of(settings.max_length.as_ref()),
        "anonymize" => of(settings.anonymize.as_ref()),
        "replace" => of(settings.replace.as_ref()),
        "now" => of(settings.now.as_ref()),
        "uuid" => of(settings.uuid.as_ref()),
        _ => None,
    }
}

/// Pairs of settings that exclude each other, and the reason. The mistake is shown at the second setting.
const CONTRADICTIONS: &[(&str, &str, &str)] = &[
    (
        "pos",
        "column",
        "a field reads one cell, and `pos` names it already: remove one of the two",
    ),
    (
        "required",
        "default",
        "a required field is never null, so that its `default` is never used: remove one of the two",
    ),
    (
        "parse",
        "map",
        "`parse` reads the cell, and so does `map`: remove one of the two",
    ),
    (
        "parse",
        "format",
        "`parse` reads the cell, and so does `format`: remove one of the two",
    ),
    (
        "map",
        "format",
        "`map` reads the cell, and so does `format`: remove one of the two",
    ),
    (
        "uuid",
        "parse",
        "`uuid` makes the value, and `parse` would read it: remove one of the two",
    ),
    (
        "uuid",
        "map",
        "`uuid` makes the value, and `map` would read it: remove one of the two",
    ),
    (
        "uuid",
        "format",
        "`uuid` makes the value, and `format` would read it: remove one of the two",
    ),
    (
        "now",
        "uuid",
        "a value is the time or a UUID: remove one of the two",
    ),
];

/// Settings that have no effect with `now`.
const NOT_WITH_NOW: &[&str] = &[
    "pos", "column", "null", "default", "required", "parse", "format", "map", "validate",
];

/// Settings that need a cell.
const OF_A_CELL: &[&str] = &["null", "default", "required", "validate", "map", "format"];

fn check_pairs(settings: &FieldSettings, mistakes: &mut Mistakes) {
    for (one, other, reason) in CONTRADICTIONS {
        if let (Some(_), Some(span)) = (place(settings, one), place(settings, other)) {
            mistakes.add(span, reason);
        }
    }
    if settings.now.is_none() {
        return;
    }
    for name in NOT_WITH_NOW {
        if let Some(span) = place(settings, name) {
            mistakes.add(
                span,
                format!(
                    "`now` makes the value, so that `{name}` has no cell: remove one of the two"
                ),
            );
        }
    }
}

fn check_source(settings: &FieldSettings, source: &Source<'_>, mistakes: &mut Mistakes) {
    let reason = match source {
        Source::Row => "without `pos` or `column`, `parse` takes the whole row",
        Source::Uuid => "without `pos` or `column`, `uuid` reads no cell",
        _ => return,
    };
    for name in OF_A_CELL {
        // The pair is in `CONTRADICTIONS` and reported already.
        let is_said =
            |(one, other, _): &(&str, &str, &str)| other == name && place(settings, one).is_some();
        if CONTRADICTIONS.iter().any(is_said) {
            continue;
        }
        if let Some(span) = place(settings, name) {
            mistakes.add(
                span,
                format!(
                    "{reason}, and `{name}` looks at a cell: name the cell, or remove `{name}`"
                ),
            );
        }
    }
}

fn check_type(settings: &TypeSettings, body: &[Field<'_>], mistakes: &mut Mistakes) {
    let unique = body.iter().any(|field| field.row.unique.is_some());
    let validate = body.iter().any(|field| field.row.validate.is_some());
    check_consequences(
        [
            ("drop_non_unique", settings.drop_non_unique.as_ref()),
            ("fail_non_unique", settings.fail_non_unique.as_ref()),
        ],
        (unique, "unique"),
        mistakes,
    );
    check_consequences(
        [
            ("drop_not_validated", settings.drop_not_validated.as_ref()),
            ("fail_not_validated", settings.fail_not_validated.as_ref()),
        ],
        (validate, "validate = path::to::function"),
        mistakes,
    );
    check_drop_if_none(settings, body, mistakes);
}

fn check_consequences(
    [drop, fail]: [(&str, Option<&Setting<()>>); 2],
    (is_used, cause): (bool, &str),
    mistakes: &mut Mistakes,
) {
    if let (Some(_), Some(fail)) = (drop.1, fail.1) {
        mistakes.add(
            fail.span,
            format!(
                "the same row is dropped by `{}`: remove one of the two",
                drop.0
            ),
        );
        return;
    }
    for (name, setting) in [drop, fail] {
        if let (Some(setting), false) = (setting, is_used) {
            mistakes.add(
                setting.span,
                format!(
                    "no field calls for `{name}`: mark one with `#[kinesis({cause})]`, or remove it"
                ),
            );
        }
    }
}

fn check_drop_if_none(settings: &TypeSettings, body: &[Field<'_>], mistakes: &mut Mistakes) {
    let names = settings.drop_if_none.as_ref();
    let names = names.and_then(|names| names.value.as_deref());
    for (index, name) in names.unwrap_or_default().iter().enumerate() {
        let Some(field) = body.iter().find(|field| *name == field.label()) else {
            let labels: Vec<_> = body.iter().map(Field::label).collect();
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            mistakes.add(
                name.span(),
                format!(
                    "there is no field `{name}`{}",
                    crate::names::did_you_mean(&name.to_string(), &labels)
                ),
            );
            continue;
        };
        if names.unwrap_or_default()[..index].contains(name) {
            mistakes.add(
                name.span(),
                format!("`{name}` stands here twice: remove one of the two"),
            );
        }
        for (other, problem) in [
            (
                field.row.required.is_some(),
                "is `required`, so that a null is an error and drops nothing",
            ),
            (
                field.row.default.is_some(),
                "has a `default`, which is never used where null drops the row",
            ),
            (field.row.now.is_some(), "is the time and never null"),
            (
                field.row.uuid.is_some() && !reads_cell(&field.row),
                "is a UUID that is made for each row, and never null",
            ),
        ] {
            if other {
                mistakes.add(
                    name.span(),
                    format!("`{name}` {problem}: remove one of the two"),
                );
            }
        }
    }
}
