//! The listing of the shards, repeated until it can be relied on.
//!
//! `ListShards` answers from states that may be some seconds old, lacks shards for a moment after a reshard, and its
//! pages are of different moments. A wrong decision at opening cannot be corrected later. So a listing is repeated if
//! it is incomplete, or if the user's choice or a checkpoint contradicts it.

use std::{
    collections::HashSet,
    mem::{Discriminant, discriminant},
};

use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointPlace},
        error::GetError,
        fetch::{self, with_retries::with_retries},
        plan::{
            mismatch::{Mismatch, contradiction},
            plan::Wish,
            start::{ShardSelector, StartAt},
        },
        shard_reader::retry::backoff,
    },
    service::{DescribeStreamSummary, StreamSummary, list_all::list_all},
    shard::{HashKeyRange, Shard, ShardId, coverage},
    target::Target,
};

/// Lists all retained shards of a stream, until the listing is complete.
pub(crate) async fn list_shards(target: &Target) -> Result<Vec<Shard>, GetError> {
    let list = || async {
        let list = list_all(&*target.service, &target.stream);
        fetch::in_time("ListShards", &*target.service, list).await
    };
    with_retries(target, list)
        .await
        .map_err(|error| GetError::service(&target.stream, None, error))
}

/// The number of repetitions of a listing that a worker waits for: some 6 s.
const WHOLE_RELISTS_MAX: u32 = 5;

/// Lists all retained shards, again while the listing lacks some. One that stays incomplete is returned: what it lacks
/// has to be noticed later.
pub(crate) async fn list_whole(target: &Target) -> Result<Vec<Shard>, GetError> {
    let mut relists = 0;
    loop {
        let shards = list_shards(target).await?;
        relists += 1;
        let is_whole = coverage::missing(&shards, None).is_none();
        if is_whole || relists > WHOLE_RELISTS_MAX {
            return Ok(shards);
        }
        tracing::debug!(stream = %target.stream, "the shards are listed again");
        tokio::time::sleep(backoff(relists, fastrand::f64())).await;
    }
}

/// Describes a stream, as long as it takes to tell whether it can be read.
pub(crate) async fn describe_stream(target: &Target) -> Result<StreamSummary, GetError> {
    let describe = || async {
        let call = DescribeStreamSummary::new(target.stream.clone());
        let call = target.service.describe_stream_summary(call);
        fetch::in_time("DescribeStreamSummary", &*target.service, call).await
    };
    with_retries(target, describe)
        .await
        .map_err(|error| GetError::service(&target.stream, None, error))
}

/// The reason why a listing is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doubt {
    /// The listing lacks a shard with these hash keys.
    Incomplete(HashKeyRange),
    /// The listing contradicts a checkpoint.
    Contradicts(Box<Checkpoint>, Mismatch),
    /// The listing lacks the shard of a checkpoint, which may have expired.
    Unlisted,
    /// The listing lacks a shard that the user chose, which would be younger than all others.
    Unborn,
    /// The listing lacks another shard that the user chose.
    Absent,
    /// The listing lacks one parent of a merge and has the other. Both were closed at the same moment, so the one has
    /// hardly expired before the other.
    HalfOrphan,
    /// The listing lacks the parent of a shard that is read from its beginning. The parent may have expired.
    Orphan,
}

impl Doubt {
    /// Returns the number of repeated listings for this reason, in waits that double from some 0.2 s.
    fn relists_max(&self) -> u32 {
        match self {
            // Half a minute: without the shard, no decision is right.
            Self::Incomplete(_) => 8,
            Self::Contradicts(..) | Self::Unlisted | Self::HalfOrphan | Self::Unborn => 5,
            Self::Absent => 2,
            // Normal for a stream that was resharded long ago.
            Self::Orphan => 1,
        }
    }
}

/// Lists all retained shards, again while a [`Doubt`] remains and its limit allows.
pub(in crate::get) async fn discover(
    target: &Target,
    wish: &Wish,
    checkpoints: &[Checkpoint],
) -> Result<Vec<Shard>, GetError> {
    let mut relists = 0;
    let mut kind: Option<Discriminant<Doubt>> = None;
    loop {
        let shards = list_shards(target).await?;
        let Some(doubt) = doubt(&shards, wish, checkpoints) else {
            return Ok(shards);
        };
        if kind.replace(discriminant(&doubt)) != Some(discriminant(&doubt)) {
            relists = 0;
        }
        relists += 1;
        if relists > doubt.relists_max() {
            return believe(target, shards, doubt);
        }
        tracing::debug!(stream = %target.stream, ?doubt, "the shards are listed again");
        tokio::time::sleep(backoff(relists, fastrand::f64())).await;
    }
}

