use std::collections::{BTreeMap, BTreeSet};

use super::{coverage::hole, hash_key::HashKeyRange, id::ShardId};

/// Which shards belong to a reader, which of them may be read now, and which are done: a state machine
/// without effects.
///
/// A shard becomes readable once all of its parents that belong to the set have ended, so that the records
/// of one key keep their order over splits and merges.
#[derive(Debug)]
pub(crate) struct Lineage {
    scope: Scope,
    /// Of what turns up later, only descendants of shards that were open at the beginning are of interest.
    is_batch: bool,
    /// Every shard that was ever seen and is still retained, members and others.
    nodes: BTreeMap<ShardId, Node>,
    /// Members in [`Stage::Waiting`] whose parents have all ended, in the order in which they became ready.
    ready: BTreeSet<ShardId>,
    /// Members that have not ended: 0 means that nothing is being read.
    live: usize,
    /// Ended members whose known children do not take over all of their hash keys. A closed shard of a live stream
    /// has children for all of them, so as long as there are some, children are still to be found.
    childless: BTreeSet<ShardId>,
}

/// In how many listings a shard that is done must be missing before it is forgotten: one may be incomplete.
const ABSENCES_MAX: u8 = 3;

/// How shards that turn up later are taken into the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The whole stream: every shard that turns up later belongs.
    Stream,
    /// A choice of shards: a child belongs to the set of its first parent, so that readers which divide the
    /// shards between them also divide the children.
    Chosen,
    /// Shards of a fleet's leases: the children have leases of their own, so no shard that turns up later belongs.
    Leased,
}

/// What a shard is to the set when it is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// To be read.
    Member,
    /// Belongs to the set and was read to its end before.
    Ended,
    /// Not read, and neither are its children on its account.
    Stranger,
}

#[derive(Debug)]
struct Node {
    parents: Vec<ShardId>,
    children: Vec<ShardId>,
    /// `None` until it is told.
    range: Option<HashKeyRange>,
    /// Whether it was closed at the beginning. Then its children were listed with it.
    was_closed: bool,
    /// Whether it was left before its end.
    was_cut: bool,
    stage: Stage,
    /// How many listings in a row lacked the shard.
    absences: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Stranger,
    /// Parents of the set have not ended, or nobody asked for the shard yet.
    Waiting,
    Reading,
    Ended,
}

impl Lineage {
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

    /// The same set, read once up to the tip.
    ///
    /// The listing may be older than the reader: children of a shard that was listed as open and turns out to be
    /// closed may have been there at the beginning, so they belong. What follows closed shards was listed.
    pub(crate) fn batch(mut self) -> Self {
        self.is_batch = true;
        self
    }

    /// The shard was closed when it was added.
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

    /// Sets the hash keys that a shard takes. Until then its children count as covering it, and it as covering its
    /// parents.
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

    /// Adds a shard that a later listing shows. Whether it belongs follows from its parents, of which those that
    /// are not known are taken for expired: parents must be discovered before their children.
    pub(crate) fn discover(&mut self, id: &ShardId, parents: &[ShardId]) {
        self.add(id, parents, self.role_of_new(parents));
    }

    /// Adds a shard that the last page of one of its parents told of.
    ///
    /// A merged child is left to the listing when its other parent is not known, which may be a shard that is
    /// still to be found behind one that is being read; and when shards were chosen, because the page does not
    /// say which of the parents is the first.
    pub(crate) fn discover_child(&mut self, id: &ShardId, parents: &[ShardId]) {
        let is_single = parents.len() < 2;
        let are_known = parents.iter().all(|id| self.nodes.contains_key(id));
        if are_known && (is_single || self.scope != Scope::Chosen) {
            self.discover(id, parents);
        }
    }

    fn role_of_new(&self, parents: &[ShardId]) -> Role {
        let mut known = parents
            .iter()
            .filter_map(|id| self.nodes.get(id))
            .peekable();
        let first = parents.first().and_then(|id| self.nodes.get(id));
        let is_member = match self.scope {
            Scope::Leased => false,
            Scope::Chosen => first.is_some_and(Node::is_member),
            // Some servers leave the parents out: better read such a shard too early than never.
            Scope::Stream if known.peek().is_none() => !self.is_batch,
            Scope::Stream => known.any(Node::is_member),
        };
        if is_member {
            Role::Member
        } else {
            Role::Stranger
        }
    }

