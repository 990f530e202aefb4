//! `lag`: how far a fleet is behind its stream.
//!
//! ```text
//!   leases + shards ── standing: pure ──> Standing ── measure: one page of one record ──> LagRow ── --max ──> status 3
//! ```

mod row;
mod standing;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};
use kinesis_pipeline::{
    Clock, ShardId,
    service::{ErrorClass, GetRecords, GetShardIterator, IteratorStart, ServiceError},
};

use self::{
    row::{Behind, LagRow, alert, summary},
    standing::{Standing, Subject, subjects},
};
use crate::{
    calls::repeated,
    cli::{Global, StreamArgument},
    connect::Connected,
    failure::Failure,
    interrupt::or_stopped,
    lease_table::LeasesArgument,
    output::{self, Layout},
    progress_bar::tell,
    shards, values,
};

/// The number of shards that are asked at the same time.
const SHARDS_AT_A_TIME: usize = 16;

#[derive(Args, Debug)]
pub(crate) struct Lag {
    #[command(flatten)]
    stream: StreamArgument,
    #[command(flatten)]
    fleet: LeasesArgument,
    /// End with status 3 if a shard is farther behind than this, or if its lag is not known.
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    max: Option<Duration>,
    /// The form in which the lag is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Lag {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let known = Arc::new(AtomicUsize::new(0));
        let count = known.clone();
        let words = move || {
            let known = count.load(Ordering::Relaxed);
            format!("before the lag of all shards was known; that of {known} was")
        };
        let rows = or_stopped(Box::pin(self.rows(global, &known)), words).await?;
        output::rows(self.output, &rows)?;
        if !global.quiet {
            tell(&summary(&rows));
        }
        match self.max.and_then(|max| alert(&rows, max)) {
            Some(alert) => Err(Failure::Alert(alert)),
            None => Ok(()),
        }
    }

    async fn rows(&self, global: &Global, known: &AtomicUsize) -> Result<Vec<LagRow>, Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let leases = self.fleet.open(global).await?.list().await?;
        let shards = shards::list(&connected).await?;
        let rows = subjects(&leases, &shards).into_iter();
        let rows = rows.map(|subject| row(&connected, subject, known));
        futures_util::stream::iter(rows)
            .buffered(SHARDS_AT_A_TIME)
            .try_collect()
            .await
    }
}

async fn row(
    connected: &Connected,
    subject: Subject<'_>,
    known: &AtomicUsize,
) -> Result<LagRow, Failure> {
    let behind = behind(connected, &subject).await?;
    known.fetch_add(1, Ordering::Relaxed);
    Ok(LagRow::new(&subject, behind))
}

async fn behind(connected: &Connected, subject: &Subject<'_>) -> Result<Behind, ServiceError> {
    match &subject.standing {
        Standing::Finished => Ok(Behind::Finished),
        Standing::Unknown(reason) => Ok(Behind::Unknown(reason)),
        Standing::At(start) => match measure(connected, subject.shard_id, start).await {
            Err(error) if matches!(error.class, ErrorClass::Invalid | ErrorClass::NotFound) => {
                Ok(Behind::Unknown("the shard does not know its checkpoint"))
            }
            measured => measured,
        },
    }
}

/// Measures the lag at the next record, if there is one: the service does not tell how many records wait.
async fn measure(
    connected: &Connected,
    shard_id: &ShardId,
    start: &IteratorStart,
) -> Result<Behind, ServiceError> {
    let (service, id) = (&connected.service, connected.id());
    let call = GetShardIterator::new(id.clone(), shard_id.clone(), start.clone());
    let iterator = repeated(|| service.get_shard_iterator(call.clone())).await?;
    let call = GetRecords::new(id, iterator).limit(1);
    let page = repeated(|| service.get_records(call.clone())).await?;
    let now = Clock::system().now();
    let next = page.records.first();
    let waits = next.map(|record| now.duration_since(record.arrived_at).unwrap_or_default());
    // A page says how far its end is behind the tip. A page with the last record is at the tip, although this record
    // still waits.
    let time = page.behind_latest.max(waits).unwrap_or_default();
    let has_records = next.is_some() || !time.is_zero();
    Ok(Behind::Known { time, has_records })
}
