//! Tokens of listings: the text that carries where a listing stands from one page to the next.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::iterator::checksum;
use crate::local::api_error::ApiError;

/// The lifetime of a token.
const TOKEN_LIFE_MILLIS: u64 = 5 * 60 * 1000;

/// The position of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::local) struct PageToken {
    /// A name that means something to the operation that wrote it.
    pub(in crate::local) name: String,
    /// Numbers of the same kind.
    pub(in crate::local) parts: Vec<u64>,
}

impl PageToken {
    pub(in crate::local) fn new(name: &str, parts: Vec<u64>) -> Self {
        Self {
            name: name.to_owned(),
            parts,
        }
    }

    /// Returns the token's text, handed out at this time.
    pub(in crate::local) fn text(&self, now_millis: u64) -> String {
        let numbers = [now_millis].into_iter().chain(self.parts.iter().copied());
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        let body = format!("{}/{}", self.name, numbers.join("/"));
        STANDARD.encode(format!("{body}/{}", checksum(body.as_bytes())))
    }

    /// Reads a token's text.
    pub(in crate::local) fn read(text: &str, now_millis: u64) -> Result<Self, ApiError> {
        let (token, created_millis) = Self::parse(text).ok_or_else(Self::invalid)?;
        if now_millis.saturating_sub(created_millis) > TOKEN_LIFE_MILLIS {
            return Err(ApiError::expired_token(
                "The NextToken has expired: it can be used for 300 seconds. Begin the listing anew.",
            ));
        }
        Ok(token)
    }

    fn parse(text: &str) -> Option<(Self, u64)> {
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let (body, sum) = text.rsplit_once('/')?;
        if sum.parse() != Ok(checksum(body.as_bytes())) {
            return None;
        }
        let (name, numbers) = body.split_once('/')?;
        let numbers: Result<Vec<u64>, _> = numbers.split('/').map(str::parse).collect();
        let numbers = numbers.ok()?;
        let (created_millis, parts) = numbers.split_first()?;
        Some((Self::new(name, parts.to_vec()), *created_millis))
    }

    /// Returns the service's answer for a text that is no token.
    pub(in crate::local) fn invalid() -> ApiError {
        ApiError::invalid_argument("The NextToken is invalid.")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_survive_their_text(name in "[a-zA-Z0-9_.-]{1,128}", parts: Vec<u64>) {
            let token = PageToken::new(&name, parts);
            prop_assert_eq!(PageToken::read(&token.text(7), 7), Ok(token));
        }

        #[test]
        fn garbage_is_no_token(text in ".{0,60}") {
            prop_assert_eq!(PageToken::read(&text, 0), Err(PageToken::invalid()));
            let encoded = STANDARD.encode(&text);
            prop_assert_eq!(PageToken::read(&encoded, 0), Err(PageToken::invalid()));
        }
    }

    #[test]
    fn a_token_lives_five_minutes() {
        let text = PageToken::new("s", vec![1]).text(1_000);
        assert!(PageToken::read(&text, 301_000).is_ok());
        let error = PageToken::read(&text, 301_001).unwrap_err();
        assert_eq!(error.code, "ExpiredNextTokenException");
    }
}
