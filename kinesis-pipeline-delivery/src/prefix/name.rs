use std::fmt::Write as _;

use jiff::Zoned;
use kinesis_pipeline::Position;
use sha2::{Digest as _, Sha256};

/// The form of the last part of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Naming {
    /// `<name>-<shard>-<sequence number>-<sub-sequence number>` of the object's first record. The default.
    #[default]
    Position,
    /// Firehose's: `<name>-1-<yyyy-MM-dd-HH-mm-ss>-<uuid>`. The time is that of the oldest record, and the uuid is made
    /// of its position.
    Firehose,
    /// That of a Kinesis channel: `<name>-<id>-<yyyy-MM-dd-HH-mm>-<suffix>`.
    Channel,
}

/// The identity of an object: the delivery's name, the folder's values, and the position of its first record.
///
/// The parts of a key that look random are taken from its SHA-256, so that a second run makes the same key.
#[derive(Clone, Debug)]
pub(crate) struct ObjectId {
    hash: Sha256,
}

impl ObjectId {
    pub(crate) fn new(name: &str, partition: &str, first: &Position) -> Self {
        let mut hash = Sha256::new();
        for text in [name, partition, first.shard_id.as_str()] {
            hash.update(text);
            hash.update([0]);
        }
        hash.update(first.sequence_number.as_str());
        hash.update(first.sub_sequence_number.to_be_bytes());
        Self { hash }
    }

    /// Returns 32 bytes for this purpose.
    fn bytes(&self, purpose: &str) -> [u8; 32] {
        self.hash.clone().chain_update(purpose).finalize().into()
    }

    /// Returns letters and digits for this purpose, at most 32.
    pub(super) fn text(&self, purpose: &str, chars: usize) -> String {
        digits(&self.bytes(purpose), chars)
    }

    /// Returns a UUID of version 8, whose bits an application may choose.
    fn uuid(&self) -> String {
        let mut bytes = self.bytes("uuid");
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes[..16].iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Returns a lower-case letter or digit for each byte.
fn digits(bytes: &[u8], chars: usize) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digit = |byte: &u8| char::from(DIGITS[usize::from(byte % 32)]);
    bytes.iter().take(chars).map(digit).collect()
}

impl Naming {
    /// Appends the last part of a key.
    pub(crate) fn write(
        self,
        name: &str,
        id: &ObjectId,
        first: &Position,
        time: &Zoned,
        out: &mut String,
    ) {
        let _ = match self {
            Self::Position => write!(
                out,
                "{name}-{}-{}-{}",
                first.shard_id.as_str(),
                first.sequence_number.as_str(),
                first.sub_sequence_number
            ),
            Self::Firehose => {
                let time = time.strftime("%Y-%m-%d-%H-%M-%S");
                write!(out, "{name}-1-{time}-{}", id.uuid())
            }
            Self::Channel => {
                let time = time.strftime("%Y-%m-%d-%H-%M");
                let suffix = id.text("channel", 16);
                write!(out, "{name}-{}-{time}-{suffix}", channel_id(name))
            }
        };
    }

    /// Returns the default prefix of this naming.
    pub(crate) fn default_prefix(self, name: &str) -> String {
        match self {
            Self::Position | Self::Firehose => String::new(),
            Self::Channel => format!("kinesis-channel/{name}/{}/", channel_id(name)),
        }
    }
}

/// Returns a short digest of a text.
pub(crate) fn fingerprint(text: &str) -> String {
    digits(&Sha256::digest(text), 16)
}

/// Returns an id in place of the one that the service gives a channel.
fn channel_id(name: &str) -> String {
    digits(&Sha256::digest(name), 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(naming: Naming, sub: u64) -> String {
        let first = Position::new("shardId-000000000003".into(), 42_u128.into());
        let first = first.at_sub_sequence_number(sub);
        let id = ObjectId::new("clicks", "", &first);
        let time: Zoned = "2026-03-09T15:04:05Z[UTC]".parse().unwrap();
        let mut out = String::new();
        naming.write("clicks", &id, &first, &time, &mut out);
        out
    }

    #[test]
    fn names_follow_their_models_and_come_from_the_position() {
        assert_eq!(
            name(Naming::Position, 1),
            "clicks-shardId-000000000003-42-1"
        );
        let firehose = name(Naming::Firehose, 1);
        assert!(
            firehose.starts_with("clicks-1-2026-03-09-15-04-05-"),
            "{firehose}"
        );
        assert_eq!(firehose.len(), "clicks-1-2026-03-09-15-04-05-".len() + 36);
        let channel = name(Naming::Channel, 1);
        assert!(channel.contains("-2026-03-09-15-04-"), "{channel}");
        for naming in [Naming::Position, Naming::Firehose, Naming::Channel] {
            assert_eq!(name(naming, 1), name(naming, 1));
            assert_ne!(name(naming, 1), name(naming, 2));
        }
    }
}
