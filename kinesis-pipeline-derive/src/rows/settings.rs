//! The settings that concern rows, as they were written.

use proc_macro2::{Ident, Span};
use quote::ToTokens as _;
use syn::{
    Lit, LitInt, LitStr, Path, Token,
    ext::IdentExt as _,
    meta::ParseNestedMeta,
    parse::{ParseStream, Parser as _},
    token,
};

use super::{FieldNames, Function};
use crate::{
    input::Setting,
    mistakes::Mistakes,
    parse::set,
    value::{self, function, text},
};

/// The settings of a type.
#[derive(Default)]
pub(crate) struct TypeSettings {
    pub(crate) rows: Option<Setting<()>>,
    pub(crate) table_name: Option<Setting<LitStr>>,
    pub(crate) delimiter: Option<Setting<u8>>,
    pub(crate) null: Option<Setting<Vec<LitStr>>>,
    pub(crate) drop_if_none: Option<Setting<FieldNames>>,
    pub(crate) drop_non_unique: Option<Setting<()>>,
    pub(crate) fail_non_unique: Option<Setting<()>>,
    pub(crate) drop_not_validated: Option<Setting<()>>,
    pub(crate) fail_not_validated: Option<Setting<()>>,
    pub(crate) emit: Option<Setting<Path>>,
    /// The place of the first setting that concerns rows.
    pub(crate) first: Option<Span>,
}

/// The settings of a field.
#[derive(Default)]
pub(crate) struct FieldSettings {
    pub(crate) pos: Option<Setting<LitInt>>,
    pub(crate) column: Option<Setting<LitStr>>,
    pub(crate) null: Option<Setting<Vec<LitStr>>>,
    pub(crate) default: Option<Setting<DefaultValue>>,
    pub(crate) required: Option<Setting<()>>,
    pub(crate) parse: Option<Setting<Path>>,
    pub(crate) format: Option<Setting<LitStr>>,
    pub(crate) map: Option<Setting<Path>>,
    pub(crate) validate: Option<Setting<Path>>,
    pub(crate) unique: Option<Setting<()>>,
    pub(crate) max_length: Option<Setting<LitInt>>,
    pub(crate) anonymize: Option<Setting<Function>>,
    pub(crate) replace: Option<Setting<Replacement>>,
    pub(crate) now: Option<Setting<()>>,
    pub(crate) uuid: Option<Setting<()>>,
    /// The place of the first setting that concerns rows.
    pub(crate) first: Option<Span>,
}

/// The value of `default`.
pub(crate) enum DefaultValue {
    Text(LitStr),
    Literal(proc_macro2::TokenStream),
    Function(Path),
}

/// The value of `replace`.
pub(crate) enum Replacement {
    /// `{}` stands for the value.
    Text(LitStr),
    Function(Path),
}

/// Reads a setting of a type, if it is one that concerns rows.
pub(crate) fn read_type_setting(
    name: &str,
    meta: &ParseNestedMeta<'_>,
    settings: &mut TypeSettings,
    mistakes: &mut Mistakes,
) -> Option<syn::Result<()>> {
    let result = match name {
        "rows" => set(&mut settings.rows, meta, value::none, mistakes),
        "table_name" => set(&mut settings.table_name, meta, text, mistakes),
        "delimiter" => set(&mut settings.delimiter, meta, delimiter, mistakes),
        "null" => set(&mut settings.null, meta, nulls, mistakes),
        "drop_if_none" => set(&mut settings.drop_if_none, meta, field_names, mistakes),
        "drop_non_unique" => set(&mut settings.drop_non_unique, meta, value::none, mistakes),
        "fail_non_unique" => set(&mut settings.fail_non_unique, meta, value::none, mistakes),
        "drop_not_validated" => set(
            &mut settings.drop_not_validated,
            meta,
            value::none,
            mistakes,
        ),
        "fail_not_validated" => set(
            &mut settings.fail_not_validated,
            meta,
            value::none,
            mistakes,
        ),
        "emit" => set(&mut settings.emit, meta, function, mistakes),
        _ => return None,
    };
    settings.first.get_or_insert(place(meta));
    Some(result)
}

