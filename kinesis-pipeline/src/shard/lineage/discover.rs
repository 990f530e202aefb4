use super::{ABSENCES_MAX, Lineage, Node, Role, Scope};
use crate::shard::{Shard, ShardId};

/// Shards that are found later, and shards that expire.
impl Lineage {
    /// Adds the shards of a later listing, parents before children as [`KinesisStream::shards`] sorts them. A shard
    /// that is known already stays as it is.
    ///
    /// [`KinesisStream::shards`]: crate::KinesisStream::shards
    pub fn add_listing(&mut self, shards: &[Shard]) {
        for shard in shards {
            let parents: Vec<_> = shard.parents().cloned().collect();
            self.discover(&shard.id, &parents);
            self.set_range(&shard.id, shard.hash_key_range);
        }
    }

    /// Adds a shard of a later listing. It belongs to the set by its parents. Unknown parents count as expired, so parents
    /// must be added before their children.
    pub(crate) fn discover(&mut self, id: &ShardId, parents: &[ShardId]) {
        self.add(id, parents, self.role_of_new(parents));
    }

    /// Adds a shard that the last page of one of its parents has named.
    ///
    /// The child of a merge is left to the listing in two cases: its other parent is not known, since that may be a
    /// descendant of a shard that is being read; or shards were chosen, since the page does not tell the first parent.
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
            // Some servers leave the parents out. Reading such a shard too early is better than never.
            Scope::Stream if known.peek().is_none() => !self.is_batch,
            Scope::Stream => known.any(Node::is_member),
        };
        if is_member {
            Role::Member
        } else {
            Role::Stranger
        }
    }

    /// Forgets finished shards that several listings in a row lacked: they have expired.
    ///
    /// One listing is not enough: a shard that is forgotten too soon would be read a second time when it is listed again.
    /// Shards as young as the newest listed one have not expired either.
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
}
