//! A valid record type: the output of `check` and the input of `expand`.

use syn::{DeriveInput, Ident, LitStr, Member, Path, Type};

pub(crate) struct Record<'a> {
    pub(crate) item: &'a DeriveInput,
    pub(crate) crate_path: Path,
    pub(crate) direction: Direction,
    pub(crate) codec: Codec<'a>,
    pub(crate) envelope: Envelope,
    pub(crate) partition_key: KeySource<'a>,
    /// The fields that hold explicit hash keys.
    pub(crate) explicit_hash_keys: Vec<KeyField<'a>>,
}

/// The directions in which the records go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Both,
    PutOnly,
    GetOnly,
}

pub(crate) enum Codec<'a> {
    /// A codec that uses serde, by its name in the library.
    Serde(&'static str),
    /// The bytes of the one field.
    Bytes {
        member: Member,
        ty: &'a Type,
    },
    Own(Path),
}

pub(crate) enum Envelope {
    None,
    Event {
        event_type: LitStr,
        produced_by: LitStr,
    },
    Own(Path),
}

pub(crate) enum KeySource<'a> {
    Random,
    Computed(Path),
    /// One field of the struct, or of every variant.
    Fields(Vec<KeyField<'a>>),
}

pub(crate) struct KeyField<'a> {
    /// `None` for a struct.
    pub(crate) variant: Option<&'a Ident>,
    pub(crate) member: Member,
    pub(crate) ty: &'a Type,
    /// The field's name in errors.
    pub(crate) label: String,
}
