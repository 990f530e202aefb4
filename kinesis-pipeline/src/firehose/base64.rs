//! Base64, as Firehose writes it.

use base64_simd::AsOut as _;
use bytes::{Bytes, BytesMut};

use super::FailureReason;

/// Decodes base64 in the standard alphabet with padding. If that fails, it also accepts missing padding and white
/// space.
pub(super) fn decode(text: &[u8]) -> Result<Bytes, FailureReason> {
    let mut data = Vec::with_capacity(decoded_bytes(text));
    if base64_simd::STANDARD.decode_append(text, &mut data).is_ok() {
        return Ok(Bytes::from(data));
    }
    base64_simd::forgiving_decode_to_vec(text)
        .map(Bytes::from)
        .map_err(|_| FailureReason::NotBase64)
}

/// The size of one allocation for decoded records, in bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// A decoder that puts the data of many records into shared blocks, so that small records need no memory of their own.
///
/// A block is reused when all its records are gone.
#[derive(Debug)]
pub(super) struct Blocks(BytesMut);

impl Blocks {
    pub(super) fn new() -> Self {
        Self(BytesMut::with_capacity(BLOCK_BYTES))
    }

    /// Decodes as [`decode`] does, into the shared block.
    pub(super) fn decode(&mut self, text: &[u8]) -> Result<Bytes, FailureReason> {
        let Self(block) = self;
        // The block must have room for any text of this length: the decoder panics if it has less.
        block.resize(text.len().div_ceil(4) * 3, 0);
        let decoded = base64_simd::STANDARD.decode(text, block.as_mut().as_out());
        let Ok(bytes) = decoded.map(|decoded| decoded.len()) else {
            block.clear();
            return decode(text);
        };
        block.truncate(bytes);
        Ok(block.split().freeze())
    }
}

/// Returns the decoded length of a padded text, in bytes. A vector of exactly this capacity becomes `Bytes` without a
/// copy.
fn decoded_bytes(text: &[u8]) -> usize {
    let padding = text
        .iter()
        .rev()
        .take(2)
        .take_while(|&&byte| byte == b'=')
        .count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// Returns the length of this many bytes in base64.
pub(super) const fn encoded_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Returns `data` in base64.
pub(super) fn encoded(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(encoded_bytes(data.len()));
    encode(data, &mut text);
    text
}

/// Appends `data` in base64.
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
            assert_eq!(decode(text.as_bytes()).unwrap(), "hi", "{text}");
        }
        for text in ["aGk==", "a", "aG-_", "a=Gk", "ü"] {
            assert!(
                matches!(decode(text.as_bytes()), Err(FailureReason::NotBase64)),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(data: Vec<u8>) {
            let text = encoded(&data);
            prop_assert_eq!(text.len(), encoded_bytes(data.len()));
            prop_assert_eq!(&decode(&text).unwrap(), &data);
            let mut blocks = Blocks::new();
            let twice = [blocks.decode(&text).unwrap(), blocks.decode(&text).unwrap()];
            prop_assert_eq!(twice, [&data[..]; 2]);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*|[A-Za-z0-9+/= ]{0,20}") {
            let text = text.as_bytes();
            let alone = decode(text).ok();
            prop_assert_eq!(Blocks::new().decode(text).ok(), alone);
        }
    }
}
