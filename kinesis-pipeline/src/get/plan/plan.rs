use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

pub(crate) use super::begin::Begin;
pub(in crate::get) use super::begin::start_again;
use super::{
    begin::{OwnStart, iterator_start, own_start},
    start::{OnTrimmed, ShardSelector, StartAt, Until},
};

use crate::{
    get::checkpoint::{Checkpoint, CheckpointPlace},
    shard::{
        Shard, ShardId,
        lineage::{Lineage, Role, Scope},
    },
};

/// The request of a reader's user.
#[derive(Clone, Debug, Default)]
pub(in crate::get) struct Wish {
    /// The shards to read; all of them when empty.
    pub(in crate::get) shards: Vec<ShardSelector>,
    pub(in crate::get) start: StartAt,
    /// Shards that begin elsewhere.
    pub(in crate::get) shard_starts: Vec<(ShardSelector, Begin)>,
    pub(in crate::get) until: Until,
    pub(in crate::get) on_trimmed: OnTrimmed,
}

/// The plan of a reader: decided once, from the list of shards at opening.
#[derive(Debug)]
pub(in crate::get) struct Plan {
    pub(in crate::get) lineage: Lineage,
    /// The start position of each member of the lineage.
    pub(in crate::get) starts: HashMap<ShardId, Begin>,
    /// Checkpoints of shards that have expired before they were finished: records may be missing.
    pub(in crate::get) gaps: Vec<Checkpoint>,
    /// Shards that were finished and have expired; their checkpoints are of no more use.
    pub(in crate::get) gone: Vec<ShardId>,
}

/// The end of the reading in every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::get) enum Bound {
    /// With the page that reaches this time, the moment of opening.
    Page(SystemTime),
    /// Before the first record that arrived at this time or later.
    Record {
        before: SystemTime,
        /// The time of this machine's clock at which the service's has reached it.
        reached_at: SystemTime,
    },
}

impl Bound {
    /// The bound of a reader whose clock is ahead of the service's by so much.
    pub(in crate::get) fn of(
        until: &Until,
        opened_at: SystemTime,
        ahead_max: Duration,
    ) -> Option<Self> {
        match until {
            Until::Stopped => None,
            Until::Tip => Some(Self::Page(opened_at)),
            Until::Timestamp(time) => Some(Self::Record {
                before: *time,
                reached_at: time.checked_add(ahead_max).unwrap_or(*time),
            }),
        }
    }

    /// The time of this machine's clock at which a shard's tip is far enough.
    pub(in crate::get) fn time(self) -> SystemTime {
        match self {
            Self::Page(time)
            | Self::Record {
                reached_at: time, ..
            } => time,
        }
    }
}

/// The reason why nothing can be read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::get) enum Refusal {
    /// A shard that was asked for is not there.
    Absent(ShardSelector),
    /// A shard has expired before it was finished, and the wish is to fail then.
    Trimmed(Box<Checkpoint>),
}

/// The role of one shard for the reader.
#[derive(Clone, Copy, Default)]
pub(super) struct Standing {
    /// Chosen, or descends from a shard that was.
    pub(super) is_in_scope: bool,
    /// Begins at a position of its own, or descends from a shard that does: then it is read from its
    /// beginning, because its parent is read up to it.
    pub(super) is_resumed: bool,
    /// Is read from its newest record on, so that its children are read from their beginning.
    pub(super) is_latest: bool,
}

/// Decides which shards are read and from which position. Takes all retained shards, parents before children, and the
/// checkpoints of the application. A checkpoint goes before every other start.
pub(in crate::get) fn plan(
    shards: &[Shard],
    wish: &Wish,
    checkpoints: &[Checkpoint],
) -> Result<Plan, Refusal> {
    let mut chosen = chosen(shards, &wish.shards, checkpoints)?;
    let mut own_starts = HashMap::new();
    for (selector, start) in &wish.shard_starts {
        own_starts.insert(
            find(shards, selector)?,
            OwnStart::Begin(Box::new(start.clone())),
        );
    }
    if let Some((id, start)) = wish.start.as_shard_start() {
        let id = find(shards, &ShardSelector::Id(id.clone()))?;
        chosen.push(id.clone());
        own_starts.insert(id, OwnStart::Begin(Box::new(start.into())));
    }
    let resumed = checkpoints
        .iter()
        .map(|row| (row.shard_id.clone(), own_start(row)));
    own_starts.extend(resumed);
    let (gone, gaps) = expired(shards, &chosen, checkpoints);
    let start = match (gaps.first(), wish.on_trimmed) {
        (Some(gap), OnTrimmed::Fail) => return Err(Refusal::Trimmed(Box::new(gap.clone()))),
        (Some(_), OnTrimmed::FromHorizon) => &StartAt::TrimHorizon,
        (Some(_), OnTrimmed::Latest) => &StartAt::Latest,
        (None, _) => &wish.start,
    };
    // A gap's shard says nothing about its children: they begin where the policy says.
    own_starts.retain(|id, _| gaps.iter().all(|gap| gap.shard_id != *id));

    let mut plan = Plan {
        lineage: lineage(&chosen, &wish.until),
        starts: HashMap::new(),
        gaps,
        gone,
    };
    let mut standings: HashMap<&ShardId, Standing> = HashMap::new();
    for shard in shards {
        let mut standing = standing(shard, &chosen, &own_starts, &standings);
        let is_member = plan.add(shard, standing, own_starts.get(&shard.id), start);
        standing.is_latest = is_member && matches!(start, StartAt::Latest);
        standings.insert(&shard.id, standing);
    }
    Ok(plan)
}

