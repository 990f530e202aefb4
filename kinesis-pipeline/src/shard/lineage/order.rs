use super::{Lineage, Node, Stage};
use crate::shard::ShardId;

/// The order of reading: parents before children.
impl Lineage {
    /// Takes the next shard that may be read now, in the order of ids. The caller reads it: it is not given out twice.
    pub fn take_ready(&mut self) -> Option<ShardId> {
        let id = self.ready.pop_first()?;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.stage = Stage::Reading;
        }
        Some(id)
    }

    /// Notes that a shard was read to its end: its children may become ready.
    ///
    /// Does nothing unless [`take_ready`](Self::take_ready) gave the shard out.
    pub fn end(&mut self, id: &ShardId) {
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

    /// Abandons a shard that was read as far as wanted, with all of its descendants.
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

    pub(super) fn note_if_ready(&mut self, id: &ShardId) {
        let is_ready = self.nodes.get(id).is_some_and(|node| {
            let mut parents = node.parents.iter().filter_map(|id| self.nodes.get(id));
            node.stage == Stage::Waiting && !parents.any(Node::is_live)
        });
        if is_ready {
            self.ready.insert(id.clone());
        }
    }
}
