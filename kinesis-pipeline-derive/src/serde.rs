//! Serde's attributes that decide whether a record can work at all.

use syn::{Attribute, Lit, Token, token};

use crate::value::skip;

/// One entry of `#[serde(...)]`, such as `rename = "device"`.
struct Entry {
    name: String,
    text: Option<String>,
}

/// Whether serde does not read the field with the `Deserialize` of its type.
pub(crate) fn reads_otherwise(attributes: &[Attribute]) -> bool {
    let otherwise = ["skip", "skip_deserializing", "with", "deserialize_with"];
    entries(attributes)
        .iter()
        .any(|entry| otherwise.contains(&entry.name.as_str()))
}

/// Whether serde skips the field on reading.
pub(crate) fn skips(attributes: &[Attribute]) -> bool {
    entries(attributes)
        .iter()
        .any(|entry| ["skip", "skip_deserializing"].contains(&entry.name.as_str()))
}

/// Whether serde writes the type in another shape than its own.
pub(crate) fn writes_otherwise(attributes: &[Attribute]) -> bool {
    let otherwise = ["into", "transparent", "remote"];
    entries(attributes)
        .iter()
        .any(|entry| otherwise.contains(&entry.name.as_str()))
}

/// Returns the name under which serde reads the field, if it gives one.
pub(crate) fn read_name(attributes: &[Attribute]) -> Option<String> {
    renamed(attributes, "rename(deserialize)")
}

/// Returns the name under which serde writes the field, if it gives one.
pub(crate) fn written_name(attributes: &[Attribute]) -> Option<String> {
    renamed(attributes, "rename(serialize)")
}

fn renamed(attributes: &[Attribute], one_way: &str) -> Option<String> {
    entries(attributes)
        .into_iter()
        .find(|entry| ["rename", one_way].contains(&entry.name.as_str()) && entry.text.is_some())
        .and_then(|entry| entry.text)
}

/// Returns serde's entries, as far as they can be read. Serde itself reports errors in them.
fn entries(attributes: &[Attribute]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for attribute in attributes.iter().filter(|one| one.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            let mut entry = Entry {
                name: meta.path.require_ident()?.to_string(),
                text: None,
            };
            if meta.input.peek(Token![=]) {
                meta.input.parse::<Token![=]>()?;
                entry.text = text(meta.input)?;
            } else if meta.input.peek(token::Paren) {
                // `rename(serialize = "...", deserialize = "...")`
                let outer = entry.name.clone();
                meta.parse_nested_meta(|inner| {
                    entries.push(Entry {
                        name: format!("{outer}({})", inner.path.require_ident()?),
                        text: text(inner.value()?)?,
                    });
                    Ok(())
                })?;
            }
            entries.push(entry);
            Ok(())
        });
    }
    entries
}

fn text(input: syn::parse::ParseStream<'_>) -> syn::Result<Option<String>> {
    match input.parse() {
        Ok(Lit::Str(text)) => Ok(Some(text.value())),
        Ok(_) => Ok(None),
        Err(_) => skip(input).map(|()| None),
    }
}
