use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Generics, Type};

/// Whether the type mentions one of the type parameters. A false match only adds a bound that is met anyway.
pub(crate) fn mentions(ty: &Type, generics: &Generics) -> bool {
    let has_parameter = |name: &str| generics.type_params().any(|one| one.ident == name);
    any_word(ty.to_token_stream(), &has_parameter)
}

fn any_word(tokens: TokenStream, matches: &impl Fn(&str) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => matches(&word.to_string()),
        TokenTree::Group(group) => any_word(group.stream(), matches),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