/// Reads a setting of a field, if it is one that concerns rows.
pub(crate) fn read_field_setting(
    name: &str,
    meta: &ParseNestedMeta<'_>,
    settings: &mut FieldSettings,
    mistakes: &mut Mistakes,
) -> Option<syn::Result<()>> {
    let result = match name {
        "pos" => set(&mut settings.pos, meta, position, mistakes),
        "column" => set(&mut settings.column, meta, text, mistakes),
        "null" => set(&mut settings.null, meta, nulls, mistakes),
        "default" => set(&mut settings.default, meta, default, mistakes),
        "required" => set(&mut settings.required, meta, value::none, mistakes),
        "parse" => set(&mut settings.parse, meta, function, mistakes),
        "format" => set(&mut settings.format, meta, text, mistakes),
        "map" => set(&mut settings.map, meta, map, mistakes),
        "validate" => set(&mut settings.validate, meta, function, mistakes),
        "unique" => set(&mut settings.unique, meta, value::none, mistakes),
        "max_length" => set(&mut settings.max_length, meta, max_length, mistakes),
        "anonymize" => set(&mut settings.anonymize, meta, anonymize, mistakes),
        "replace" => set(&mut settings.replace, meta, replacement, mistakes),
        "now" => set(&mut settings.now, meta, value::none, mistakes),
        "uuid" => set(&mut settings.uuid, meta, value::none, mistakes),
        _ => return None,
    };
    settings.first.get_or_insert(place(meta));
    Some(result)
}

fn place(meta: &ParseNestedMeta<'_>) -> Span {
    syn::spanned::Spanned::span(&meta.path)
}

fn equals<'a>(meta: &ParseNestedMeta<'a>, wanted: &str) -> syn::Result<ParseStream<'a>> {
    meta.value().map_err(|_| meta.error(wanted))
}

fn position(meta: &ParseNestedMeta<'_>) -> syn::Result<LitInt> {
    number(
        meta,
        0,
        "`pos` is the position of a column, counted from 0: write `pos = 3`",
    )
}

fn max_length(meta: &ParseNestedMeta<'_>) -> syn::Result<LitInt> {
    number(
        meta,
        1,
        "`max_length` is a number of characters, 1 or more: write `max_length = 40`",
    )
}

fn number(meta: &ParseNestedMeta<'_>, min: usize, wanted: &str) -> syn::Result<LitInt> {
    let input = equals(meta, wanted)?;
    let number: LitInt = input
        .parse()
        .map_err(|error| syn::Error::new(error.span(), wanted))?;
    match number.base10_parse::<usize>() {
        Ok(value) if value >= min => Ok(number),
        _ => Err(syn::Error::new(number.span(), wanted)),
    }
}

