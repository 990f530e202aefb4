//! Exactly one answer for every id, even if the event has an id more than once.

use std::collections::{HashMap, hash_map::Entry};

use super::InputRecord;

/// The handling of one record of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The record is transformed and answered.
    Answer,
    /// The record is answered as failed: another record has the same id and different data.
    Refuse,
    /// The record is skipped: the first record with its id answers for it.
    Skip,
}

/// The records that are refused or skipped, by index.
#[derive(Debug, Default)]
pub(super) struct Uses(HashMap<usize, Use>);

impl Uses {
    pub(super) fn of(records: &[InputRecord<'_>]) -> Self {
        // Firehose numbers its ids in order. Comparing neighbours takes a tenth of the time that a set would.
        if records.is_sorted_by(|one, next| one.id().text < next.id().text) {
            return Self::default();
        }
        let mut uses = HashMap::new();
        let mut first_by_id = HashMap::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            match first_by_id.entry(record.id().text) {
                Entry::Vacant(vacant) => {
                    vacant.insert(index);
                }
                Entry::Occupied(first) => {
                    uses.insert(index, Use::Skip);
                    if records[*first.get()].data_base64() != record.data_base64() {
                        uses.insert(*first.get(), Use::Refuse);
                    }
                }
            }
        }
        Self(uses)
    }

    pub(super) fn of_record(&self, index: usize) -> Use {
        self.0.get(&index).copied().unwrap_or(Use::Answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(records: &[(&str, &str)]) -> Vec<Use> {
        let records: Vec<_> = records
            .iter()
            .map(|(id, data)| InputRecord::new(*id, data.as_bytes()))
            .collect();
        let uses = Uses::of(&records);
        (0..records.len())
            .map(|index| uses.of_record(index))
            .collect()
    }

    #[test]
    fn ids_in_any_order_are_answered() {
        assert_eq!(uses(&[("1", ""), ("2", ""), ("3", "")]), [Use::Answer; 3]);
        assert_eq!(uses(&[("3", ""), ("1", ""), ("2", "")]), [Use::Answer; 3]);
        assert!(uses(&[]).is_empty());
    }

    #[test]
    fn a_record_that_comes_twice_is_answered_once() {
        assert_eq!(
            uses(&[("1", "a"), ("2", "b"), ("1", "a")]),
            [Use::Answer, Use::Answer, Use::Skip]
        );
    }

    #[test]
    fn an_id_with_different_data_fails_once() {
        assert_eq!(
            uses(&[("1", "a"), ("1", "a"), ("1", "b"), ("2", "c")]),
            [Use::Refuse, Use::Skip, Use::Skip, Use::Answer]
        );
    }
}
