//! Decimal numbers of any length, by their digits.

/// The most digits before the point, and behind it, that Postgres's `numeric` has.
const WHOLE_DIGITS_MAX: usize = 131_072;
const FRACTION_DIGITS_MAX: usize = 16_383;

/// A decimal number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) is_negative: bool,
    /// All digits, each 0 to 9, those behind the point too.
    pub(crate) digits: Vec<u8>,
    /// The number of digits behind the point; it may be larger than the number of all digits.
    pub(crate) scale: usize,
}

impl Decimal {
    /// Reads a number as in `-12.50` or `1.25e-3`; `None` for any other text, and for more digits than `numeric` can
    /// hold.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = (whole.bytes().chain(fraction.bytes())).all(|byte| byte.is_ascii_digit());
        if !is_number || whole.len() + fraction.len() == 0 {
            return None;
        }
        let digits = whole.bytes().chain(fraction.bytes());
        let mut digits: Vec<_> = digits
            .skip_while(|byte| *byte == b'0')
            .map(|byte| byte - b'0')
            .collect();
        let scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
        if scale < 0 && !digits.is_empty() {
            let zeros = usize::try_from(-scale).ok()?;
            if zeros > WHOLE_DIGITS_MAX {
                return None;
            }
            digits.resize(digits.len() + zeros, 0);
        }
        let scale = usize::try_from(scale.max(0)).ok()?;
        let is_short = digits.len().saturating_sub(scale) <= WHOLE_DIGITS_MAX;
        (is_short && scale <= FRACTION_DIGITS_MAX).then_some(Self {
            is_negative,
            digits,
            scale,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_their_digits_and_other_texts_are_none() {
        let of = |text| Decimal::parse(text).map(|d| (d.is_negative, d.digits, d.scale));
        assert_eq!(of("-012.50"), Some((true, vec![1, 2, 5, 0], 2)));
        assert_eq!(of("0.007"), Some((false, vec![7], 3)));
        assert_eq!(of("1.25e-3"), Some((false, vec![1, 2, 5], 5)));
        assert_eq!(of("+1.25E3"), Some((false, vec![1, 2, 5, 0], 0)));
        assert_eq!(of("0e999999"), Some((false, vec![], 0)));
        assert_eq!(of("5."), Some((false, vec![5], 0)));
        for text in [
            "",
            ".",
            "-",
            "1,5",
            "0x1",
            "1e",
            "1e1e1",
            "NaN",
            "inf",
            " 1",
            "1e131072",
            "1e-16384",
            "1e99999999999",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
