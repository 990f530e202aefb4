//! Generates the implementation of `KinesisRecord`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Data, Generics, Ident, Member, Path, Type, WherePredicate, parse_quote, spanned::Spanned,
};

use crate::{
    generics::mentions,
    record::{Codec, Direction, Envelope, KeyField, KeySource, Record},
};

pub(crate) fn expand(record: &Record<'_>) -> TokenStream {
    let private = private(&record.crate_path);
    let ident = &record.item.ident;
    let bounded = bounded_generics(record, &private);
    let (impl_generics, _, where_clause) = bounded.split_for_impl();
    let (_, type_generics, _) = record.item.generics.split_for_impl();
    let partition_key = partition_key(&record.partition_key, &private);
    let explicit_hash_key = explicit_hash_key(record, &private);
    let direction = direction(record.direction);
    let (encode, decode) = codec(record, &private);
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::KinesisRecord for #ident #type_generics #where_clause {
            const DIRECTION: #private::Direction = #private::Direction::#direction;

            fn partition_key(&self) -> ::core::result::Result<#private::PartitionKey, #private::KeyError> {
                #partition_key
            }

            #explicit_hash_key

            fn encode(
                &self,
                __context: &#private::EncodeContext,
                __out: &mut #private::BytesMut,
            ) -> ::core::result::Result<(), #private::EncodeError> {
                #encode
            }

            fn decode(
                stored: &#private::EncodedRecord,
            ) -> ::core::result::Result<Self, #private::DecodeError> {
                #decode
            }
        }
    }
}

/// Returns a stand-in implementation for a type with mistakes: without it, every use of the type would be a further
/// error.
pub(crate) fn stand_in(item: &syn::DeriveInput, crate_path: &Path) -> TokenStream {
    let private = private(crate_path);
    let ident = &item.ident;
    let (impl_generics, type_generics, where_clause) = item.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::KinesisRecord for #ident #type_generics #where_clause {
            fn partition_key(&self) -> ::core::result::Result<#private::PartitionKey, #private::KeyError> {
                ::core::unreachable!()
            }

            fn encode(
                &self,
                _: &#private::EncodeContext,
                _: &mut #private::BytesMut,
            ) -> ::core::result::Result<(), #private::EncodeError> {
                ::core::unreachable!()
            }

            fn decode(
                _: &#private::EncodedRecord,
            ) -> ::core::result::Result<Self, #private::DecodeError> {
                ::core::unreachable!()
            }
        }
    }
}

