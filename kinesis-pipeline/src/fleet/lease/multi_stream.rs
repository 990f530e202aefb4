use std::sync::Arc;

use super::{
    FleetLead, Lease, LeaseChange, LeaseFuture, LeaseStore, LeaseWrite, LeaseWritten, WorkerId,
};
use crate::shard::ShardId;

/// A table of several streams with full keys: the ids of parents and children are lease keys too, so no id occurs in
/// two streams. In the rows they are plain shard ids, as in KCL.
#[derive(Clone, Debug)]
pub(crate) struct MultiStreamLeases(pub(crate) Arc<dyn LeaseStore>);

/// Adds the stream of the lease's own key to the ids of its parents and children.
fn from_row(mut lease: Lease) -> Lease {
    if let Some((stream, _)) = lease.shard_id.as_str().rsplit_once(':') {
        for id in lease.parents.iter_mut().chain(&mut lease.children) {
            *id = format!("{stream}:{id}").into();
        }
    }
    lease
}

fn to_row(mut lease: Lease) -> Lease {
    plain(&mut lease.parents);
    plain(&mut lease.children);
    lease
}

fn plain(ids: &mut [ShardId]) {
    for id in ids {
        if let Some((_, shard_id)) = id.as_str().rsplit_once(':') {
            *id = shard_id.into();
        }
    }
}

fn write_to_row(write: LeaseWrite) -> LeaseWrite {
    let LeaseWrite {
        seen,
        mut change,
        bytes_per_second,
        current_at,
    } = write;
    if let LeaseChange::Checkpoint { children, .. } = &mut change {
        plain(children);
    }
    LeaseWrite {
        seen: to_row(seen),
        change,
        bytes_per_second,
        current_at,
    }
}

#[deny(clippy::missing_trait_methods)]
impl LeaseStore for MultiStreamLeases {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        Box::pin(async move {
            let rows = self.0.list(app).await?;
            Ok(rows.into_iter().map(from_row).collect())
        })
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        Box::pin(async move {
            Ok(match self.0.write(app, write_to_row(write)).await? {
                LeaseWritten::Done(lease) => LeaseWritten::Done(from_row(lease)),
                LeaseWritten::Refused(found) => LeaseWritten::Refused(found.map(from_row)),
            })
        })
    }

    fn report<'a>(&'a self, app: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, FleetLead> {
        self.0.report(app, worker)
    }

    fn assigned<'a>(&'a self, app: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, Vec<Lease>> {
        Box::pin(async move {
            let rows = self.0.assigned(app, worker).await?;
            Ok(rows.into_iter().map(from_row).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LeaseCheckpoint, MemoryLeases, fleet::lease::conformance};

    #[tokio::test(start_paused = true)]
    async fn a_table_of_several_streams_conforms() {
        conformance::check(&MultiStreamLeases(Arc::new(MemoryLeases::new()))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn rows_name_parents_and_children_by_their_shard_ids() {
        let table = MemoryLeases::new();
        let leases = MultiStreamLeases(Arc::new(table.clone()));
        let key = |shard: &str| ShardId::from(format!("1:a:2:{shard}"));
        let mut lease = Lease::new(key("shardId-2"), LeaseCheckpoint::TrimHorizon);
        lease.parents = vec![key("shardId-0"), key("shardId-1")];
        let created = leases.write("app", LeaseWrite::create(lease.clone())).await;
        assert_eq!(created.unwrap(), LeaseWritten::Done(lease.clone()));
        let to = LeaseCheckpoint::ShardEnd;
        let children = vec![key("shardId-3")];
        let end = LeaseWrite::new(lease, LeaseChange::Checkpoint { to, children });
        leases.write("app", end).await.unwrap();
        let row = table.get("app", &key("shardId-2")).unwrap();
        assert_eq!(row.parents, ["shardId-0".into(), "shardId-1".into()]);
        assert_eq!(row.children, ["shardId-3".into()]);
        let listed = leases.list("app").await.unwrap();
        assert_eq!(listed[0].children, [key("shardId-3")]);
    }
}
