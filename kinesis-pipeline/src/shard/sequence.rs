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
/// It compares as an integer, never as text: `99` is less than `100`. Cheap to clone: up to 56 digits are kept
/// without an allocation.
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
pub struct SequenceNumber(Digits);

/// ASCII digits, at least one, as the service wrote them.
#[derive(Clone)]
enum Digits {
    /// As many as the service writes, kept without an allocation: each receipt and each record has a number.
    Few {
        bytes: [u8; SequenceNumber::USUAL_DIGITS],
        len: u8,
    },
    /// More than those.
    Many(ByteString),
}

/// A text that is not a sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a sequence number: write 1 to 128 decimal digits, as a receipt or record shows them"
)]
#[non_exhaustive]
pub struct InvalidSequenceNumber {
    /// The text that was given, cut after 160 bytes.
    pub text: String,
}

impl SequenceNumber {
    /// The number of digits in practice.
    pub(crate) const USUAL_DIGITS: usize = 56;

    /// Makes a number whose digits the embedded Kinesis wrote: it is taken without a check.
    #[cfg(feature = "local")]
    pub(crate) fn stored(digits: ByteString) -> Self {
        Self::few(digits.as_bytes()).unwrap_or(Self(Digits::Many(digits)))
    }

    /// Returns the number with these digits; `None` if they are none.
    #[cfg(feature = "aws")]
    pub(crate) fn of_digits(digits: &[u8]) -> Option<Self> {
        let few = is_number(digits).then(|| Self::few(digits))?;
        few.or_else(|| Some(Self(Digits::Many(str::from_utf8(digits).ok()?.into()))))
    }

    /// Returns the number with as many digits as usual; `None` if these bytes are no digits.
    #[cfg(feature = "aws")]
    #[inline]
    pub(crate) fn usual(digits: &[u8; Self::USUAL_DIGITS]) -> Option<Self> {
        let len = u8::try_from(Self::USUAL_DIGITS).ok()?;
        are_digits(digits).then_some(Self(Digits::Few {
            bytes: *digits,
            len,
        }))
    }

    /// Returns the number with these digits, which were checked; `None` if there are more than usual.
    fn few(digits: &[u8]) -> Option<Self> {
        // The usual number fills all bytes: a copy of fixed size.
        let bytes = digits.try_into().ok().or_else(|| {
            let mut bytes = [0; Self::USUAL_DIGITS];
            bytes.get_mut(..digits.len())?.copy_from_slice(digits);
            Some(bytes)
        });
        let len = u8::try_from(digits.len()).ok()?;
        Some(Self(Digits::Few { bytes: bytes?, len }))
    }

    /// Returns the number as decimal text, as the service wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Digits are ASCII.
        str::from_utf8(self.bytes()).unwrap_or_default()
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Digits::Few { bytes, len } => &bytes[..usize::from(*len)],
            Digits::Many(text) => text.as_bytes(),
        }
    }

    fn digits(&self) -> &[u8] {
        let bytes = self.bytes();
        let zeros = bytes.iter().take_while(|digit| **digit == b'0').count();
        &bytes[zeros..]
    }
}

impl TryFrom<String> for SequenceNumber {
    type Error = InvalidSequenceNumber;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !is_number(text.as_bytes()) {
            return Err(InvalidSequenceNumber {
                text: text.chars().take(40).collect(),
            });
        }
        let few = Self::few(text.as_bytes());
        Ok(few.unwrap_or_else(|| Self(Digits::Many(text.into()))))
    }
}

impl From<u128> for SequenceNumber {
    fn from(number: u128) -> Self {
        Self::few(number.to_string().as_bytes()).expect("a u128 has 39 digits at most")
    }
}

fn is_number(text: &[u8]) -> bool {
    (1..=DIGITS_MAX).contains(&text.len()) && are_digits(text)
}

#[inline]
fn are_digits(text: &[u8]) -> bool {
    // Without an early exit the compiler checks many bytes at a time (SIMD).
    text.iter()
        .fold(true, |all, byte| all & byte.is_ascii_digit())
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

    #[test]
    fn a_number_of_any_length_is_kept_as_it_was_written() {
        for digits in [
            1,
            SequenceNumber::USUAL_DIGITS,
            SequenceNumber::USUAL_DIGITS + 1,
            DIGITS_MAX,
        ] {
            let text = "7".repeat(digits);
            let number: SequenceNumber = text.parse().unwrap();
            assert_eq!(number.as_str(), text);
            let less: SequenceNumber = text[1..].parse().unwrap_or_else(|_| 0.into());
            assert!(
                less < number && number == format!("000{number}").parse().unwrap_or(number.clone())
            );
        }
    }

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
