//! A type as it was written: its settings, not yet checked against each other.

use proc_macro2::Span;
use syn::{DeriveInput, Ident, LitStr, Member, Path};

use crate::rows;

/// A type with the settings of its attributes.
pub(crate) struct Input<'a> {
    pub(crate) item: &'a DeriveInput,
    pub(crate) settings: TypeSettings,
    pub(crate) variants: Vec<Variant<'a>>,
}

/// The settings of `#[kinesis(...)]` on the type.
#[derive(Default)]
pub(crate) struct TypeSettings {
    pub(crate) codec: Option<Setting<CodecName>>,
    pub(crate) compat: Option<Setting<()>>,
    pub(crate) event_type: Option<Setting<LitStr>>,
    pub(crate) produced_by: Option<Setting<LitStr>>,
    pub(crate) metadata: Option<Setting<Path>>,
    pub(crate) partition_key: Option<Setting<Path>>,
    pub(crate) put_only: Option<Setting<()>>,
    pub(crate) get_only: Option<Setting<()>>,
    pub(crate) crate_path: Option<Setting<Path>>,
    pub(crate) rows: rows::TypeSettings,
}

/// A setting and the place of its name.
pub(crate) struct Setting<T> {
    pub(crate) span: Span,
    /// The value; `None` if it could not be read, which is reported already.
    pub(crate) value: Option<T>,
}

pub(crate) enum CodecName {
    Json,
    MsgPack,
    Bytes,
    Own(Path),
}

/// A variant of an enum, or the one body of a struct.
pub(crate) struct Variant<'a> {
    /// `None` for a struct.
    pub(crate) name: Option<&'a Ident>,
    pub(crate) fields: Vec<Field<'a>>,
}

pub(crate) struct Field<'a> {
    pub(crate) source: &'a syn::Field,
    pub(crate) member: Member,
    /// The places of the field's marks, if it has them.
    pub(crate) partition_key: Option<Span>,
    pub(crate) explicit_hash_key: Option<Span>,
    pub(crate) row: rows::FieldSettings,
}

impl Field<'_> {
    /// Returns the field's name in errors.
    pub(crate) fn label(&self) -> String {
        match &self.member {
            Member::Named(name) => {
                let name = name.to_string();
                name.strip_prefix("r#").unwrap_or(&name).to_owned()
            }
            Member::Unnamed(index) => index.index.to_string(),
        }
    }
}

impl<'a> Input<'a> {
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field<'a>> {
        self.variants.iter().flat_map(|variant| &variant.fields)
    }
}
