//! The place from which a shard's lag is measured: a pure function of the leases and the shards.

use std::collections::{BTreeMap, BTreeSet};

use kinesis_pipeline::{Lease, LeaseCheckpoint, Shard, ShardId, service::IteratorStart};

/// A shard of the stream, a lease of the application, or both.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Subject<'a> {
    pub(super) shard_id: &'a ShardId,
    pub(super) lease: Option<&'a Lease>,
    pub(super) standing: Standing,
}

/// The place up to which a shard is finished.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// The whole shard is finished.
    Finished,
    /// The next record is found here.
    At(IteratorStart),
    /// The lease table does not tell, for this reason.
    Unknown(&'static str),
}

/// Joins leases and shards, in the order of their ids. A closed shard without a lease is left out if a shard that was
/// made from it has one: fleets remove the leases of finished shards.
pub(super) fn subjects<'a>(leases: &'a [Lease], shards: &'a [Shard]) -> Vec<Subject<'a>> {
    let by_id: BTreeMap<_, _> = shards.iter().map(|shard| (&shard.id, shard)).collect();
    let by_lease: BTreeMap<_, _> = leases
        .iter()
        .map(|lease| (&lease.shard_id, lease))
        .collect();
    let done = ancestors(by_lease.keys().copied(), &by_id);
    let ids: BTreeSet<_> = by_id.keys().chain(by_lease.keys()).copied().collect();
    let subject = |shard_id: &'a ShardId| {
        let lease = by_lease.get(shard_id).copied();
        let is_done = lease.is_none() && done.contains(shard_id);
        (!is_done).then(|| Subject {
            shard_id,
            lease,
            standing: standing(lease, by_id.contains_key(shard_id)),
        })
    };
    ids.into_iter().filter_map(subject).collect()
}

fn ancestors<'a>(
    ids: impl Iterator<Item = &'a ShardId>,
    by_id: &BTreeMap<&'a ShardId, &'a Shard>,
) -> BTreeSet<&'a ShardId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<_> = ids.collect();
    while let Some(id) = open.pop() {
        let parents = by_id.get(id).into_iter().flat_map(|shard| shard.parents());
        open.extend(parents.filter(|parent| found.insert(*parent)));
    }
    found
}

fn standing(lease: Option<&Lease>, is_listed: bool) -> Standing {
    let Some(lease) = lease else {
        return Standing::Unknown("there is no lease");
    };
    let start = match &lease.checkpoint {
        LeaseCheckpoint::ShardEnd => return Standing::Finished,
        _ if !is_listed => return Standing::Unknown("the stream has no such shard"),
        LeaseCheckpoint::TrimHorizon => Some(IteratorStart::TrimHorizon),
        LeaseCheckpoint::After {
            sequence_number, ..
        } => Some(IteratorStart::AfterSequenceNumber(sequence_number.clone())),
        // Leases of KCL have no such time.
        _ => lease.begun_at.map(IteratorStart::AtTimestamp),
    };
    match start {
        Some(start) => Standing::At(start),
        None => Standing::Unknown("nothing is finished yet"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use kinesis_pipeline::{HashKey, HashKeyRange};

    use super::*;

    fn shard(id: &str, parent: Option<&str>) -> Shard {
        let all = HashKeyRange::new(HashKey::new(0), HashKey::new(u128::MAX));
        let mut shard = Shard::new(id.into(), all, 1_u128.into());
        shard.parent_id = parent.map(Into::into);
        shard
    }

    fn lease(id: &str, checkpoint: LeaseCheckpoint) -> Lease {
        Lease::new(id.into(), checkpoint)
    }

    #[test]
    fn the_next_record_is_behind_the_checkpoint_or_where_reading_begins() {
        let after = LeaseCheckpoint::After {
            sequence_number: 7_u128.into(),
            sub_sequence_number: 3,
        };
        let mut dated = lease("a", LeaseCheckpoint::Latest);
        dated.begun_at = Some(SystemTime::UNIX_EPOCH);
        let table = [
            (
                lease("a", after),
                Standing::At(IteratorStart::AfterSequenceNumber(7_u128.into())),
            ),
            (
                lease("a", LeaseCheckpoint::TrimHorizon),
                Standing::At(IteratorStart::TrimHorizon),
            ),
            (lease("a", LeaseCheckpoint::ShardEnd), Standing::Finished),
            (
                lease("a", LeaseCheckpoint::Latest),
                Standing::Unknown("nothing is finished yet"),
            ),
            (
                dated,
                Standing::At(IteratorStart::AtTimestamp(SystemTime::UNIX_EPOCH)),
            ),
        ];
        for (lease, expected) in table {
            assert_eq!(standing(Some(&lease), true), expected, "{lease:?}");
        }
        let gone = standing(Some(&lease("a", LeaseCheckpoint::TrimHorizon)), false);
        assert_eq!(gone, Standing::Unknown("the stream has no such shard"));
    }

    #[test]
    fn a_shard_without_a_lease_is_left_out_only_if_its_fleet_went_on_to_what_was_made_from_it() {
        let shards = [
            shard("a", None),
            shard("b", Some("a")),
            shard("c", Some("b")),
            shard("d", None),
        ];
        let leases = [lease("c", LeaseCheckpoint::TrimHorizon)];
        let found = subjects(&leases, &shards);
        let found: Vec<_> = found
            .iter()
            .map(|subject| (subject.shard_id.as_str(), subject.lease.is_some()))
            .collect();
        assert_eq!(found, [("c", true), ("d", false)]);
        assert_eq!(subjects(&[], &shards).len(), 4);
    }
}