/// Accepts the listing in spite of a doubt, or fails.
fn believe(target: &Target, shards: Vec<Shard>, doubt: Doubt) -> Result<Vec<Shard>, GetError> {
    match doubt {
        Doubt::Incomplete(missing) => Err(GetError::IncompleteListing {
            stream: target.stream.clone(),
            missing,
        }),
        Doubt::Contradicts(checkpoint, found) => {
            Err(GetError::mismatch(&target.stream, *checkpoint, found))
        }
        Doubt::Unlisted | Doubt::Unborn | Doubt::Absent | Doubt::HalfOrphan | Doubt::Orphan => {
            Ok(shards)
        }
    }
}

fn doubt(shards: &[Shard], wish: &Wish, checkpoints: &[Checkpoint]) -> Option<Doubt> {
    let scope = scope(shards, wish);
    if let Some(range) = coverage::missing(shards, scope.as_ref()) {
        return Some(Doubt::Incomplete(range));
    }
    let is_mine = |row: &&Checkpoint| {
        scope.is_none()
            || is_chosen(wish, &row.shard_id)
            || scope
                .as_ref()
                .is_some_and(|ids| ids.contains(&row.shard_id))
    };
    let mine: Vec<_> = checkpoints.iter().filter(is_mine).collect();
    let contradicts = mine.iter().find_map(|row| {
        let found = contradiction(row, shards)?;
        Some(Doubt::Contradicts(Box::new(Checkpoint::clone(row)), found))
    });
    if contradicts.is_some() {
        return contradicts;
    }
    // With a choice of shards, the checkpoints of finished ones do not matter.
    let matters = |row: &&&Checkpoint| scope.is_none() || row.place != CheckpointPlace::ShardEnd;
    let is_unlisted = |row: &&Checkpoint| !is_listed(shards, &row.shard_id);
    if mine.iter().filter(matters).any(is_unlisted) {
        return Some(Doubt::Unlisted);
    }
    if let Some(doubt) = absence(shards, wish) {
        return Some(doubt);
    }
    let is_in_scope = |shard: &&Shard| scope.as_ref().is_none_or(|ids| ids.contains(&shard.id));
    let has_row = |id: &ShardId| checkpoints.iter().any(|row| row.shard_id == *id);
    let is_missing = |id: &ShardId| !is_listed(shards, id) && !has_row(id);
    let mine = shards.iter().filter(is_in_scope);
    let is_orphan = |shard: &&Shard| !has_row(&shard.id) && shard.parents().any(is_missing);
    let mut orphans = mine.filter(is_orphan).peekable();
    if wish.start == StartAt::Latest || orphans.peek().is_none() {
        return None;
    }
    let is_half = |shard: &Shard| shard.parents().any(|id| is_listed(shards, id));
    Some(if orphans.any(is_half) {
        Doubt::HalfOrphan
    } else {
        Doubt::Orphan
    })
}

/// Returns the doubt of a listing that lacks a shard which the user chose.
fn absence(shards: &[Shard], wish: &Wish) -> Option<Doubt> {
    let is_absent = |selector: &ShardSelector| match selector {
        ShardSelector::Number(number) => *number >= shards.len(),
        ShardSelector::Id(id) => !is_listed(shards, id),
    };
    let begun = wish.shard_starts.iter().map(|(selector, _)| selector);
    let started = wish.start.as_shard_start();
    let started = started.map(|(id, _)| ShardSelector::Id(id.clone()));
    let chosen = wish.shards.iter().chain(begun).chain(&started);
    let absent: Vec<_> = chosen.filter(|chosen| is_absent(chosen)).collect();
    if absent.is_empty() {
        return None;
    }
    // The shard may be the one that is missing.
    let missing = coverage::missing(shards, None).map(Doubt::Incomplete);
    let is_unborn = |selector: &&ShardSelector| match selector {
        ShardSelector::Id(id) => shards.last().is_some_and(|newest| *id > newest.id),
        ShardSelector::Number(_) => false,
    };
    let otherwise = if absent.iter().any(is_unborn) {
        Doubt::Unborn
    } else {
        Doubt::Absent
    };
    Some(missing.unwrap_or(otherwise))
}

fn is_listed(shards: &[Shard], id: &ShardId) -> bool {
    shards.binary_search_by(|shard| shard.id.cmp(id)).is_ok()
}

