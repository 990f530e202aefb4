//! Generates the implementation of `FromRow`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::{DefaultValue, Model, ModelField, Replacement, Source, is_option};

pub(crate) fn expand(model: &Model<'_>) -> TokenStream {
    let crate_path = &model.crate_path;
    let private = quote!(#crate_path::__private);
    let ident = &model.item.ident;
    let mapping = mapping(model, &private);
    let fields = || model.fields.iter().enumerate();
    let scans = fields().map(|(index, field)| scan(index, field, &private));
    let drops = fields().filter_map(|(index, field)| drop_check(index, field, &private));
    let uniques = fields().filter_map(|(index, field)| unique(index, field));
    let finishes = fields().map(|(index, field)| finish(index, field, &private));
    let members = fields().map(|(index, field)| {
        let (member, value) = (field.member, variable(index));
        quote!(#member: #value)
    });
    let records = model.emit.as_ref();
    let records = records.map(|emit| quote_spanned!(emit.span()=> #emit(self)));
    let records = records.unwrap_or_else(|| quote!([self]));
    quote! {
        #[automatically_derived]
        impl #private::FromRow for #ident {
            const MAPPING: #private::RowMapping = #mapping;

            #[allow(unused_imports, clippy::all, clippy::pedantic)]
            fn from_row(
                __row: &mut #private::RowScan<'_, '_>,
            ) -> ::core::result::Result<Self, #private::RowStop> {
                use #private::NoNull as _;
                #(#scans)*
                #(#drops)*
                #(#uniques)*
                #(#finishes)*
                ::core::result::Result::Ok(Self { #(#members),* })
            }

            fn into_records(
                self,
            ) -> impl ::core::iter::IntoIterator<Item: #private::KinesisRecord> {
                #records
            }
        }
    }
}

/// Returns a stand-in implementation for a model with mistakes: without it, every use of the type would be a further
/// error.
pub(crate) fn stand_in(item: &syn::DeriveInput, crate_path: &syn::Path) -> TokenStream {
    let private = quote!(#crate_path::__private);
    let ident = &item.ident;
    let (impl_generics, type_generics, where_clause) = item.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::FromRow for #ident #type_generics #where_clause {
            const MAPPING: #private::RowMapping = #private::RowMapping::new("", &[]);

            fn from_row(
                _: &mut #private::RowScan<'_, '_>,
            ) -> ::core::result::Result<Self, #private::RowStop> {
                ::core::unreachable!()
            }

            fn into_records(
                self,
            ) -> impl ::core::iter::IntoIterator<Item: #private::KinesisRecord> {
                [self]
            }
        }
    }
}

