use kinesis_pipeline::{LeaseCheckpoint, PendingCheckpoint, Position, ShardId};
use serde::{Deserialize, Serialize};

use crate::{DeliveryError, encode, settings::Settings, window::Limits};

/// The most keys that a lease stores, because it is a small row. Further keys are only counted.
const KEYS_MAX: usize = 8;

/// The state on a lease between the decision about objects and the checkpoint after them.
///
/// The lease has the position up to which objects are decided. With it, the limits, and the records since the
/// checkpoint the next worker makes the same objects; the keys are only for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prepared {
    /// The version of the encoders that make the bytes.
    encoder: u32,
    /// A digest of the settings that decide keys and bytes.
    settings: String,
    limits: Limits,
    /// Whether the window ends at the position. If not, it goes on there with other objects open.
    ends: bool,
    /// The sequence number and sub-sequence number of the window's first record.
    first: (String, u64),
    keys: Vec<String>,
    objects: usize,
}

impl Prepared {
    pub(super) fn new(settings: &Settings, limits: Limits, ends: bool, first: &Position) -> Self {
        Self {
            encoder: encode::VERSION,
            settings: settings.fingerprint.clone(),
            limits,
            ends,
            first: (
                first.sequence_number.as_str().to_owned(),
                first.sub_sequence_number,
            ),
            keys: Vec::new(),
            objects: 0,
        }
    }

    pub(super) fn keys(mut self, keys: impl ExactSizeIterator<Item = String>) -> Self {
        self.objects = keys.len();
        self.keys.extend(keys.take(KEYS_MAX));
        self
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts have a JSON text")
    }
}

/// A decision of the previous worker, to be carried out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replay {
    /// The last record that the decision covers.
    pub(super) through: Position,
    pub(super) ends: bool,
    pub(super) limits: Limits,
    pub(super) is_same_version: bool,
    first: (String, u64),
}

impl Replay {
    /// Reads the decision that the previous worker stored.
    pub(super) fn of(
        shard: &ShardId,
        pending: &PendingCheckpoint,
        settings: &Settings,
    ) -> Result<Option<Self>, DeliveryError> {
        let (
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number,
            },
            Some(state),
        ) = (&pending.checkpoint, &pending.state)
        else {
            return Ok(None);
        };
        let prepared: Prepared =
            serde_json::from_slice(state).map_err(|source| DeliveryError::Prepared {
                shard: shard.clone(),
                source,
            })?;
        if prepared.settings != settings.fingerprint {
            return Err(DeliveryError::SettingsChanged {
                shard: shard.clone(),
                keys: prepared.keys,
            });
        }
        let through = Position::new(shard.clone(), sequence_number.clone());
        Ok(Some(Self {
            through: through.at_sub_sequence_number(*sub_sequence_number),
            ends: prepared.ends,
            limits: prepared.limits,
            is_same_version: prepared.encoder == encode::VERSION,
            first: prepared.first,
        }))
    }

    /// Whether the decision covers the record.
    pub(super) fn covers(&self, position: &Position) -> bool {
        !is_after(position, &self.through)
    }

    /// Whether this record, the first that is read, is not the one that the decision began with: records in front of it
    /// have expired since.
    pub(super) fn lacks_its_beginning(&self, first: &Position) -> bool {
        self.first.0 != first.sequence_number.as_str() || self.first.1 != first.sub_sequence_number
    }
}

/// Whether a record comes after another of its shard.
pub(super) fn is_after(position: &Position, other: &Position) -> bool {
    (&position.sequence_number, position.sub_sequence_number)
        > (&other.sequence_number, other.sub_sequence_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(number: u64, sub: u64) -> Position {
        let position = Position::new("shard".into(), u128::from(number).into());
        position.at_sub_sequence_number(sub)
    }

    fn settings(name: &str) -> Settings {
        let delivery = crate::Delivery::to(object_store::memory::InMemory::new());
        delivery.name(name).check().unwrap()
    }

    #[test]
    fn a_decision_is_read_back_and_covers_what_it_was_made_about() {
        let prepared = Prepared::new(&settings("a"), Limits::of_test(), true, &position(3, 1))
            .keys((0..20).map(|number| number.to_string()));
        assert_eq!((prepared.keys.len(), prepared.objects), (KEYS_MAX, 20));
        let pending = PendingCheckpoint::new(
            LeaseCheckpoint::after(&position(9, 4)),
            Some(prepared.to_bytes().into()),
        );
        let replay = Replay::of(&"shard".into(), &pending, &settings("a"));
        let replay = replay.unwrap().unwrap();
        assert!(replay.covers(&position(9, 4)) && !replay.covers(&position(9, 5)));
        assert!(replay.is_same_version && replay.ends);
        assert!(!replay.lacks_its_beginning(&position(3, 1)));
        assert!(replay.lacks_its_beginning(&position(3, 2)));
        let other = Replay::of(&"shard".into(), &pending, &settings("b"));
        assert!(
            matches!(other, Err(DeliveryError::SettingsChanged { keys, .. }) if keys.len() == KEYS_MAX)
        );
    }

    #[test]
    fn bytes_of_someone_else_are_an_error_that_says_so() {
        let pending =
            PendingCheckpoint::new(LeaseCheckpoint::after(&position(9, 0)), Some("x".into()));
        let replay = Replay::of(&"shard".into(), &pending, &settings("a"));
        assert!(matches!(replay, Err(DeliveryError::Prepared { .. })));
    }
}
