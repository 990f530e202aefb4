use super::scanner::{BYTES, EIGHT_BYTES, FOUR_BYTES, ONE_BYTE, TEXT, TWO_BYTES, UNSIGNED};

/// The start of a map that ends with a [`BREAK`].
pub(crate) const OPEN_MAP: u8 = 0xBF;
/// The start of an array that ends with a [`BREAK`].
pub(crate) const OPEN_ARRAY: u8 = 0x9F;
/// The end of a map or an array.
pub(crate) const BREAK: u8 = 0xFF;

/// The largest length of a head, in bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 9;

/// Writes a text.
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a text that consists of ASCII digits.
pub(crate) fn put_digits(out: &mut Vec<u8>, digits: &[u8]) {
    put_head(out, TEXT, digits.len() as u64);
    out.extend_from_slice(digits);
}

/// Writes bytes.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a whole number.
pub(crate) fn put_unsigned(out: &mut Vec<u8>, number: u64) {
    put_head(out, UNSIGNED, number);
}

/// Writes a head, the major type and its argument, in as few bytes as possible.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "each width is taken for what fits in it"
)]
fn put_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument {
        0..=23 => out.push(major | argument as u8),
        24..=0xFF => out.extend_from_slice(&[major | ONE_BYTE, argument as u8]),
        0x100..=0xFFFF => {
            let [high, low] = (argument as u16).to_be_bytes();
            out.extend_from_slice(&[major | TWO_BYTES, high, low]);
        }
        0x1_0000..=0xFFFF_FFFF => {
            out.push(major | FOUR_BYTES);
            out.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | EIGHT_BYTES);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Number, Scanner},
        *,
    };

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            shift in 0..64_u32, number: u64, bytes in prop::collection::vec(any::<u8>(), 0..300), text: String,
        ) {
            let mut out = Vec::new();
            put_unsigned(&mut out, number >> shift);
            put_bytes(&mut out, &bytes);
            put_text(&mut out, &text);
            let mut scanner = Scanner::new(&out);
            prop_assert_eq!(scanner.number().unwrap(), Number::Unsigned(number >> shift));
            prop_assert_eq!(&scanner.bytes().unwrap()[..], &bytes[..]);
            prop_assert_eq!(&scanner.text().unwrap()[..], &text[..]);
            scanner.end().unwrap();
        }
    }

    #[test]
    fn a_head_is_as_short_as_its_argument_allows() {
        for (number, bytes) in [
            (0, &[0x00][..]),
            (23, &[0x17]),
            (24, &[0x18, 24]),
            (0xFF, &[0x18, 0xFF]),
            (0x100, &[0x19, 1, 0]),
            (0x1_0000, &[0x1A, 0, 1, 0, 0]),
            (1 << 32, &[0x1B, 0, 0, 0, 1, 0, 0, 0, 0]),
        ] {
            let mut out = Vec::new();
            put_unsigned(&mut out, number);
            assert_eq!(out, bytes);
        }
    }
}