    /// The next shard that may be read now. The caller reads it: it is not given out twice.
    pub(crate) fn take_ready(&mut self) -> Option<ShardId> {
        let id = self.ready.pop_first()?;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.stage = Stage::Reading;
        }
        Some(id)
    }

    /// A shard has been read to its end: children that waited for it may become ready.
    pub(crate) fn end(&mut self, id: &ShardId) {
        let Some(node) = self.nodes.get_mut(id) else {
            return;
        };
        if node.stage != Stage::Reading {
            return;
        }
        node.stage = Stage::Ended;
        self.live -= 1;
        let children = node.children.clone();
        self.note_children_of(id);
        for child in &children {
            self.note_if_ready(child);
        }
    }

    /// A shard has been read as far as wanted: what follows it is of no interest.
    pub(crate) fn cut(&mut self, id: &ShardId) {
        let Some(node) = self.nodes.get_mut(id) else {
            return;
        };
        if node.stage != Stage::Reading {
            return;
        }
        node.stage = Stage::Stranger;
        node.was_cut = true;
        self.live -= 1;
        let mut cut = node.children.clone();
        while let Some(child) = cut.pop() {
            let Some(node) = self.nodes.get_mut(&child) else {
                continue;
            };
            if node.stage == Stage::Waiting {
                node.stage = Stage::Stranger;
                self.live -= 1;
                self.ready.remove(&child);
                cut.extend(node.children.iter().cloned());
            }
        }
    }

    /// The parents of a shard that is known, those that have expired included.
    pub(crate) fn parents(&self, id: &ShardId) -> &[ShardId] {
        self.nodes.get(id).map_or(&[], |node| &node.parents)
    }

    /// Whether a child of this shard is known.
    pub(crate) fn has_children(&self, id: &ShardId) -> bool {
        self.nodes
            .get(id)
            .is_some_and(|node| !node.children.is_empty())
    }

    /// Whether nothing is left to read and nothing can turn up any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.live == 0 && !self.is_looking_for_children()
    }

    /// Whether an ended shard's children are still to be found.
    pub(crate) fn is_looking_for_children(&self) -> bool {
        self.scope != Scope::Leased && !self.childless.is_empty()
    }

    /// Forgets shards that are done and that several listings in a row lacked: they have expired.
    ///
    /// One listing does not tell: a shard that was forgotten too soon would be read a second time when it turns up
    /// again. Neither do shards as young as the newest one that is listed expire.
    pub(crate) fn forget_unlisted(
        &mut self,
        newest_listed: &ShardId,
        is_listed: impl Fn(&ShardId) -> bool,
    ) {
        let childless = &mut self.childless;
        self.nodes.retain(|id, node| {
            if node.is_live() || id > newest_listed || is_listed(id) {
                node.absences = 0;
                return true;
            }
            node.absences += 1;
            let stays = node.absences < ABSENCES_MAX;
            if !stays {
                childless.remove(id);
            }
            stays
        });
    }

    /// Whether the shard is known.
    pub(crate) fn has(&self, id: &ShardId) -> bool {
        self.nodes.contains_key(id)
    }

    /// The parents of a shard that belong to another reader's set.
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

    /// Notes whether children of this shard are still to be found.
    fn note_children_of(&mut self, id: &ShardId) {
        let is_childless = self
            .nodes
            .get(id)
            .filter(|node| node.stage == Stage::Ended && !(self.is_batch && node.was_closed))
            .is_some_and(|node| !self.is_covered(node));
        if is_childless {
            self.childless.insert(id.clone());
        } else {
            self.childless.remove(id);
        }
    }

    fn is_covered(&self, node: &Node) -> bool {
        let ranges = node.children.iter().map(|id| self.nodes.get(id)?.range);
        match (node.range, ranges.collect::<Option<Vec<_>>>()) {
            (Some(range), Some(ranges)) => hole(range, ranges).is_none(),
            // A range that is not known.
            _ => !node.children.is_empty(),
        }
    }

    fn note_if_ready(&mut self, id: &ShardId) {
        let is_ready = self.nodes.get(id).is_some_and(|node| {
            let mut parents = node.parents.iter().filter_map(|id| self.nodes.get(id));
            node.stage == Stage::Waiting && !parents.any(Node::is_live)
        });
        if is_ready {
            self.ready.insert(id.clone());
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: usize) -> ShardId {
        format!("shardId-{number:012}").into()
    }

    fn ids(numbers: &[usize]) -> Vec<ShardId> {
        numbers.iter().copied().map(id).collect()
    }

    fn ready(lineage: &mut Lineage) -> Vec<ShardId> {
        std::iter::from_fn(|| lineage.take_ready()).collect()
    }

    #[test]
    fn a_merged_child_waits_for_both_parents() {
        let mut lineage = Lineage::new(Scope::Stream);
        lineage.add(&id(0), &[], Role::Member);
        lineage.add(&id(1), &[], Role::Member);
        assert_eq!(ready(&mut lineage), ids(&[0, 1]));
        lineage.discover(&id(2), &ids(&[0, 1]));
        lineage.end(&id(0));
        assert_eq!(ready(&mut lineage), []);
        lineage.end(&id(1));
        assert_eq!(ready(&mut lineage), ids(&[2]));
    }

    #[test]
    fn of_a_choice_a_child_belongs_to_its_first_parent() {
        let mut lineage = Lineage::new(Scope::Chosen);
        lineage.add(&id(0), &[], Role::Member);
        lineage.add(&id(1), &[], Role::Stranger);
        assert_eq!(ready(&mut lineage), ids(&[0]));
        lineage.discover(&id(2), &ids(&[1, 0]));
        lineage.end(&id(0));
        assert_eq!(ready(&mut lineage), []);
        assert!(lineage.is_finished());

        let mut lineage = Lineage::new(Scope::Chosen);
        lineage.add(&id(0), &[], Role::Member);
        lineage.add(&id(1), &[], Role::Stranger);
        ready(&mut lineage);
        lineage.end(&id(0));
        assert!(lineage.is_looking_for_children());
        lineage.discover(&id(2), &ids(&[0, 1]));
        assert_eq!(ready(&mut lineage), ids(&[2]));
    }

    #[test]
    fn parents_that_the_service_forgot_are_not_waited_for() {
        let mut lineage = Lineage::new(Scope::Stream);
        lineage.add(&id(5), &ids(&[1, 2]), Role::Member);
        assert_eq!(ready(&mut lineage), ids(&[5]));
    }

    #[test]
    fn a_new_shard_without_parents_is_read_by_a_reader_of_the_whole_stream_only() {
        let (all, some) = (Lineage::new(Scope::Stream), Lineage::new(Scope::Chosen));
        let batch = Lineage::new(Scope::Stream).batch();
        for (mut lineage, expected) in [(all, ids(&[7])), (some, vec![]), (batch, vec![])] {
            lineage.discover(&id(7), &[]);
            assert_eq!(ready(&mut lineage), expected);
        }
    }

    #[test]
    fn what_follows_a_cut_shard_is_not_read() {
        let mut lineage = Lineage::new(Scope::Stream);
        lineage.add(&id(0), &[], Role::Member);
        lineage.add(&id(1), &ids(&[0]), Role::Member);
        lineage.add(&id(2), &ids(&[1]), Role::Member);
        ready(&mut lineage);
        lineage.cut(&id(0));
        assert_eq!(ready(&mut lineage), []);
        assert!(lineage.is_finished());
    }

    #[test]
    fn a_forgotten_shard_takes_nothing_with_it() {
        let mut lineage = Lineage::new(Scope::Stream);
        lineage.add(&id(0), &[], Role::Member);
        lineage.add(&id(1), &ids(&[0]), Role::Member);
        ready(&mut lineage);
        lineage.end(&id(0));
        for _ in 0..ABSENCES_MAX {
            assert!(lineage.has(&id(0)), "one listing may lack it by mistake");
            lineage.forget_unlisted(&id(1), |_| false);
        }
        assert!(!lineage.has(&id(0)));
        assert_eq!(ready(&mut lineage), ids(&[1]));
        assert!(!lineage.is_finished());
    }

    #[test]
    fn a_shard_that_is_younger_than_all_that_are_listed_is_not_forgotten() {
        let mut lineage = Lineage::new(Scope::Stream);
        lineage.add(&id(3), &[], Role::Ended);
        for _ in 0..10 {
            lineage.forget_unlisted(&id(2), |_| false);
        }
        assert!(lineage.has(&id(3)));
    }

    fn range(start: u128, end: u128) -> HashKeyRange {
        HashKeyRange::new(start.into(), end.into())
    }

    #[test]
    fn children_are_looked_for_until_they_cover_their_parents_range() {
        for roles in [Role::Member, Role::Ended] {
            let mut lineage = Lineage::new(Scope::Stream);
            lineage.add(&id(0), &[], roles);
            lineage.set_range(&id(0), range(0, 99));
            ready(&mut lineage);
            lineage.end(&id(0));
            assert!(lineage.is_looking_for_children());
            lineage.discover(&id(1), &ids(&[0]));
            lineage.set_range(&id(1), range(0, 49));
            assert!(lineage.is_looking_for_children());
            lineage.discover(&id(2), &ids(&[0]));
            lineage.set_range(&id(2), range(50, 99));
            assert!(!lineage.is_looking_for_children());
        }
    }

    #[test]
    fn a_batch_follows_a_shard_that_was_listed_as_open_and_looks_for_nothing_behind_a_closed_one() {
        let mut lineage = Lineage::new(Scope::Stream).batch();
        lineage.add(&id(0), &[], Role::Member);
        lineage.add(&id(1), &[], Role::Member);
        lineage.set_closed(&id(1));
        ready(&mut lineage);
        lineage.end(&id(1));
        assert!(!lineage.is_looking_for_children());
        lineage.end(&id(0));
        assert!(lineage.is_looking_for_children());
        lineage.discover(&id(2), &ids(&[0]));
        assert_eq!(ready(&mut lineage), ids(&[2]));
    }

    /// A random history: each step splits one open shard or merges two.
    fn history(steps: &[(bool, usize, usize)]) -> Vec<(ShardId, Vec<ShardId>)> {
        let mut shards: Vec<_> = (0..3).map(|number| (id(number), vec![])).collect();
        let mut open: Vec<usize> = vec![0, 1, 2];
        for &(is_split, first, second) in steps {
            let first = open.remove(first % open.len());
            let mut parents = vec![id(first)];
            let children = if is_split || open.is_empty() {
                2
            } else {
                parents.push(id(open.remove(second % open.len())));
                1
            };
            for _ in 0..children {
                open.push(shards.len());
                shards.push((id(shards.len()), parents.clone()));
            }
        }
        shards
    }

    proptest! {
        #[test]
        fn every_shard_is_read_once_and_after_its_parents(
            steps in prop::collection::vec((any::<bool>(), 0_usize..100, 0_usize..100), 0..40),
            known_at_start in 0_usize..60,
            picks in prop::collection::vec(any::<usize>(), 1..20),
        ) {
            let shards = history(&steps);
            let mut lineage = Lineage::new(Scope::Stream);
            let known = known_at_start.clamp(3, shards.len());
            for (id, parents) in &shards[..known] {
                lineage.add(id, parents, Role::Member);
            }
            let (mut reading, mut ended) = (Vec::new(), Vec::<ShardId>::new());
            let mut picks = picks.into_iter().cycle();
            loop {
                while let Some(id) = lineage.take_ready() {
                    let parents = &shards.iter().find(|shard| shard.0 == id).unwrap().1;
                    prop_assert!(parents.iter().all(|parent| ended.contains(parent)), "{id} before its parents");
                    prop_assert!(!reading.contains(&id) && !ended.contains(&id), "{id} twice");
                    reading.push(id);
                }
                if reading.is_empty() {
                    break;
                }
                let id = reading.swap_remove(picks.next().unwrap() % reading.len());
                // The last page of the shard names its children, with all of their parents.
                for (child, parents) in shards.iter().filter(|(_, parents)| parents.contains(&id)) {
                    lineage.discover_child(child, parents);
                }
                lineage.end(&id);
                if lineage.is_looking_for_children() {
                    for (child, parents) in &shards {
                        lineage.discover(child, parents);
                    }
                }
                ended.push(id);
            }
            prop_assert_eq!(ended.len(), shards.len());
        }

        #[test]
        fn readers_that_divide_the_shards_read_each_once(
            steps in prop::collection::vec((any::<bool>(), 0_usize..100, 0_usize..100), 0..40),
            mine in prop::collection::vec(any::<bool>(), 3),
        ) {
            let shards = history(&steps);
            let mut read = Vec::new();
            for side in [true, false] {
                let mut lineage = Lineage::new(Scope::Chosen);
                for ((id, parents), owner) in shards.iter().zip(&mine) {
                    let role = if *owner == side { Role::Member } else { Role::Stranger };
                    lineage.add(id, parents, role);
                }
                for (id, parents) in &shards[3..] {
                    lineage.discover(id, parents);
                }
                while let Some(id) = lineage.take_ready() {
                    lineage.end(&id);
                    read.push(id);
                }
            }
            read.sort();
            prop_assert_eq!(read, shards.into_iter().map(|shard| shard.0).collect::<Vec<_>>());
        }
    }
}
