//! The values of settings.

use proc_macro2::TokenTree;
use syn::{Lit, LitStr, Path, Token, meta::ParseNestedMeta, parse::ParseStream};

use crate::{
    input::CodecName,
    names::{CODECS, did_you_mean, listed},
};

/// Checks that the setting has no value.
pub(crate) fn none(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.is_empty() || meta.input.peek(Token![,]) {
        return Ok(());
    }
    let name = name(meta);
    Err(match name.as_str() {
        "partition_key" => meta.error(
            "`partition_key` takes no value on a field: a computed key is a setting of the type, `#[kinesis(partition_key = path::to::function)]`",
        ),
        _ => meta.error(format!("`{name}` takes no value: write `{name}` alone")),
    })
}

/// Returns a text that is not empty.
pub(crate) fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    let name = name(meta);
    let wanted = format!("`{name}` is a text: write `{name} = \"...\"`");
    let input = after_equals(meta, &wanted)?;
    let text: LitStr = input
        .parse()
        .map_err(|error| syn::Error::new(error.span(), &wanted))?;
    if text.value().is_empty() {
        return Err(syn::Error::new(
            text.span(),
            format!("`{name}` is empty: write what readers should find there, or remove it"),
        ));
    }
    Ok(text)
}

/// Returns the path of a function.
pub(crate) fn function(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let name = name(meta);
    path(
        meta,
        &format!("`{name}` is a function: write `{name} = path::to::function`"),
    )
}

/// Returns the path of the function that computes a type's key.
pub(crate) fn key_function(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    path(
        meta,
        "on a type, `partition_key` is a function: write `partition_key = path::to::function`, or mark a field with `#[kinesis(partition_key)]`",
    )
}

/// Returns the path of the crate, which may stand in quotes, as in serde.
pub(crate) fn crate_path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let wanted =
        "`crate` is the path of kinesis-pipeline: write `crate = path::to::kinesis_pipeline`";
    let input = after_equals(meta, wanted)?;
    if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        return text
            .parse()
            .map_err(|_| syn::Error::new(text.span(), wanted));
    }
    input
        .call(Path::parse_mod_style)
        .map_err(|error| syn::Error::new(error.span(), wanted))
}

/// Returns the codec: a name in quotes, or the path of a type with or without quotes.
pub(crate) fn codec(meta: &ParseNestedMeta<'_>) -> syn::Result<CodecName> {
    let wanted = "`codec` is `\"json\"`, `\"msgpack\"`, `\"bytes\"` or the path of a type: write `codec = \"json\"` or `codec = path::to::Codec`";
    let input = after_equals(meta, wanted)?;
    if input.peek(LitStr) {
        return named_codec(&input.parse()?);
    }
    if input.peek(Lit) {
        return Err(input.error(wanted));
    }
    let path: Path = input
        .parse()
        .map_err(|error| syn::Error::new(error.span(), wanted))?;
    match path.get_ident().map(ToString::to_string) {
        Some(name) if CODECS.contains(&name.as_str()) => Err(syn::Error::new_spanned(
            path,
            format!("the name of a codec stands in quotes: write `codec = \"{name}\"`"),
        )),
        _ => Ok(CodecName::Own(path)),
    }
}

fn named_codec(name: &LitStr) -> syn::Result<CodecName> {
    let text = name.value();
    match text.as_str() {
        "json" => Ok(CodecName::Json),
        "msgpack" => Ok(CodecName::MsgPack),
        "bytes" => Ok(CodecName::Bytes),
        // The path of a type has `::` or begins with a capital letter; any other text was meant as a name.
        _ if text.contains("::") || text.starts_with(char::is_uppercase) => {
            name.parse().map(CodecName::Own)
        }
        _ => Err(syn::Error::new(
            name.span(),
            format!(
                "unknown codec `{text}`{}: there are {}, and the path of a type for one of your own",
                did_you_mean(&text, CODECS),
                listed(CODECS)
            ),
        )),
    }
}

/// Skips the rest of a setting, up to the comma that ends it.
pub(crate) fn skip(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

fn path(meta: &ParseNestedMeta<'_>, wanted: &str) -> syn::Result<Path> {
    let input = after_equals(meta, wanted)?;
    if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        let name = name(meta);
        let message = match text.parse::<Path>() {
            Ok(_) => format!(
                "a path stands without quotes: write `{name} = {}`",
                text.value()
            ),
            Err(_) => wanted.to_owned(),
        };
        return Err(syn::Error::new(text.span(), message));
    }
    input
        .parse()
        .map_err(|error: syn::Error| syn::Error::new(error.span(), wanted))
}

fn after_equals<'a>(meta: &ParseNestedMeta<'a>, wanted: &str) -> syn::Result<ParseStream<'a>> {
    meta.value().map_err(|_| meta.error(wanted))
}

/// Returns the name of the setting; a path is written with `::`.
pub(crate) fn name(meta: &ParseNestedMeta<'_>) -> String {
    let words = meta.path.segments.iter().map(|word| word.ident.to_string());
    words.collect::<Vec<_>>().join("::")
}
