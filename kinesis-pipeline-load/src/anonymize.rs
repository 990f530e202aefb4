//! Functions for `#[kinesis(anonymize = ...)]`, which replace a text by another one that depends on the text and the
//! seed alone.
//!
//! With one seed a person stays one person, across tables and runs. Keep the seed secret: with it, the original text
//! can be found by trying all texts.
//!
//! | function | makes of `Jane Doe, 42` |
//! |---|---|
//! | [`keep_class`] | `Qkxe Wol, 73`: letters stay letters, digits stay digits |
//! | [`hash`] | 32 hexadecimal digits |
//! | [`choice`] | one of the texts that you give |
//! | [`fixed`] | the text that you give |
//! | [`name`], [`first_name`], [`last_name`], [`email`], [`city`], [`phone`], [`company`] | a made-up one |
//!
//! Made-up names come from the crate `fake`: a later version of it may choose others. The empty text stays empty,
//! except with [`choice`] and [`fixed`].
//!
//! ```
//! use kinesis_pipeline::{KinesisRecord, record::row::Seed};
//! use kinesis_pipeline_load::anonymize;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, KinesisRecord)]
//! struct Customer {
//!     #[kinesis(partition_key, pos = 0, anonymize = anonymize::hash)]
//!     id: String,
//!     #[kinesis(pos = 1, anonymize = anonymize::name)]
//!     name: String,
//!     #[kinesis(pos = 2, anonymize = anonymize::choice(&["NL", "IT"]))]
//!     country: String,
//! }
//!
//! let seed = Seed::new(*b"sixteen or more!");
//! assert_eq!(anonymize::name("Jane Doe", &seed), anonymize::name("Jane Doe", &seed));
//! ```

use std::fmt::Write as _;

use fake::{
    Fake,
    faker::{
        address::en::CityName,
        company::en::CompanyName,
        internet::en::SafeEmail,
        name::en::{FirstName, LastName, Name},
        phone_number::en::PhoneNumber,
    },
    rand::{SeedableRng, rngs::StdRng},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use kinesis_pipeline::record::row::Seed;
use sha2::Sha256;

/// Returns the keyed hash of a text.
fn digest(text: &str, seed: &Seed, block: u64) -> [u8; 32] {
    // HMAC accepts keys of every length, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(seed.as_bytes()) else {
        return [0; 32];
    };
    mac.update(&block.to_le_bytes());
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// Returns a text of the same shape: a letter for a letter, in its case, a digit for a digit; white space and
/// punctuation stay, anything else becomes `-`.
#[must_use]
pub fn keep_class(text: &str, seed: &Seed) -> String {
    let mut block = 0;
    let mut bytes = Vec::new();
    let mut next = || {
        if bytes.is_empty() {
            bytes = digest(text, seed, block).to_vec();
            block += 1;
        }
        bytes.pop().unwrap_or_default()
    };
    let mut of = |first: u8, count: u8| char::from(first + next() % count);
    text.chars()
        .map(|char| match char {
            _ if char.is_lowercase() => of(b'a', 26),
            _ if char.is_uppercase() => of(b'A', 26),
            _ if char.is_numeric() => of(b'0', 10),
            _ if char.is_whitespace() || char.is_ascii_punctuation() => char,
            _ => '-',
        })
        .collect()
}

/// Returns 32 hexadecimal digits: half of an HMAC with SHA-256.
#[must_use]
pub fn hash(text: &str, seed: &Seed) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut hex = String::with_capacity(32);
    for byte in &digest(text, seed, 0)[..16] {
        // Writing to a text does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Returns a function that chooses one of these texts.
pub fn choice<'a>(texts: &'a [&'a str]) -> impl Fn(&str, &Seed) -> String + 'a {
    move |text, seed| {
        let index = number(text, seed) % (texts.len().max(1) as u64);
        let index = usize::try_from(index).unwrap_or_default();
        texts.get(index).copied().unwrap_or_default().to_owned()
    }
}

/// Returns a function that replaces every text by this one.
pub fn fixed(replacement: &str) -> impl Fn(&str, &Seed) -> String + '_ {
    move |_, _| replacement.to_owned()
}

fn number(text: &str, seed: &Seed) -> u64 {
    let digest = digest(text, seed, 0);
    digest[..8]
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

macro_rules! made_up {
    ($($(#[doc = $doc:literal])* $function:ident = $faker:expr;)*) => {$(
        $(#[doc = $doc])*
        #[must_use]
        pub fn $function(text: &str, seed: &Seed) -> String {
            if text.is_empty() {
                return String::new();
            }
            let mut random = StdRng::from_seed(digest(text, seed, 0));
            $faker.fake_with_rng(&mut random)
        }
    )*};
}

made_up! {
    /// Returns a made-up name of a person.
    name = Name();
    /// Returns a made-up first name.
    first_name = FirstName();
    /// Returns a made-up last name.
    last_name = LastName();
    /// Returns a made-up e-mail address at a domain that is reserved for examples.
    email = SafeEmail();
    /// Returns a made-up name of a city.
    city = CityName();
    /// Returns a made-up phone number.
    phone = PhoneNumber();
    /// Returns a made-up name of a company.
    company = CompanyName();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(text: &str) -> Seed {
        Seed::new(text.as_bytes())
    }

    #[test]
    fn the_class_of_each_character_stays() {
        let text = "Jane Doe, 42é—";
        let masked = keep_class(text, &seed("a"));
        let classes: Vec<_> = masked
            .chars()
            .zip(text.chars())
            .map(|(new, old)| {
                (new.is_lowercase(), new.is_uppercase(), new.is_numeric())
                    == (old.is_lowercase(), old.is_uppercase(), old.is_numeric())
            })
            .collect();
        assert!(classes.iter().all(|same| *same), "{masked}");
        assert!(masked.ends_with('-') && masked.contains(", "), "{masked}");
        assert_ne!(masked, text);
    }

    #[test]
    fn a_person_stays_one_person_with_one_seed_and_is_another_with_another() {
        let all: [fn(&str, &Seed) -> String; 9] = [
            keep_class, hash, name, first_name, last_name, email, city, phone, company,
        ];
        for (index, function) in all.into_iter().enumerate() {
            let of = |person: &str, key: &str| function(person, &seed(key));
            assert_eq!(of("Jane Doe", "a"), of("Jane Doe", "a"), "{index}");
            let others: Vec<_> = ["b", "c", "d"].map(|key| of("Jane Doe", key)).into();
            assert!(
                others.iter().any(|other| *other != of("Jane Doe", "a")),
                "{index}"
            );
        }
    }

    #[test]
    fn a_long_text_does_not_repeat_its_mask() {
        let masked = keep_class(&"a".repeat(200), &seed("a"));
        assert_eq!(masked.len(), 200);
        assert_ne!(masked[..32], masked[32..64]);
    }

    #[test]
    fn a_choice_is_one_of_the_texts_and_spreads() {
        let choose = choice(&["a", "b", "c"]);
        let chosen: std::collections::BTreeSet<_> = (0..64)
            .map(|n| choose(&n.to_string(), &seed("s")))
            .collect();
        assert_eq!(chosen.len(), 3);
        assert_eq!(choice(&[])("x", &seed("s")), "");
        assert_eq!(fixed("x")("y", &seed("s")), "x");
    }

    #[test]
    fn the_hash_is_an_hmac_and_hides_the_text() {
        assert_eq!(hash("a", &seed("k")).len(), 32);
        assert_ne!(hash("a", &seed("k")), hash("b", &seed("k")));
        assert_eq!(hash("", &seed("k")), "");
    }
}
