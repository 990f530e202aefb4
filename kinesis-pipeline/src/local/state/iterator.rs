//! Shard iterators: the text that carries a place in a shard from one call to the next.

use base64::{Engine, engine::general_purpose::STANDARD};

/// The lifetime of an iterator.
const ITERATOR_LIFE_MILLIS: u64 = 5 * 60 * 1000;

/// The eight bytes that the service's iterators begin with.
const LAYOUT: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
const FIXED_BYTES: usize = 8 + 8 + 4 + 8 + 8;
const CHECKSUM_BYTES: usize = 8;

/// A place in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::local) struct IteratorToken {
    /// The stream's name.
    pub(in crate::local) stream: String,
    /// The generation of the stream: it tells streams of one name apart.
    pub(in crate::local) generation: u64,
    pub(in crate::local) shard_index: u32,
    /// The counter of the next record; older ones than are retained mean the oldest.
    pub(in crate::local) counter: u64,
    /// The time at which it was handed out.
    pub(in crate::local) created_millis: u64,
}

impl IteratorToken {
    /// Returns the text that stands for this place.
    pub(in crate::local) fn text(&self) -> String {
        let mut bytes = Vec::with_capacity(FIXED_BYTES + self.stream.len() + CHECKSUM_BYTES);
        bytes.extend_from_slice(&LAYOUT);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.shard_index.to_be_bytes());
        bytes.extend_from_slice(&self.counter.to_be_bytes());
        bytes.extend_from_slice(&self.created_millis.to_be_bytes());
        bytes.extend_from_slice(self.stream.as_bytes());
        bytes.extend_from_slice(&checksum(&bytes).to_be_bytes());
        STANDARD.encode(bytes)
    }

    /// Reads an iterator's text, in double quotes or without; `None` if it is not one of ours.
    ///
    /// The service takes the quotes that a shell script leaves around what it cut out of an answer.
    pub(in crate::local) fn parse(text: &str) -> Option<Self> {
        let quoted = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let text = quoted.unwrap_or(text);
        let bytes = STANDARD.decode(text).ok()?;
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let rest = body.strip_prefix(&LAYOUT)?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let (shard_index, rest) = rest.split_first_chunk::<4>()?;
        let (counter, rest) = rest.split_first_chunk::<8>()?;
        let (created_millis, stream) = rest.split_first_chunk::<8>()?;
        (checksum(body) == u64::from_be_bytes(*sum)).then_some(Self {
            stream: str::from_utf8(stream).ok()?.to_owned(),
            generation: u64::from_be_bytes(*generation),
            shard_index: u32::from_be_bytes(*shard_index),
            counter: u64::from_be_bytes(*counter),
            created_millis: u64::from_be_bytes(*created_millis),
        })
    }

    /// Whether the iterator is too old to be used.
    pub(in crate::local) fn is_expired(&self, now_millis: u64) -> bool {
        now_millis.saturating_sub(self.created_millis) > ITERATOR_LIFE_MILLIS
    }
}

/// FNV-1a over 64 bits: it tells a damaged or made-up text, not an attacker.
pub(in crate::local) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn iterators_survive_their_text(
            stream in "[a-zA-Z0-9_.-]{1,128}",
            generation: u64,
            shard_index: u32,
            counter: u64,
            created_millis: u64,
        ) {
            let iterator = IteratorToken { stream, generation, shard_index, counter, created_millis };
            let text = iterator.text();
            prop_assert!((1..=512).contains(&text.len()));
            prop_assert_eq!(IteratorToken::parse(&text), Some(iterator));
        }

        #[test]
        fn garbage_is_no_iterator(text in ".{0,80}", bytes: Vec<u8>) {
            prop_assert_eq!(IteratorToken::parse(&text), None);
            prop_assert_eq!(IteratorToken::parse(&STANDARD.encode(bytes)), None);
        }
    }

    #[test]
    fn an_iterator_lives_five_minutes() {
        let iterator = IteratorToken {
            stream: "s".to_owned(),
            generation: 1,
            shard_index: 0,
            counter: 1,
            created_millis: 1_000,
        };
        assert!(!iterator.is_expired(301_000));
        assert!(iterator.is_expired(301_001));
    }
}
