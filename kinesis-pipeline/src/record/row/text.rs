//! The traits of values that can be cut to a length or anonymised.

/// A type that `#[kinesis(max_length = ...)]` can cut.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no length in characters",
    label = "`max_length` cuts a `String` or an `Option<String>`"
)]
pub trait MaxLength {
    /// Cuts the value off after `chars` characters.
    fn cut(&mut self, chars: usize);
}

impl MaxLength for String {
    fn cut(&mut self, chars: usize) {
        if let Some((end, _)) = self.char_indices().nth(chars) {
            self.truncate(end);
        }
    }
}

impl<T: MaxLength> MaxLength for Option<T> {
    fn cut(&mut self, chars: usize) {
        if let Some(text) = self {
            text.cut(chars);
        }
    }
}

/// A type that `#[kinesis(anonymize = ...)]` can replace: its text is given to the function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be anonymised by its text",
    label = "`anonymize` takes a text, an integer or an `Option` of these",
    note = "use `replace = path::to::function` for a value of another type"
)]
pub trait Anonymized: Sized {
    /// Returns the value whose text is the function's result. A value that the type cannot hold becomes its
    /// nearest: 0 for an integer.
    #[must_use]
    fn anonymized(self, function: impl FnOnce(&str) -> String) -> Self;
}

impl Anonymized for String {
    fn anonymized(self, function: impl FnOnce(&str) -> String) -> Self {
        function(&self)
    }
}

impl<T: Anonymized> Anonymized for Option<T> {
    fn anonymized(self, function: impl FnOnce(&str) -> String) -> Self {
        self.map(|value| value.anonymized(function))
    }
}

macro_rules! anonymized_integers {
    ($($type:ty)*) => {$(
        impl Anonymized for $type {
            fn anonymized(self, function: impl FnOnce(&str) -> String) -> Self {
                function(&self.to_string()).parse().unwrap_or_default()
            }
        }
    )*};
}

anonymized_integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_characters_and_not_at_bytes() {
        let mut text = "éééé".to_owned();
        text.cut(3);
        assert_eq!(text, "ééé");
        text.cut(3);
        assert_eq!(text, "ééé");
        let mut none = None::<String>;
        none.cut(1);
        assert_eq!(none, None);
    }

    #[test]
    fn an_integer_is_anonymised_by_its_text() {
        assert_eq!(41_i64.anonymized(|text| format!("{text}1")), 411);
        assert_eq!(41_u8.anonymized(|_| "999".into()), 0);
        assert_eq!(None::<i64>.anonymized(|_| "1".into()), None);
    }
}
