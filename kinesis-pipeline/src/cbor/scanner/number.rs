//! Numbers in CBOR: whole ones, and floats of 2, 4 and 8 bytes.

use super::{EIGHT_BYTES, FOUR_BYTES, NEGATIVE, SIMPLE, Scanner, TWO_BYTES, UNSIGNED};
use crate::json::Malformed;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// A whole number, zero or positive.
    Unsigned(u64),
    /// A negative number, or one with a fraction.
    Float(f64),
}

impl Scanner<'_> {
    /// Returns a number.
    pub(crate) fn number(&mut self) -> Result<Number, Malformed> {
        let head = self.head()?;
        let argument = head.argument.unwrap_or_default();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a negative number need not be exact, and a float fills its own width"
        )]
        Ok(match (head.major, head.width) {
            (UNSIGNED, _) => Number::Unsigned(argument),
            (NEGATIVE, _) => Number::Float(-1.0 - argument as f64),
            (SIMPLE, TWO_BYTES) => Number::Float(half(argument as u16)),
            (SIMPLE, FOUR_BYTES) => Number::Float(f32::from_bits(argument as u32).into()),
            (SIMPLE, EIGHT_BYTES) => Number::Float(f64::from_bits(argument)),
            _ => return Err(self.malformed("it is no number")),
        })
    }

    /// Whether the next value is a number.
    pub(crate) fn is_number(&mut self) -> Result<bool, Malformed> {
        Ok(match self.kind()? {
            UNSIGNED | NEGATIVE => true,
            SIMPLE => matches!(self.bytes[self.at], 0xF9..=0xFB),
            _ => false,
        })
    }
}

/// Returns the value of a 2-byte float.
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    let size = match exponent {
        0 => mantissa * 2_f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}
