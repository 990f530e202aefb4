//! The values that functions of a model may return.

use std::fmt::Display;

/// The result of a `parse` function: the value, or a `Result` with it.
pub trait IntoParsed<T> {
    /// Returns the value, or a text of the expected form.
    ///
    /// # Errors
    /// The error's text: it completes the sentence "is not ...".
    fn into_parsed(self) -> Result<T, String>;
}

impl<T> IntoParsed<T> for T {
    fn into_parsed(self) -> Result<T, String> {
        Ok(self)
    }
}

impl<T, E: Display> IntoParsed<T> for Result<T, E> {
    fn into_parsed(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// The result of a `validate` function: a `bool`, or a `Result` that gives the reason.
#[diagnostic::on_unimplemented(
    message = "a `validate` function returns a `bool` or a `Result<(), E>`, not `{Self}`",
    label = "no verdict on a cell"
)]
pub trait IntoVerdict {
    /// Returns whether the cell is valid.
    ///
    /// # Errors
    /// The reason, if the function gives one.
    fn into_verdict(self) -> Result<(), Option<String>>;
}

impl IntoVerdict for bool {
    fn into_verdict(self) -> Result<(), Option<String>> {
        if self { Ok(()) } else { Err(None) }
    }
}

impl<E: Display> IntoVerdict for Result<(), E> {
    fn into_verdict(self) -> Result<(), Option<String>> {
        self.map_err(|error| Some(error.to_string()))
    }
}
