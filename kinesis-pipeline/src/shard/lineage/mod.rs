//! The family of a stream's shards.
//!
//! - `mod`: the state, and the facts of each shard.
//! - `order`: which shard may be read, and what its end or abandonment changes.
//! - `discover`: shards that turn up later, and shards that expire.
//! - `coverage`: the hash keys of shards and their children.

mod coverage;
mod discover;
mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{HashKeyRange, Shard, ShardId};

/// The family of a stream's shards and the state of their reading: parents, children, and the shard to read next.
///
/// A state machine without effects: it makes no calls. A shard may be read once all of its parents have been read to
/// their end, so the records of one key keep their order over splits and merges. Each shard is given out once.
///
/// Begin with [`of`](Self::of). Then, in this order: [`take_ready`](Self::take_ready) until it returns `None`;
/// [`end`](Self::end) for each shard that was read to its end; [`add_listing`](Self::add_listing) while
/// [`is_looking_for_children`](Self::is_looking_for_children).
///
/// ```
/// use kinesis_pipeline::{HashKey, HashKeyRange, Shard, ShardId, shard::Lineage};
///
/// // Shard 0 was split into 1 and 2.
/// let middle = HashKeyRange::ALL.middle();
/// let low = HashKeyRange::new(HashKey::MIN, HashKey::new(middle.value() - 1));
/// let high = HashKeyRange::new(middle, HashKey::MAX);
/// let mut parent = Shard::new("shardId-0".into(), HashKeyRange::ALL, 1.into());
/// parent.ending_sequence_number = Some(9.into());
/// let child = |id: &str, range| {
///     let mut child = Shard::new(id.into(), range, 10.into());
///     child.parent_id = Some("shardId-0".into());
///     child
/// };
/// let mut lineage = Lineage::of(&[parent, child("shardId-1", low), child("shardId-2", high)]);
///
/// let [zero, one, two] = ["shardId-0", "shardId-1", "shardId-2"].map(ShardId::from);
/// assert!(lineage.covering(HashKeyRange::ALL).eq([&one, &two])); // the open shards
/// assert!(lineage.covering(high).eq([&two]));
/// assert_eq!(lineage.children(&zero), [one.clone(), two.clone()]);
/// assert_eq!(lineage.parents(&two), [zero.clone()]);
///
/// // Parents before children.
/// assert_eq!(lineage.take_ready(), Some(zero.clone()));
/// assert_eq!(lineage.take_ready(), None);
/// lineage.end(&zero);
/// assert_eq!(lineage.take_ready(), Some(one));
/// assert_eq!(lineage.take_ready(), Some(two));
/// ```
#[derive(Debug)]
pub struct Lineage {
    scope: Scope,
    /// Whether only descendants of shards that were open at the beginning are taken in later.
    is_batch: bool,
    /// Every shard that was ever seen and is still retained, members and others.
    nodes: BTreeMap<ShardId, Node>,
    /// Waiting members whose parents have all ended, by id.
    ready: BTreeSet<ShardId>,
    /// The number of members that have not ended.
    live: usize,
    /// Ended members whose known children do not take over all of their hash keys. A closed shard of a live stream
    /// has children for all of them, so as long as there are some, children are still to be found.
    childless: BTreeSet<ShardId>,
}

/// The number of listings without a finished shard after which it is forgotten: a single one may be incomplete.
const ABSENCES_MAX: u8 = 3;

/// The rule by which shards that are found later belong to the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The whole stream: every shard that is found later belongs.
    Stream,
    /// A choice of shards: a child belongs to the set of its first parent, so that readers which divide the
    /// shards between them also divide the children.
    Chosen,
    /// Shards of a fleet's leases: children have leases of their own, so no shard that is found later belongs.
    Leased,
}

/// The role of a shard when it is added to the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It belongs to the set and is to be read.
    Member,
    /// It belongs to the set and was read to its end before.
    Ended,
    /// It does not belong to the set. Its children belong only through another parent.
    Stranger,
}

#[derive(Debug)]
struct Node {
    parents: Vec<ShardId>,
    children: Vec<ShardId>,
    /// The hash keys of the shard; `None` until they are set.
    range: Option<HashKeyRange>,
    /// Whether it was closed when it was added. Then its children were listed with it.
    was_closed: bool,
    /// Whether it was left before its end.
    was_cut: bool,
    stage: Stage,
    /// The number of listings in a row that lacked the shard.
    absences: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Stranger,
    /// Not given out yet; it is ready once its parents in the set have ended.
    Waiting,
    Reading,
    Ended,
}

impl Lineage {
    /// Makes a lineage of all shards of a listing, none of which has been read. Parents must stand before their children, as
    /// [`KinesisStream::shards`](crate::KinesisStream::shards) sorts them.
    #[must_use]
    pub fn of(shards: &[Shard]) -> Self {
        let mut lineage = Self::new(Scope::Stream);
        for shard in shards {
            let parents: Vec<_> = shard.parents().cloned().collect();
            lineage.add(&shard.id, &parents, Role::Member);
            lineage.set_range(&shard.id, shard.hash_key_range);
            if !shard.is_open() {
                lineage.set_closed(&shard.id);
            }
        }
        lineage
    }