fn mapping(model: &Model<'_>, private: &TokenStream) -> TokenStream {
    let table = &model.table;
    let columns = model.fields.iter().map(|field| column(field, private));
    let delimiter = model
        .delimiter
        .map(|delimiter| quote!(.with_delimiter(#delimiter)));
    let on_duplicate = Ident::new(model.on_duplicate, Span::call_site());
    let not_validated = Ident::new(model.not_validated, Span::call_site());
    quote! {
        #private::RowMapping::new(#table, &[#(#columns),*])
            #delimiter
            .with_on_duplicate(#private::OnDuplicate::#on_duplicate)
            .with_not_validated(#private::NotValidated::#not_validated)
    }
}

fn column(field: &ModelField<'_>, private: &TokenStream) -> TokenStream {
    let label = &field.label;
    let source = match &field.source {
        Source::Position(position) => quote!(Position(#position)),
        Source::Name(name) => quote!(Name(#name)),
        Source::Row => quote!(Row),
        Source::Now | Source::Uuid | Source::Skipped => quote!(Generated),
    };
    let ty = field.ty;
    let type_name = quote!(#ty).to_string().replace(' ', "");
    let nulls = &field.nulls;
    let required = field
        .settings
        .required
        .is_some()
        .then(|| quote!(.required()));
    let unique = field.settings.unique.is_some().then(|| quote!(.unique()));
    quote! {
        #private::Column::new(#label, #private::ColumnSource::#source, #type_name)
            .with_nulls(&[#(#nulls),*])
            #required
            #unique
    }
}

fn variable(index: usize) -> Ident {
    format_ident!("__field{index}")
}

/// Returns the code that reads the field's value, which may be null.
fn scan(index: usize, field: &ModelField<'_>, private: &TokenStream) -> TokenStream {
    let (value, ty) = (variable(index), field.ty);
    let at = Literal::usize_unsuffixed(index);
    let scanned = match &field.source {
        Source::Position(_) | Source::Name(_) => scan_cell(&at, field, private),
        Source::Row => {
            let parse = field.settings.parse.as_ref();
            let parse = parse.and_then(|parse| parse.value.as_ref());
            quote_spanned! {parse.span()=>
                ::core::option::Option::Some(
                    #private::IntoParsed::<#ty>::into_parsed(#parse(__row.row()))
                        .map_err(|error| __row.invalid(#at, ::core::option::Option::None, error))?
                )
            }
        }
        Source::Now => quote_spanned! {ty.span()=>
            ::core::option::Option::Some(<#ty as #private::FromTime>::from_time(__row.now()))
        },
        Source::Uuid => quote_spanned! {ty.span()=>
            ::core::option::Option::Some(<#ty as #private::FromUuid>::from_uuid(__row.uuid()))
        },
        Source::Skipped => quote_spanned! {ty.span()=>
            ::core::option::Option::Some(<#ty as ::core::default::Default>::default())
        },
    };
    quote!(let #value: ::core::option::Option<#ty> = #scanned;)
}

fn scan_cell(at: &Literal, field: &ModelField<'_>, private: &TokenStream) -> TokenStream {
    let settings = field.settings;
    let validate = settings.validate.as_ref();
    let validate = validate
        .and_then(|validate| validate.value.as_ref())
        .map(|validate| {
            quote_spanned!(validate.span()=> __row.validated(#at, __text, #validate(__text))?;)
        });
    let null = if settings.required.is_some() {
        quote!(return ::core::result::Result::Err(__row.null(#at)))
    } else {
        quote!(::core::option::Option::None)
    };
    let read = read(at, field, private);
    quote! {
        match __row.text(#at)? {
            ::core::option::Option::None => #null,
            ::core::option::Option::Some(__text) => {
                #validate
                #read
            }
        }
    }
}

/// Returns the code for the value of a cell that is not null, in an `Option`.
fn read(at: &Literal, field: &ModelField<'_>, private: &TokenStream) -> TokenStream {
    let (settings, ty) = (field.settings, field.ty);
    let invalid = quote! {
        .map_err(|error| __row.invalid(#at, ::core::option::Option::Some(__text), error))?
    };
    let parsed = if let Some(parse) = value(settings.parse.as_ref()) {
        quote_spanned!(parse.span()=> #private::IntoParsed::<#ty>::into_parsed(#parse(__text)))
    } else if let Some(map) = value(settings.map.as_ref()) {
        let found = quote_spanned!(map.span()=> #map.get(__text).cloned().map(<#ty as ::core::convert::From<_>>::from));
        if settings.default.is_some() || is_option(ty) {
            return found;
        }
        quote_spanned!(map.span()=> #found.ok_or("a key of the map"))
    } else if let Some(format) = value(settings.format.as_ref()) {
        quote_spanned!(ty.span()=> <#ty as #private::FromFormatted>::from_formatted(__text, #format))
    } else if settings.uuid.is_some() {
        return quote_spanned! {ty.span()=>
            { let _ = __text; ::core::option::Option::Some(<#ty as #private::FromUuid>::from_uuid(__row.uuid())) }
        };
    } else {
        quote_spanned! {ty.span()=>
            (if __row.is_text(#at) {
                <#ty as #private::FromCell>::from_text
            } else {
                <#ty as #private::FromCell>::from_cell
            })(__text)
        }
    };
    quote!(::core::option::Option::Some(#parsed #invalid))
}

fn value<T>(setting: Option<&crate::input::Setting<T>>) -> Option<&T> {
    setting.and_then(|setting| setting.value.as_ref())
}

fn drop_check(index: usize, field: &ModelField<'_>, private: &TokenStream) -> Option<TokenStream> {
    if !field.drop_if_none {
        return None;
    }
    let value = variable(index);
    // A function may return `None` for a cell that is not null.
    let inner = is_option(field.ty)
        .then(|| quote!(| ::core::option::Option::Some(::core::option::Option::None)));
    Some(quote! {
        if ::core::matches!(&#value, ::core::option::Option::None #inner) {
            return ::core::result::Result::Err(#private::RowStop::Dropped(#private::DropReason::None));
        }
    })
}

fn unique(index: usize, field: &ModelField<'_>) -> Option<TokenStream> {
    field.settings.unique.as_ref()?;
    let (value, ty) = (variable(index), field.ty);
    Some(quote_spanned!(ty.span()=> __row.unique(#index, &#value);))
}

/// Returns the code that finishes a value once the row is kept.
fn finish(index: usize, field: &ModelField<'_>, private: &TokenStream) -> TokenStream {
    let (variable, ty, settings) = (variable(index), field.ty, field.settings);
    let at = Literal::usize_unsuffixed(index);
    let cut = value(settings.max_length.as_ref()).map(
        |chars| quote_spanned!(ty.span()=> <#ty as #private::MaxLength>::cut(&mut value, #chars);),
    );
    let mutable = cut.is_some().then(|| quote!(mut));
    let null = null(&at, field, private);
    let anonymize = value(settings.anonymize.as_ref()).map(|function| {
        quote_spanned! {ty.span()=>
            let #variable = <#ty as #private::Anonymized>::anonymized(
                #variable,
                |text| ::core::convert::Into::into((#function)(text, __row.seed())),
            );
        }
    });
    let replace = value(settings.replace.as_ref()).map(|replacement| match replacement {
        Replacement::Function(function) => {
            quote_spanned!(function.span()=> let #variable: #ty = #function(#variable);)
        }
        Replacement::Text(text) => quote_spanned! {ty.span()=>
            let #variable = <#ty as #private::Anonymized>::anonymized(
                #variable,
                |value| ::std::string::String::from(#text).replace("{}", value),
            );
        },
    });
    quote! {
        let #variable: #ty = match #variable {
            ::core::option::Option::Some(#mutable value) => { #cut value }
            ::core::option::Option::None => #null,
        };
        #anonymize
        #replace
    }
}

/// Returns the code for the value of a null.
fn null(at: &Literal, field: &ModelField<'_>, private: &TokenStream) -> TokenStream {
    let ty = field.ty;
    let is_option = is_option(ty);
    let default = match value(field.settings.default.as_ref()) {
        Some(DefaultValue::Function(function)) => {
            return quote_spanned!(function.span()=> #function());
        }
        Some(DefaultValue::Text(text)) => {
            quote_spanned!(text.span()=> ::core::convert::Into::into(#text))
        }
        Some(DefaultValue::Literal(literal)) => quote!(#literal),
        None if is_option => return quote!(::core::option::Option::None),
        None => {
            return quote! {
                match #private::NullOf::<#ty>::ask().value() {
                    ::core::option::Option::Some(value) => value,
                    ::core::option::Option::None => {
                        return ::core::result::Result::Err(__row.null(#at));
                    }
                }
            };
        }
    };
    if is_option {
        quote!(::core::option::Option::Some(#default))
    } else {
        default
    }
}
