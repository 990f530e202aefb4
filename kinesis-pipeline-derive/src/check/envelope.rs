use proc_macro2::Span;
use syn::{Data, Fields};

use crate::{
    input::{CodecName, Field, Input},
    mistakes::Mistakes,
    record::Envelope,
    serde,
};

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) -> Option<Envelope> {
    let settings = &input.settings;
    let (event_type, produced_by) = (&settings.event_type, &settings.produced_by);
    let spans = [
        event_type.as_ref().map(|setting| setting.span),
        produced_by.as_ref().map(|setting| setting.span),
        settings.metadata.as_ref().map(|setting| setting.span),
    ];
    let Some(first) = spans.into_iter().flatten().next() else {
        return Some(Envelope::None);
    };
    refuse_codec(first, input, mistakes);
    refuse_shape(first, input, mistakes);
    refuse_own_meta(input, mistakes);
    match (event_type, produced_by, &settings.metadata) {
        (Some(event_type), Some(produced_by), None) => Some(Envelope::Event {
            event_type: event_type.value.clone()?,
            produced_by: produced_by.value.clone()?,
        }),
        (None, None, metadata) => metadata.as_ref()?.value.clone().map(Envelope::Own),
        (_, _, Some(metadata)) => {
            mistakes.add(
                metadata.span,
                "`metadata` writes the field `_meta`, and so do `event_type` and `produced_by`: keep one of the two envelopes",
            );
            None
        }
        (_, None, None) => {
            mistakes.add(first, incomplete("produced_by"));
            None
        }
        (None, _, None) => {
            mistakes.add(first, incomplete("event_type"));
            None
        }
    }
}

fn incomplete(missing: &str) -> String {
    format!("an envelope has `event_type` and `produced_by`: add `{missing} = \"...\"`")
}

fn refuse_codec(span: Span, input: &Input<'_>, mistakes: &mut Mistakes) {
    let codec = input.settings.codec.as_ref();
    match codec.and_then(|codec| codec.value.as_ref()) {
        Some(CodecName::Bytes) => mistakes.add(
            span,
            "the codec `bytes` has no fields beside which an envelope could stand: use the codec `json` or `msgpack`, or remove the envelope",
        ),
        Some(CodecName::Own(_)) => mistakes.add(
            span,
            "an envelope needs the codec `json` or `msgpack`: choose one, or write the envelope in your codec",
        ),
        Some(CodecName::Json | CodecName::MsgPack) | None => {}
    }
}

/// Refuses structs that serde writes as a list: those with unnamed fields, unless there is exactly one. A single field
/// may hold anything, which only the put finds out.
fn refuse_shape(span: Span, input: &Input<'_>, mistakes: &mut Mistakes) {
    let Data::Struct(data) = &input.item.data else {
        return;
    };
    let is_list = matches!(&data.fields, Fields::Unnamed(fields) if fields.unnamed.len() != 1);
    if is_list && !serde::writes_otherwise(&input.item.attrs) {
        mistakes.add(
            span,
            "an envelope stands beside named fields, and this struct is a list: name its fields, or remove the envelope",
        );
    }
}

fn refuse_own_meta(input: &Input<'_>, mistakes: &mut Mistakes) {
    for field in input.fields().filter(|field| is_meta(field)) {
        mistakes.add_at(
            &field.member,
            "the envelope is the field `_meta`: rename this one, or remove the envelope",
        );
    }
}

fn is_meta(field: &Field<'_>) -> bool {
    let name = serde::written_name(&field.source.attrs).unwrap_or_else(|| field.label());
    name == "_meta"
}
