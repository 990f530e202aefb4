//! Row mapping: a struct whose fields come from the columns of a table.
//!
//! ```text
//!   settings ── check ──> Model ── expand ──> impl FromRow
//! ```

mod check;
mod expand;
mod settings;

use proc_macro2::{Ident, TokenStream};
use syn::{LitInt, LitStr, Member, Path, Type};

pub(crate) use check::{check, is_model};
pub(crate) use expand::{expand, stand_in};
pub(crate) use settings::{
    DefaultValue, FieldSettings, Replacement, TypeSettings, read_field_setting, read_type_setting,
};

/// The settings of a type that concern rows.
pub(crate) const TYPE_SETTINGS: &[&str] = &[
    "rows",
    "table_name",
    "delimiter",
    "null",
    "drop_if_none",
    "drop_non_unique",
    "fail_non_unique",
    "drop_not_validated",
    "fail_not_validated",
    "emit",
];

/// The settings of a field that concern rows.
pub(crate) const FIELD_SETTINGS: &[&str] = &[
    "pos",
    "column",
    "null",
    "default",
    "required",
    "parse",
    "format",
    "map",
    "validate",
    "unique",
    "max_length",
    "anonymize",
    "replace",
    "now",
    "uuid",
];

/// A valid row model: the output of `check` and the input of `expand`.
pub(crate) struct Model<'a> {
    pub(crate) item: &'a syn::DeriveInput,
    pub(crate) crate_path: Path,
    pub(crate) table: String,
    pub(crate) delimiter: Option<u8>,
    /// The name of the variant of `OnDuplicate`.
    pub(crate) on_duplicate: &'static str,
    /// The name of the variant of `NotValidated`.
    pub(crate) not_validated: &'static str,
    pub(crate) emit: Option<Path>,
    pub(crate) fields: Vec<ModelField<'a>>,
}

/// A field of a row model.
pub(crate) struct ModelField<'a> {
    pub(crate) member: &'a Member,
    pub(crate) ty: &'a Type,
    pub(crate) label: String,
    pub(crate) source: Source<'a>,
    pub(crate) nulls: Vec<LitStr>,
    pub(crate) settings: &'a FieldSettings,
    pub(crate) drop_if_none: bool,
}

/// The origin of a field's value.
pub(crate) enum Source<'a> {
    Position(&'a LitInt),
    Name(String),
    Row,
    Now,
    Uuid,
    /// Serde skips the field: its value is the type's default.
    Skipped,
}

/// Whether the type is written as an `Option`.
pub(crate) fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}

/// An `anonymize` setting: a path, with arguments or without.
pub(crate) type Function = TokenStream;

/// The field names of `drop_if_none`.
pub(crate) type FieldNames = Vec<Ident>;
