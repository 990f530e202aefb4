use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use clap::Args;
use kinesis_pipeline::{Lease, ShardId};
use serde::Serialize;

use crate::{
    cli::Global,
    data,
    failure::Failure,
    interrupt::or_stopped,
    lease_table::{self, LeaseTable, LeasesArgument},
    output::{self, Layout, Row},
    progress_bar::tell,
    values,
};

#[derive(Args, Debug)]
pub(crate) struct Leases {
    #[command(flatten)]
    fleet: LeasesArgument,
    /// Look twice, with this time between, and show the silent owners: their leases were not renewed in between.
    /// Workers renew every 3 s by default.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    watch: Option<Duration>,
    /// The form in which the leases are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Leases {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let words = || "before the leases were listed".to_owned();
        let (table, rows) = or_stopped(Box::pin(self.look(global)), words).await?;
        output::rows(self.output, &rows)?;
        if !global.quiet {
            tell(&summary(&rows, &table.name));
        }
        Ok(())
    }

    async fn look(&self, global: &Global) -> Result<(LeaseTable, Vec<LeaseRow>), Failure> {
        let table = self.fleet.open(global).await?;
        let first = table.list().await?;
        let Some(time) = self.watch else {
            return Ok((table, rows(&first, None)));
        };
        tokio::time::sleep(time).await;
        let second = table.list().await?;
        Ok((table, rows(&second, Some(&first))))
    }
}

/// The state of a lease, as far as the table tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// The shard is finished.
    Finished,
    /// The old owner may still save a checkpoint; the new one waits.
    HandedOver,
    /// A worker holds it.
    Held,
    /// A worker holds it, but did not renew it between two looks.
    Silent,
    /// No worker may take it before its parents are finished.
    Waiting,
    /// Any worker may take it.
    Free,
}

impl State {
    fn of(lease: &Lease, first: Option<&Lease>, unfinished: &BTreeSet<&ShardId>) -> Self {
        if lease.is_finished() {
            return Self::Finished;
        }
        if lease.checkpoint_owner.is_some() {
            return Self::HandedOver;
        }
        if lease.owner.is_some() {
            let is_silent = first.is_some_and(|first| first.counter == lease.counter);
            return if is_silent { Self::Silent } else { Self::Held };
        }
        let waits = lease.parents.iter().any(|id| unfinished.contains(id));
        if waits { Self::Waiting } else { Self::Free }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::HandedOver => "handed over",
            Self::Held => "held",
            Self::Silent => "silent",
            Self::Waiting => "waits for parents",
            Self::Free => "free",
        }
    }
}

/// A lease as it is printed.
#[derive(Serialize)]
struct LeaseRow {
    lease_key: String,
    state: State,
    /// The worker that holds the lease, or will hold it.
    owner: Option<String>,
    /// The old owner of a lease that is handed over.
    checkpoint_owner: Option<String>,
    counter: u64,
    owner_switches: u64,
    checkpoint: String,
    sub_sequence_number: Option<u64>,
    /// The arrival time at which reading begins.
    begun_at: Option<String>,
    pending_checkpoint: Option<String>,
    pending_sub_sequence_number: Option<u64>,
    pending_state_bytes: Option<usize>,
    parents: Vec<String>,
    children: Vec<String>,
    starting_hash_key: Option<String>,
    ending_hash_key: Option<String>,
}

impl LeaseRow {
    fn new(lease: &Lease, state: State) -> Self {
        let (checkpoint, sub_sequence_number) = lease_table::place(&lease.checkpoint);
        let pending = lease.pending.as_ref();
        let (pending_checkpoint, pending_sub_sequence_number) = pending
            .map(|pending| lease_table::place(&pending.checkpoint))
            .unzip();
        let state_bytes = pending.and_then(|pending| pending.state.as_ref());
        let range = lease.hash_key_range;
        let ids = |ids: &[ShardId]| ids.iter().map(ToString::to_string).collect();
        Self {
            lease_key: lease.shard_id.to_string(),
            state,
            owner: lease_table::id(lease.owner.as_ref()),
            checkpoint_owner: lease_table::id(lease.checkpoint_owner.as_ref()),
            counter: lease.counter,
            owner_switches: lease.owner_switches,
            checkpoint,
            sub_sequence_number,
            begun_at: lease.begun_at.map(data::rfc3339),
            pending_checkpoint,
            pending_sub_sequence_number: pending_sub_sequence_number.flatten(),
            pending_state_bytes: state_bytes.map(bytes::Bytes::len),
            parents: ids(&lease.parents),
            children: ids(&lease.children),
            starting_hash_key: range.map(|range| range.start.to_string()),
            ending_hash_key: range.map(|range| range.end.to_string()),
        }
    }
}

