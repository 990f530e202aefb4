use std::{cmp::Ordering, fmt};

use smol_str::SmolStr;

/// The id of a shard, such as `shardId-000000000003`. Cheap to clone: an id of this length needs no allocation.
///
/// Ids of one stream sort by age: the service numbers them, with leading zeros.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ShardId(Text);

/// The text of an id.
///
/// Invariant: ASCII of the usual length is `Usual`, any other text is `Other`. So derived equality and hash are the text's.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    /// ASCII of the usual length. Each stored record has one, so it is made and compared without a look at its characters.
    Usual([u8; ShardId::USUAL_BYTES]),
    /// Any other text.
    Other(SmolStr),
}

impl ShardId {
    /// The length of the ids that the service makes, in bytes.
    pub(crate) const USUAL_BYTES: usize = 20;

    /// Makes an id that the embedded Kinesis made.
    #[cfg(feature = "local")]
    pub(crate) fn stored(id: impl AsRef<str>) -> Self {
        Self::from(id.as_ref())
    }

    /// Makes an id of the usual length; `None` if these bytes are no ASCII.
    #[inline]
    pub(crate) fn usual(id: &[u8; Self::USUAL_BYTES]) -> Option<Self> {
        id.is_ascii().then_some(Self(Text::Usual(*id)))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // ASCII is UTF-8.
            Text::Usual(id) => str::from_utf8(id).unwrap_or_default(),
            Text::Other(id) => id,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Usual(id) => id,
            Text::Other(id) => id.as_bytes(),
        }
    }
}

impl Ord for ShardId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl PartialOrd for ShardId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<String> for ShardId {
    fn from(id: String) -> Self {
        Self::from(id.as_str())
    }
}

impl From<&str> for ShardId {
    fn from(id: &str) -> Self {
        let usual = <&[u8; Self::USUAL_BYTES]>::try_from(id.as_bytes()).ok();
        usual
            .and_then(Self::usual)
            .unwrap_or_else(|| Self(Text::Other(SmolStr::from(id))))
    }
}

impl From<&ShardId> for ShardId {
    fn from(id: &ShardId) -> Self {
        id.clone()
    }
}

impl AsRef<str> for ShardId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ShardId {
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
        fn ids_are_the_texts_that_they_were_made_of(a in "\\PC{18,21}", b in "[01é]{18,20}", c in "[01é]{18,20}") {
            for text in [&a, &b, &c] {
                let id = ShardId::from(text.clone());
                prop_assert_eq!(id.as_str(), text);
            }
            let (one, other) = (ShardId::from(&*b), ShardId::from(&*c));
            prop_assert_eq!(one.cmp(&other), b.cmp(&c));
            prop_assert_eq!(one == other, b == c);
        }
    }

    #[test]
    fn an_id_takes_no_more_memory_than_its_text() {
        assert_eq!(size_of::<Option<ShardId>>(), 24);
        assert!(ShardId::usual(b"shardId-000000000003").is_some());
        assert!(ShardId::usual(b"shardId-00000000000\xFF").is_none());
    }
}
