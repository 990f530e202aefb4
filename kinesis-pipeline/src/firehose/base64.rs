//! Base64, as Firehose writes it.

use bytes::Bytes;

use super::FailureReason;

/// Decodes the standard alphabet with padding; where that fails, also without padding and with white space.
pub(super) fn decode(text: &str) -> Result<Bytes, FailureReason> {
    let mut data = Vec::with_capacity(text.len() / 4 * 3 + 3);
    if base64_simd::STANDARD
        .decode_append(text.as_bytes(), &mut data)
        .is_ok()
    {
        return Ok(Bytes::from(data));
    }
    base64_simd::forgiving_decode_to_vec(text.as_bytes())
        .map(Bytes::from)
        .map_err(|_| FailureReason::NotBase64)
}

/// How long the text for this many bytes is.
pub(super) const fn encoded_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Appends the text of `data`.
pub(super) fn encode(data: &[u8], out: &mut Vec<u8>) {
    base64_simd::STANDARD.encode_append(data, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_may_be_left_out_and_white_space_is_passed_over() {
        for text in ["aGk=", "aGk", " a G\nk= "] {
            assert_eq!(decode(text).unwrap(), "hi", "{text}");
        }
        for text in ["aGk==", "a", "aG-_", "a=Gk", "ü"] {
            assert!(
                matches!(decode(text), Err(FailureReason::NotBase64)),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(data: Vec<u8>) {
            let mut text = Vec::new();
            encode(&data, &mut text);
            prop_assert_eq!(text.len(), encoded_bytes(data.len()));
            prop_assert_eq!(decode(std::str::from_utf8(&text).unwrap()).unwrap(), data);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = decode(&text);
        }
    }
}