/// Returns the rows of a table; `first` is an earlier look at it.
fn rows(leases: &[Lease], first: Option<&[Lease]>) -> Vec<LeaseRow> {
    let unfinished = leases.iter().filter(|lease| !lease.is_finished());
    let unfinished: BTreeSet<_> = unfinished.map(|lease| &lease.shard_id).collect();
    let first = first.into_iter().flatten();
    let first: HashMap<_, _> = first.map(|lease| (&lease.shard_id, lease)).collect();
    let row = |lease: &Lease| {
        let first = first.get(&lease.shard_id).copied();
        LeaseRow::new(lease, State::of(lease, first, &unfinished))
    };
    leases.iter().map(row).collect()
}

/// Returns the counts in one line.
fn summary(rows: &[LeaseRow], table: &str) -> String {
    if rows.is_empty() {
        return format!("{table} has no leases of the application");
    }
    let count = |states: &[State]| {
        rows.iter()
            .filter(|row| states.contains(&row.state))
            .count()
    };
    let held = [State::Held, State::Silent, State::HandedOver];
    let owners = rows.iter().filter(|row| held.contains(&row.state));
    let owners: BTreeSet<_> = owners.filter_map(|row| row.owner.as_deref()).collect();
    let mut line = format!(
        "{} leases: {} held by {} workers, {} free, {} waiting, {} finished",
        rows.len(),
        count(&held),
        owners.len(),
        count(&[State::Free]),
        count(&[State::Waiting]),
        count(&[State::Finished]),
    );
    let silent = count(&[State::Silent]);
    if silent > 0 {
        line = format!("{line}; {silent} were not renewed");
    }
    line
}

impl Row for LeaseRow {
    const TITLES: &'static [&'static str] = &[
        "LEASE",
        "STATE",
        "OWNER",
        "COUNTER",
        "CHECKPOINT",
        "PENDING",
        "PARENTS",
    ];

    fn cells(&self) -> Vec<String> {
        let owner = self.owner.clone().unwrap_or_default();
        let pending = self.pending_checkpoint.as_deref().unwrap_or_default();
        vec![
            self.lease_key.clone(),
            self.state.words().to_owned(),
            match &self.checkpoint_owner {
                Some(old) => format!("{old} -> {owner}"),
                None => owner,
            },
            self.counter.to_string(),
            lease_table::cell(&self.checkpoint, self.sub_sequence_number),
            lease_table::cell(pending, self.pending_sub_sequence_number),
            self.parents.join(" "),
        ]
    }
}

#[cfg(test)]
mod tests {
    use kinesis_pipeline::LeaseCheckpoint;

    use super::{
        State::{Finished, Free, HandedOver, Held, Silent, Waiting},
        *,
    };

    fn lease(id: &str, owner: Option<&str>, counter: u64) -> Lease {
        let mut lease = Lease::new(id.into(), LeaseCheckpoint::TrimHorizon);
        lease.owner = owner.map(Into::into);
        lease.counter = counter;
        lease
    }

    fn states(leases: &[Lease], first: Option<&[Lease]>) -> Vec<State> {
        rows(leases, first).iter().map(|row| row.state).collect()
    }

    #[test]
    fn the_state_follows_from_the_row_and_its_parents() {
        let mut finished = lease("a", Some("w"), 9);
        finished.checkpoint = LeaseCheckpoint::ShardEnd;
        let held = lease("b", Some("w"), 3);
        let mut handed = lease("c", Some("v"), 3);
        handed.checkpoint_owner = Some("w".into());
        let mut child = lease("d", None, 0);
        child.parents = vec!["b".into(), "a".into()];
        let mut orphan = lease("e", None, 0);
        orphan.parents = vec!["a".into(), "gone".into()];
        let leases = [finished, held, handed, child, orphan];
        assert_eq!(
            states(&leases, None),
            [Finished, Held, HandedOver, Waiting, Free]
        );
    }

    #[test]
    fn an_owner_is_silent_if_its_counter_stays_between_two_looks() {
        let first = [lease("a", Some("w"), 3), lease("b", Some("w"), 3)];
        let second = [
            lease("a", Some("w"), 3),
            lease("b", Some("w"), 4),
            lease("c", Some("v"), 1),
        ];
        assert_eq!(states(&second, Some(&first)), [Silent, Held, Held]);
        let line = summary(&rows(&second, Some(&first)), "t");
        let words =
            "3 leases: 3 held by 2 workers, 0 free, 0 waiting, 0 finished; 1 were not renewed";
        assert_eq!(line, words);
    }
}