fn delimiter(meta: &ParseNestedMeta<'_>) -> syn::Result<u8> {
    let wanted = "`delimiter` is one ASCII character: write `delimiter = ';'`";
    let input = equals(meta, wanted)?;
    let literal: Lit = input
        .parse()
        .map_err(|error| syn::Error::new(error.span(), wanted))?;
    let byte = match &literal {
        Lit::Char(char) => u8::try_from(char.value()).ok(),
        Lit::Byte(byte) => Some(byte.value()),
        Lit::Str(text) => match *text.value().as_bytes() {
            [byte] => Some(byte),
            _ => None,
        },
        _ => None,
    };
    match byte {
        Some(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
        _ => Err(syn::Error::new_spanned(literal, wanted)),
    }
}

fn nulls(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<LitStr>> {
    let wanted =
        "`null` is a text or a list of texts: write `null = \"NULL\"` or `null = [\"NULL\", \"\"]`";
    let input = equals(meta, wanted)?;
    list(input, |input| {
        input
            .parse()
            .map_err(|error: syn::Error| syn::Error::new(error.span(), wanted))
    })
}

fn field_names(meta: &ParseNestedMeta<'_>) -> syn::Result<FieldNames> {
    let wanted = "`drop_if_none` is a field or a list of fields: write `drop_if_none = [id, name]`";
    let input = equals(meta, wanted)?;
    list(input, |input| {
        // A field may have the name of a keyword, with `r#` before it or without.
        let name = if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            text.parse_with(Ident::parse_any)
                .map_err(|_| syn::Error::new(text.span(), wanted))
        } else {
            Ident::parse_any(input).map_err(|error| syn::Error::new(error.span(), wanted))
        };
        name.map(|name| name.unraw())
    })
}

/// Reads one value, or several in brackets.
fn list<T>(
    input: ParseStream<'_>,
    read: impl Fn(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<Vec<T>> {
    if !input.peek(token::Bracket) {
        return read(input).map(|one| vec![one]);
    }
    // The group is taken as a whole, so that a mistake inside does not hide the settings behind it.
    let group: proc_macro2::Group = input.parse()?;
    let inside = |inside: ParseStream<'_>| {
        let mut values = Vec::new();
        while !inside.is_empty() {
            values.push(read(inside)?);
            if !inside.is_empty() {
                inside.parse::<Token![,]>()?;
            }
        }
        Ok(values)
    };
    inside.parse2(group.stream())
}

fn default(meta: &ParseNestedMeta<'_>) -> syn::Result<DefaultValue> {
    let wanted = "`default` is a literal or a function: write `default = \"NL\"` or `default = path::to::function`";
    let input = equals(meta, wanted)?;
    if input.peek(LitStr) {
        return input.parse().map(DefaultValue::Text);
    }
    let at = |error: syn::Error| syn::Error::new(error.span(), wanted);
    if input.peek(Token![-]) {
        let minus: Token![-] = input.parse()?;
        let literal: Lit = input.parse().map_err(at)?;
        return Ok(DefaultValue::Literal(quote::quote!(#minus #literal)));
    }
    if input.peek(Lit) {
        let literal: Lit = input.parse()?;
        return Ok(DefaultValue::Literal(literal.to_token_stream()));
    }
    input.parse().map(DefaultValue::Function).map_err(at)
}

fn replacement(meta: &ParseNestedMeta<'_>) -> syn::Result<Replacement> {
    let wanted = "`replace` is a text, in which {} is the value, or a function: write `replace = \"user-{}\"` or `replace = path::to::function`";
    let input = equals(meta, wanted)?;
    if input.peek(LitStr) {
        return input.parse().map(Replacement::Text);
    }
    input
        .parse()
        .map(Replacement::Function)
        .map_err(|error: syn::Error| syn::Error::new(error.span(), wanted))
}

fn map(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let wanted = "`map` is a static map from texts to values: write `map = COUNTRIES`";
    let input = equals(meta, wanted)?;
    input
        .parse()
        .map_err(|error: syn::Error| syn::Error::new(error.span(), wanted))
}

/// Returns a path, with its arguments if there are any. The compiler checks them later.
fn anonymize(meta: &ParseNestedMeta<'_>) -> syn::Result<Function> {
    let wanted = "`anonymize` is a function from a text and a seed: write `anonymize = path::to::function`, or one that makes it, `anonymize = choice(&[\"a\", \"b\"])`";
    let input = equals(meta, wanted)?;
    let path: Path = input
        .parse()
        .map_err(|error| syn::Error::new(error.span(), wanted))?;
    let mut tokens = path.into_token_stream();
    if input.peek(token::Paren) {
        let arguments: proc_macro2::Group = input.parse()?;
        tokens.extend(arguments.into_token_stream());
    }
    Ok(tokens)
}
