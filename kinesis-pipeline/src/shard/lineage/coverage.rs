use super::{Lineage, Node, Stage};
use crate::shard::{HashKeyRange, ShardId, coverage::hole};

/// The hash keys that shards and their children take.
impl Lineage {
    /// Returns the open shards that take hash keys of `range`, sorted by id: all open shards for
    /// [`HashKeyRange::ALL`].
    ///
    /// A shard counts as open until it was listed as closed, was read to its end, or has a known child.
    pub fn covering(&self, range: HashKeyRange) -> impl Iterator<Item = &ShardId> {
        let is_open = |node: &Node| {
            !node.was_closed && node.stage != Stage::Ended && node.children.is_empty()
        };
        let overlaps = move |node: &Node| {
            node.range
                .is_none_or(|own| own.start <= range.end && range.start <= own.end)
        };
        let covering = self.nodes.iter();
        covering.filter_map(move |(id, node)| (is_open(node) && overlaps(node)).then_some(id))
    }

    /// Notes whether children of this shard are still to be found.
    pub(super) fn note_children_of(&mut self, id: &ShardId) {
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
            // Without a known range, any child counts as covering it.
            _ => !node.children.is_empty(),
        }
    }
}
