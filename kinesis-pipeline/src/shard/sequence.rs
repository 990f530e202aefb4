use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use bytestring::ByteString;

/// The longest sequence number that the API admits, in digits. In practice they have 56.
const DIGITS_MAX: usize = 128;

/// A record's number in its shard: a decimal integer, unique in the shard and increasing.
///
/// It compares as an integer, never as text: `99` is less than `100`. Cheap to clone, and made from the
/// service's text without a copy.
///
/// ```
/// use kinesis_pipeline::SequenceNumber;
///
/// let early: SequenceNumber = "99".parse()?;
/// let late: SequenceNumber = "49551479315998225220804774498660962603757541393499684882".parse()?;
/// assert!(early < late);
/// # Ok::<(), kinesis_pipeline::InvalidSequenceNumber>(())
/// ```
#[derive(Clone)]
pub struct SequenceNumber(
    /// ASCII digits, at least one, as the service wrote them.
    ByteString,
);

/// A text that is not a sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a sequence number: write 1 to 128 decimal digits, as a receipt or record shows them"
)]
#[non_exhaustive]
pub struct InvalidSequenceNumber {
    /// What was given, cut after 160 bytes.
    pub text: String,
}

impl SequenceNumber {
    /// A number whose digits the embedded Kinesis wrote: it is taken without a copy or a check.
    #[cfg(feature = "local")]
    pub(crate) fn stored(digits: ByteString) -> Self {
        Self(digits)
    }

    /// The number as decimal text, as the service wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digits(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl TryFrom<String> for SequenceNumber {
    type Error = InvalidSequenceNumber;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_number(&text) {
            return Ok(Self(ByteString::from(text)));
        }
        Err(InvalidSequenceNumber {
            text: text.chars().take(40).collect(),
        })
    }
}

impl FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl From<u128> for SequenceNumber {
    fn from(number: u128) -> Self {
        Self(ByteString::from(number.to_string()))
    }
}

fn is_number(text: &str) -> bool {
    (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let (this, other) = (self.digits(), other.digits());
        this.len().cmp(&other.len()).then_with(|| this.cmp(other))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SequenceNumber {
    fn eq(&self, other: &Self) -> bool {
        self.digits() == other.digits()
    }
}

impl Eq for SequenceNumber {}

impl Hash for SequenceNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digits().hash(state);
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn order_and_equality_are_those_of_the_integers(a: u128, b: u128, zeros in 0_usize..20) {
            let padded = format!("{}{a}", "0".repeat(zeros)).parse::<SequenceNumber>().unwrap();
            prop_assert_eq!(padded.cmp(&SequenceNumber::from(b)), a.cmp(&b));
            prop_assert_eq!(padded == SequenceNumber::from(b), a == b);
        }
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        let too_long = "9".repeat(DIGITS_MAX + 1);
        for text in ["", "-1", "1.5", "TRIM_HORIZON", "١٢", &too_long] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }
}