fn private(crate_path: &Path) -> TokenStream {
    quote!(#crate_path::__private)
}

fn partition_key(source: &KeySource<'_>, private: &TokenStream) -> TokenStream {
    match source {
        KeySource::Random => quote! {
            ::core::result::Result::Ok(#private::PartitionKey::random())
        },
        KeySource::Computed(path) => quote_spanned! {path.span()=>
            #private::ToPartitionKey::to_partition_key(&#path(self))
        },
        KeySource::Fields(keys) => {
            let arms = keys.iter().map(|key| {
                let trait_path = quote!(#private::ToPartitionKey);
                key_arm(key, &trait_path, "to_partition_key", private)
            });
            quote!(match self { #(#arms)* })
        }
    }
}

fn explicit_hash_key(record: &Record<'_>, private: &TokenStream) -> Option<TokenStream> {
    let keys = &record.explicit_hash_keys;
    if keys.is_empty() {
        return None;
    }
    let arms = keys.iter().map(|key| {
        let trait_path = quote!(#private::ToHashKey);
        key_arm(key, &trait_path, "to_hash_key", private)
    });
    let has_others =
        matches!(&record.item.data, Data::Enum(data) if data.variants.len() > keys.len());
    let others =
        has_others.then(|| quote!(_ => ::core::result::Result::Ok(::core::option::Option::None),));
    Some(quote! {
        fn explicit_hash_key(
            &self,
        ) -> ::core::result::Result<::core::option::Option<#private::HashKey>, #private::KeyError> {
            match self {
                #(#arms)*
                #others
            }
        }
    })
}

/// Returns one arm of a `match self`, which takes the key from its field and names the field in an error.
fn key_arm(
    key: &KeyField<'_>,
    trait_path: &TokenStream,
    method: &str,
    private: &TokenStream,
) -> TokenStream {
    let KeyField {
        variant,
        member,
        ty,
        label,
    } = key;
    let variant = variant.map(|name| quote!(::#name));
    let method = Ident::new(method, ty.span());
    let read = quote_spanned!(ty.span()=> <#ty as #trait_path>::#method(key));
    quote! {
        Self #variant { #member: key, .. } => #read
            .map_err(|error| #private::KeyError::in_field(error, #label)),
    }
}

fn direction(direction: Direction) -> Ident {
    let name = match direction {
        Direction::Both => "Both",
        Direction::PutOnly => "PutOnly",
        Direction::GetOnly => "GetOnly",
    };
    Ident::new(name, Span::call_site())
}

/// Returns the bodies of `encode` and `decode`.
fn codec(record: &Record<'_>, private: &TokenStream) -> (TokenStream, TokenStream) {
    let (mut encode, mut decode) = match &record.codec {
        Codec::Serde(name) => {
            let format = Ident::new(name, Span::call_site());
            serde_codec(record, &quote!(#private::#format), private)
        }
        Codec::Bytes { member, ty } => bytes_codec(record.direction, member, ty, private),
        Codec::Own(path) => own_codec(&quote!(#path), private),
    };
    match record.direction {
        Direction::Both => {}
        Direction::PutOnly => decode = quote!(#private::refuse_decode(stored)),
        Direction::GetOnly => {
            encode = quote! {
                let _ = (__context, __out);
                #private::refuse_encode()
            };
        }
    }
    (encode, decode)
}

/// Returns the trait that stands for all of serde's traits that are needed, so that missing ones give a single error.
fn serde_trait(direction: Direction, private: &TokenStream) -> TokenStream {
    match direction {
        Direction::Both => quote!(#private::SerdeRecord),
        Direction::PutOnly => quote!(#private::SerdePutRecord),
        Direction::GetOnly => quote!(#private::SerdeGetRecord),
    }
}

fn serde_codec(
    record: &Record<'_>,
    format: &TokenStream,
    private: &TokenStream,
) -> (TokenStream, TokenStream) {
    let serde = serde_trait(record.direction, private);
    // A trait that the type lacks is reported at the type's name.
    let this = quote_spanned!(record.item.ident.span()=> Self);
    let meta = match &record.envelope {
        Envelope::None => {
            let encode = quote! {
                let _ = __context;
                <#this as #serde>::encode_plain::<#format>(self, __out)
            };
            let decode = quote!(<#this as #serde>::decode_plain::<#format>(&stored.data));
            return (encode, decode);
        }
        Envelope::Event {
            event_type,
            produced_by,
        } => quote!(#private::EventMeta::new(#event_type, #produced_by, __context)),
        Envelope::Own(path) => quote_spanned!(path.span()=> #path(self, __context)),
    };
    (
        quote! {
            let meta = #meta;
            <#this as #serde>::encode_enveloped::<#format, _>(self, &meta, __out)
        },
        quote!(<#this as #serde>::decode_enveloped::<#format>(&stored.data)),
    )
}

fn bytes_codec(
    direction: Direction,
    member: &Member,
    ty: &Type,
    private: &TokenStream,
) -> (TokenStream, TokenStream) {
    let encode = if direction == Direction::PutOnly {
        quote_spanned!(ty.span()=> #private::encode_bytes::<#ty>)
    } else {
        quote_spanned!(ty.span()=> #private::encode_raw::<#ty>)
    };
    let decode = quote_spanned!(ty.span()=> #private::decode_raw::<#ty>);
    let this = match member {
        Member::Named(name) => quote!(Self { #name: value }),
        Member::Unnamed(_) => quote!(Self(value)),
    };
    (
        quote! {
            let _ = __context;
            #encode(&self.#member, __out)
        },
        quote! {
            let value = #decode(&stored.data)?;
            ::core::result::Result::Ok(#this)
        },
    )
}

fn own_codec(codec: &TokenStream, private: &TokenStream) -> (TokenStream, TokenStream) {
    (
        quote! {
            let _ = __context;
            <#codec as #private::Codec<Self>>::encode(self, __out)
        },
        quote!(<#codec as #private::Codec<Self>>::decode(&stored.data)),
    )
}

/// Returns the type's generics. A generic type gets bounds for the needs of the bodies, of its codec and of its key
/// fields.
fn bounded_generics(record: &Record<'_>, private: &TokenStream) -> Generics {
    let mut generics = record.item.generics.clone();
    if generics.type_params().next().is_none() {
        return generics;
    }
    let mut predicates = codec_bounds(record, private);
    let is_generic = |ty: &Type| mentions(ty, &record.item.generics);
    if let KeySource::Fields(keys) = &record.partition_key {
        for ty in keys.iter().map(|key| key.ty).filter(|ty| is_generic(ty)) {
            predicates.push(parse_quote!(#ty: #private::ToPartitionKey));
        }
    }
    let hash_keys = record.explicit_hash_keys.iter().map(|key| key.ty);
    for ty in hash_keys.filter(|ty| is_generic(ty)) {
        predicates.push(parse_quote!(#ty: #private::ToHashKey));
    }
    generics.make_where_clause().predicates.extend(predicates);
    generics
}

fn codec_bounds(record: &Record<'_>, private: &TokenStream) -> Vec<WherePredicate> {
    match &record.codec {
        Codec::Serde(_) => {
            let serde = serde_trait(record.direction, private);
            vec![parse_quote!(Self: #serde)]
        }
        Codec::Bytes { ty, .. } if record.direction == Direction::PutOnly => {
            vec![parse_quote!(#ty: ::core::convert::AsRef<[u8]>)]
        }
        Codec::Bytes { ty, .. } => vec![parse_quote!(#ty: #private::RawBytes)],
        Codec::Own(path) => vec![parse_quote!(#path: #private::Codec<Self>)],
    }
}