    /// Makes a lineage without shards.
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            is_batch: false,
            nodes: BTreeMap::new(),
            ready: BTreeSet::new(),
            live: 0,
            childless: BTreeSet::new(),
        }
    }

    /// Returns the same set, read once up to the tip.
    ///
    /// The listing may be older than the reader: children of a shard that was listed as open and turns out to be
    /// closed may have been there at the beginning, so they belong. What follows closed shards was listed.
    pub(crate) fn batch(mut self) -> Self {
        self.is_batch = true;
        self
    }

    /// Notes that the shard was closed when it was added.
    pub(crate) fn set_closed(&mut self, id: &ShardId) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.was_closed = true;
            self.note_children_of(id);
        }
    }

    /// Adds a shard whose role is known. A shard that was added before keeps its role.
    ///
    /// Parents must be added before their children.
    pub(crate) fn add(&mut self, id: &ShardId, parents: &[ShardId], role: Role) {
        if self.nodes.contains_key(id) {
            return;
        }
        for parent in parents {
            if let Some(node) = self.nodes.get_mut(parent) {
                node.children.push(id.clone());
            }
        }
        let stage = match role {
            Role::Member => Stage::Waiting,
            Role::Ended => Stage::Ended,
            Role::Stranger => Stage::Stranger,
        };
        let node = Node {
            parents: parents.to_vec(),
            children: Vec::new(),
            range: None,
            was_closed: false,
            was_cut: false,
            stage,
            absences: 0,
        };
        self.nodes.insert(id.clone(), node);
        for parent in parents {
            self.note_children_of(parent);
        }
        match role {
            Role::Member => {
                self.live += 1;
                self.note_if_ready(id);
            }
            Role::Ended => self.note_children_of(id),
            Role::Stranger => {}
        }
    }

    /// Sets the hash keys of a shard. Before that, its children count as covering it, and it counts as covering its parents.
    pub(crate) fn set_range(&mut self, id: &ShardId, range: HashKeyRange) {
        let Some(node) = self.nodes.get_mut(id) else {
            return;
        };
        if node.range.replace(range) == Some(range) {
            return;
        }
        let parents = node.parents.clone();
        self.note_children_of(id);
        for parent in &parents {
            self.note_children_of(parent);
        }
    }

    /// Returns the parents of a known shard, those that have expired included.
    #[must_use]
    pub fn parents(&self, id: &ShardId) -> &[ShardId] {
        self.nodes.get(id).map_or(&[], |node| &node.parents)
    }

    /// Returns the known children of a shard, in the order in which they were added.
    #[must_use]
    pub fn children(&self, id: &ShardId) -> &[ShardId] {
        self.nodes.get(id).map_or(&[], |node| &node.children)
    }

    /// Whether a child of this shard is known.
    pub(crate) fn has_children(&self, id: &ShardId) -> bool {
        self.nodes
            .get(id)
            .is_some_and(|node| !node.children.is_empty())
    }

    /// Whether every shard was read to its end and no more shards can turn up.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.live == 0 && !self.is_looking_for_children()
    }

    /// Whether a shard was read to its end and its known children do not cover its hash keys: the shards have to be
    /// listed again.
    #[must_use]
    pub fn is_looking_for_children(&self) -> bool {
        self.scope != Scope::Leased && !self.childless.is_empty()
    }

    /// Whether the shard is known.
    pub(crate) fn has(&self, id: &ShardId) -> bool {
        self.nodes.contains_key(id)
    }

    /// Returns the parents of a shard that belong to another reader's set.
    pub(crate) fn strange_parents(&self, id: &ShardId) -> Vec<ShardId> {
        if self.scope != Scope::Chosen {
            return Vec::new();
        }
        let parents = self.nodes.get(id).map(|node| &*node.parents);
        let parents = parents.unwrap_or_default().iter();
        let is_strange = |id: &&ShardId| {
            let node = self.nodes.get(*id);
            node.is_some_and(|node| !node.is_member() && !node.was_cut)
        };
        parents.filter(is_strange).cloned().collect()
    }

    /// Returns the ancestors of a shard that belong to other readers' sets and are retained, each with its parents: those
    /// that are reached through such shards only.
    pub(crate) fn strange_ancestors(&self, id: &ShardId) -> BTreeMap<ShardId, Vec<ShardId>> {
        let mut ancestors = BTreeMap::new();
        let mut next = self.strange_parents(id);
        while let Some(id) = next.pop() {
            if !ancestors.contains_key(&id) {
                next.extend(self.strange_parents(&id));
                ancestors.insert(id.clone(), self.parents(&id).to_vec());
            }
        }
        ancestors
    }
}

impl Node {
    fn is_member(&self) -> bool {
        self.stage != Stage::Stranger
    }

    fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Reading)
    }
}