fn is_chosen(wish: &Wish, id: &ShardId) -> bool {
    let is_same =
        |selector: &ShardSelector| matches!(selector, ShardSelector::Id(chosen) if chosen == id);
    let start = wish
        .start
        .as_shard_start()
        .is_some_and(|(start, _)| start == id);
    start || wish.shards.iter().any(is_same)
}

/// Returns the chosen shards and their descendants; `None` for the whole stream.
///
/// A shard's number changes if the listing lacks a shard before it, so a choice by number needs the whole listing.
fn scope<'a>(shards: &'a [Shard], wish: &Wish) -> Option<HashSet<&'a ShardId>> {
    let is_choice = !wish.shards.is_empty() || wish.start.as_shard_start().is_some();
    let is_number = |selector: &ShardSelector| matches!(selector, ShardSelector::Number(_));
    if !is_choice || wish.shards.iter().any(is_number) {
        return None;
    }
    let mut scope = HashSet::new();
    for shard in shards {
        let parent = shard.parents().next();
        let is_in = |id: &ShardId| is_chosen(wish, id) || scope.contains(id);
        if is_in(&shard.id) || parent.is_some_and(is_in) {
            scope.insert(&shard.id);
        }
    }
    Some(scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::HashKey;

    fn shard(number: u128, parents: &[u128], is_lower: bool, is_open: bool) -> Shard {
        let id = |number| ShardId::from(format!("shardId-{number:012}"));
        let middle = HashKeyRange::ALL.middle();
        let range = if is_lower {
            HashKeyRange::new(HashKey::MIN, HashKey::new(middle.value() - 1))
        } else {
            HashKeyRange::new(middle, HashKey::MAX)
        };
        let mut shard = Shard::new(id(number), range, number.into());
        shard.parent_id = parents.first().copied().map(id);
        shard.ending_sequence_number = (!is_open).then(|| 9.into());
        shard
    }

    /// Returns a listing: 0 and 1 are the halves of the stream; 2 is the child of 0.
    fn listing() -> Vec<Shard> {
        vec![
            shard(0, &[], true, false),
            shard(1, &[], false, true),
            shard(2, &[0], true, true),
        ]
    }

    fn chosen(number: usize) -> Wish {
        Wish {
            shards: vec![ShardId::from(format!("shardId-{number:012}")).into()],
            ..Wish::default()
        }
    }

    #[test]
    fn a_shard_that_is_missing_elsewhere_is_nothing_to_a_choice_by_id_but_moves_the_numbers() {
        let mut shards = listing();
        assert_eq!(doubt(&shards, &Wish::default(), &[]), None);
        shards.remove(1);
        let is_incomplete =
            |wish: &Wish| matches!(doubt(&shards, wish, &[]), Some(Doubt::Incomplete(_)));
        assert!(is_incomplete(&Wish::default()));
        assert!(!is_incomplete(&chosen(0)) && !is_incomplete(&chosen(2)));
        let number = Wish {
            shards: vec![0.into()],
            ..Wish::default()
        };
        assert!(is_incomplete(&number));
        let start = Wish {
            start: StartAt::AfterSequenceNumber(shards[0].id.clone(), 0.into()),
            ..Wish::default()
        };
        assert!(!is_incomplete(&start));
        assert!(matches!(
            doubt(&listing()[..2], &start, &[]),
            Some(Doubt::Incomplete(_))
        ));
    }

    #[test]
    fn checkpoints_of_other_readers_shards_are_theirs_to_judge() {
        let end = Checkpoint::new(listing()[1].id.clone(), CheckpointPlace::ShardEnd);
        let rows = [end];
        let doubt = |wish: &Wish| doubt(&listing(), wish, &rows);
        let is_told = |doubt| matches!(doubt, Some(Doubt::Contradicts(..)));
        assert!(is_told(doubt(&Wish::default())) && is_told(doubt(&chosen(1))));
        assert_eq!(doubt(&chosen(0)), None);
    }

    #[test]
    fn what_was_asked_for_and_is_not_there_is_looked_for_again() {
        assert_eq!(doubt(&listing(), &chosen(3), &[]), Some(Doubt::Unborn));
        let number = Wish {
            shards: vec![3.into()],
            ..Wish::default()
        };
        assert_eq!(doubt(&listing(), &number, &[]), Some(Doubt::Absent));
        let place = CheckpointPlace::TrimHorizon;
        let row = Checkpoint::new("shardId-000000000000".into(), place);
        let doubt = doubt(&listing()[1..], &Wish::default(), &[row]);
        assert_eq!(doubt, Some(Doubt::Unlisted));
    }
}