impl Plan {
    /// Adds the shard to the lineage. Returns whether it is read.
    fn add(
        &mut self,
        shard: &Shard,
        standing: Standing,
        own_start: Option<&OwnStart>,
        start: &StartAt,
    ) -> bool {
        let begin = match own_start {
            _ if !standing.is_in_scope => None,
            Some(OwnStart::Begin(begin)) => Some(Begin::clone(begin)),
            Some(OwnStart::Ended) => None,
            None => iterator_start(shard, standing, start).map(Begin::from),
        };
        let role = match (&begin, own_start) {
            (Some(_), _) => Role::Member,
            (None, Some(OwnStart::Ended)) if standing.is_in_scope => Role::Ended,
            _ => Role::Stranger,
        };
        let parents: Vec<_> = shard.parents().cloned().collect();
        self.lineage.add(&shard.id, &parents, role);
        self.lineage.set_range(&shard.id, shard.hash_key_range);
        if !shard.is_open() {
            self.lineage.set_closed(&shard.id);
        }
        self.starts
            .extend(begin.map(|begin| (shard.id.clone(), begin)));
        role == Role::Member
    }
}

/// Of the checkpoints whose shards are no longer retained: the finished shards, and the others.
///
/// With a choice of shards only these count, and the finished ones stay: the checkpoint of another reader's shard is
/// that reader's to judge, and it tells where the children of the shard begin, whoever reads them.
fn expired(
    shards: &[Shard],
    chosen: &[ShardId],
    checkpoints: &[Checkpoint],
) -> (Vec<ShardId>, Vec<Checkpoint>) {
    let is_listed = |id: &ShardId| shards.iter().any(|shard| shard.id == *id);
    let unlisted = checkpoints
        .iter()
        .filter(|row| !is_listed(&row.shard_id))
        .filter(|row| chosen.is_empty() || chosen.contains(&row.shard_id));
    let (finished, gaps): (Vec<_>, Vec<_>) = unlisted
        .cloned()
        .partition(|row| row.place == CheckpointPlace::ShardEnd);
    let gone = finished.into_iter().map(|row| row.shard_id);
    let gone = gone.filter(|_| chosen.is_empty()).collect();
    (gone, gaps)
}

fn lineage(chosen: &[ShardId], until: &Until) -> Lineage {
    let lineage = Lineage::new(if chosen.is_empty() {
        Scope::Stream
    } else {
        Scope::Chosen
    });
    match until {
        Until::Tip => lineage.batch(),
        _ => lineage,
    }
}

fn standing(
    shard: &Shard,
    chosen: &[ShardId],
    own_starts: &HashMap<ShardId, OwnStart>,
    standings: &HashMap<&ShardId, Standing>,
) -> Standing {
    // A finished parent may have expired: its checkpoint is still there to tell.
    let has_own_start = |id| own_starts.contains_key(id);
    let mut parents = shard.parents().filter_map(|id| standings.get(id));
    // The parent may have been listed as open on a page that was answered before the reshard.
    let follows = |parent: &Standing| parent.is_in_scope && (parent.is_resumed || parent.is_latest);
    Standing {
        is_in_scope: chosen.is_empty() || is_in_scope(shard, chosen, standings),
        is_resumed: has_own_start(&shard.id)
            || shard.parents().any(has_own_start)
            || parents.any(follows),
        is_latest: false,
    }
}

/// Whether a shard is chosen, or descends from a chosen one by first parents.
fn is_in_scope(shard: &Shard, chosen: &[ShardId], standings: &HashMap<&ShardId, Standing>) -> bool {
    let is_chosen = |id: &ShardId| chosen.contains(id);
    let parent = shard.parents().next();
    let is_in = |id| standings.get(id).is_some_and(|parent| parent.is_in_scope);
    is_chosen(&shard.id) || parent.is_some_and(|id| is_chosen(id) || is_in(id))
}

/// The shards to read. One that has expired still stands for its children if the application has read it.
fn chosen(
    shards: &[Shard],
    selectors: &[ShardSelector],
    checkpoints: &[Checkpoint],
) -> Result<Vec<ShardId>, Refusal> {
    let find = |selector| match (find(shards, selector), selector) {
        (Err(_), ShardSelector::Id(id))
            if checkpoints.iter().any(|row| row.shard_id == *id)
                && shards
                    .iter()
                    .any(|shard| shard.parents().next() == Some(id)) =>
        {
            Ok(id.clone())
        }
        (found, _) => found,
    };
    selectors.iter().map(find).collect()
}

fn find(shards: &[Shard], selector: &ShardSelector) -> Result<ShardId, Refusal> {
    let found = match selector {
        ShardSelector::Number(number) => shards.get(*number),
        ShardSelector::Id(id) => shards.iter().find(|shard| shard.id == *id),
    };
    found
        .map(|shard| shard.id.clone())
        .ok_or_else(|| Refusal::Absent(selector.clone()))
}

#[cfg(test)]
mod tests;
