use syn::{Data, Type};

use crate::{
    input::{CodecName, Field, Input},
    mistakes::Mistakes,
    record::{Codec, Direction},
    serde,
};

pub(super) fn check<'a>(
    input: &Input<'a>,
    direction: Direction,
    mistakes: &mut Mistakes,
) -> Option<Codec<'a>> {
    let settings = &input.settings;
    let codec = settings.codec.as_ref();
    let compat = settings.compat.as_ref();
    let name = match codec {
        Some(codec) => codec.value.as_ref()?,
        None => &CodecName::Json,
    };
    if let (Some(compat), false) = (compat, matches!(name, CodecName::MsgPack)) {
        mistakes.add(
            compat.span,
            "`compat` is the old form of msgpack: write `codec = \"msgpack\", compat`, or remove it",
        );
    }
    match name {
        _ if direction == Direction::PutOnly => {}
        CodecName::Json | CodecName::MsgPack => refuse_borrowed_fields(input, mistakes),
        CodecName::Bytes | CodecName::Own(_) => {}
    }
    match name {
        CodecName::Json => Some(Codec::Serde("Json")),
        CodecName::MsgPack if compat.is_some() => Some(Codec::Serde("MsgPackCompat")),
        CodecName::MsgPack => Some(Codec::Serde("MsgPack")),
        CodecName::Bytes => bytes(input, mistakes),
        CodecName::Own(path) => Some(Codec::Own(path.clone())),
    }
}

fn bytes<'a>(input: &Input<'a>, mistakes: &mut Mistakes) -> Option<Codec<'a>> {
    let body = match (&input.item.data, input.variants.as_slice()) {
        (Data::Struct(_), [body]) => body.fields.as_slice(),
        (Data::Union(_), _) => return None,
        _ => &[],
    };
    if let [field] = body {
        return Some(Codec::Bytes {
            member: field.member.clone(),
            ty: &field.source.ty,
        });
    }
    mistakes.add(
        input.item.ident.span(),
        "the codec `bytes` writes one value as it is: use a struct with one field, such as `struct Line(String)`, or the codec `json` or `msgpack`",
    );
    None
}

/// Refuses borrowed fields: the bytes that a record is decoded from do not outlive the decoding, so serde cannot lend
/// them to a field.
fn refuse_borrowed_fields(input: &Input<'_>, mistakes: &mut Mistakes) {
    let borrowed = |field: &&Field<'_>| {
        matches!(field.source.ty, Type::Reference(_))
            && !serde::reads_otherwise(&field.source.attrs)
    };
    for field in input.fields().filter(borrowed) {
        mistakes.add_at(
            &field.source.ty,
            "a record owns its fields, for it is read back from bytes that it cannot keep: use `String`, `Vec<u8>` or `Cow<'_, str>`, or add `#[kinesis(put_only)]` to the type if it is never read",
        );
    }
}
