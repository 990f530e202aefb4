use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    future::Future,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, TryStreamExt, stream, stream::FuturesUnordered};

use super::{
    budget::Budget,
    deliver::{Outlet, channel},
    driver::Driver,
    error::GetError,
    fetch,
    gap::{final_error, start_after_gap, warn_of_gap},
    listing::Listing,
    options::Options,
    plan::{Begin, Bound, Plan, Refusal, Wish, plan, start_again},
    retry::{Failures, Verdict},
    save::SaveTimer,
    start::OnTrimmed,
    stats::Counters,
};
use crate::{
    service::{ErrorClass, IteratorStart, ServiceError, ShardIterator},
    shard::{Position, Shard, ShardId, listing::list_all},
    stream::Target,
};

/// How many iterators are fetched at a time while a reader opens.
const ITERATORS_AT_A_TIME: usize = 32;
/// How long opening tries on when the service cannot be reached or fails.
const UNREACHABLE_MAX: Duration = Duration::from_secs(4);
/// How long opening tries on when the service answers that it is busy with other things.
const BUSY_MAX: Duration = Duration::from_secs(30);

/// Fixes the position of every shard that is to be read now, and returns the driver that reads on from there.
pub(crate) async fn open(
    target: Target,
    wish: &Wish,
    options: Options,
) -> Result<(Driver, Outlet), GetError> {
    let opened_at = target.clock.now();
    let checkpoints = match &options.saver {
        Some(saver) => saver.load().await,
        None => Ok(Vec::new()),
    };
    let checkpoints = checkpoints.map_err(|error| GetError::checkpoint(&target.stream, error))?;
    let shards = list_shards(&target).await?;
    for shard in &shards {
        options.ranges.learn(&shard.id, shard.hash_key_range);
    }
    let Plan {
        mut lineage,
        mut starts,
        gaps,
        gone,
    } = plan(&shards, wish, &checkpoints).map_err(|why| refusal(&target, shards.len(), why))?;
    let counters = Counters::default();
    for gap in gaps {
        counters.on_gap();
        warn_of_gap(&target, &gap.shard_id, gap.arrived_at, options.on_trimmed);
    }
    if let Some(saver) = &options.saver {
        saver.forget(gone);
    }
    let mut first = Vec::new();
    while let Some(shard_id) = lineage.take_ready() {
        let begin = starts.remove(&shard_id);
        first.push((shard_id, begin.unwrap_or(IteratorStart::TrimHorizon.into())));
    }
    let iterators = fix_positions(&target, first, options.on_trimmed, &counters).await?;

    let (feed, outlet) = channel();
    let mut driver = Driver {
        feed,
        lineage,
        starts,
        bound: Bound::of(&wish.until, opened_at),
        shards: HashMap::new(),
        timers: BTreeSet::new(),
        due: VecDeque::new(),
        budget: Budget::new(options.prefetch_bytes_max),
        listing: Listing::new(),
        save_timer: SaveTimer::new(options.checkpoint_interval, target.clock.instant()),
        counters,
        lost: HashMap::new(),
        calls: FuturesUnordered::new(),
        target,
        options,
    };
    read_from(&mut driver, iterators, opened_at);
    Ok((driver, outlet))
}

type Fixed = (ShardId, Begin, ShardIterator);

fn read_from(driver: &mut Driver, iterators: Vec<Fixed>, opened_at: SystemTime) {
    for (shard_id, begin, iterator) in iterators {
        driver.read_shard(&shard_id, start_again(begin, opened_at), Some(iterator));
    }
}

/// Lists all retained shards of a stream, as long as it takes to tell whether it can be read.
pub(crate) async fn list_shards(target: &Target) -> Result<Vec<Shard>, GetError> {
    let list = || async {
        let list = list_all(&*target.service, &target.stream);
        fetch::in_time("ListShards", &*target.service, list).await
    };
    with_retries(target, list)
        .await
        .map_err(|error| GetError::service(&target.stream, None, error))
}

async fn fix_positions(
    target: &Target,
    starts: Vec<(ShardId, Begin)>,
    on_trimmed: OnTrimmed,
    counters: &Counters,
) -> Result<Vec<Fixed>, GetError> {
    stream::iter(starts)
        .map(|(shard_id, begin)| async move {
            let error = match fix_position(target, &shard_id, &begin.iterator).await {
                Ok(iterator) => return Ok((shard_id, begin, iterator)),
                Err(error) => error,
            };
            let (GetError::UnknownPosition { position, .. }, Some(start)) =
                (&error, start_after_gap(on_trimmed))
            else {
                return Err(error);
            };
            counters.on_gap();
            warn_of_gap(target, position, None, on_trimmed);
            let iterator = fix_position(target, &shard_id, &start).await?;
            Ok((shard_id, start.into(), iterator))
        })
        .buffer_unordered(ITERATORS_AT_A_TIME)
        .try_collect()
        .await
}

async fn fix_position(
    target: &Target,
    shard_id: &ShardId,
    start: &IteratorStart,
) -> Result<ShardIterator, GetError> {
    let get = || fetch::get_iterator(target, shard_id.clone(), start.clone());
    with_retries(target, get).await.map_err(|error| {
        let position = position(shard_id, start);
        final_error(target, shard_id, error, position)
    })
}

fn refusal(target: &Target, count: usize, why: Refusal) -> GetError {
    let stream = target.stream.clone();
    match why {
        Refusal::Absent(shard) => GetError::ShardNotFound {
            stream,
            shard,
            count,
        },
        Refusal::Trimmed(checkpoint) => GetError::Trimmed {
            stream,
            checkpoint: Box::new(checkpoint),
        },
    }
}

fn position(shard_id: &ShardId, start: &IteratorStart) -> Option<Position> {
    match start {
        IteratorStart::AtSequenceNumber(number) | IteratorStart::AfterSequenceNumber(number) => {
            Some(Position::new(shard_id.clone(), number.clone()))
        }
        _ => None,
    }
}

async fn with_retries<T, F>(target: &Target, call: impl Fn() -> F) -> Result<T, ServiceError>
where
    F: Future<Output = Result<T, ServiceError>>,
{
    let mut failures = Failures::default();
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let outage_max = match error.class {
            ErrorClass::Throttled | ErrorClass::InUse | ErrorClass::LimitExceeded => BUSY_MAX,
            _ => UNREACHABLE_MAX,
        };
        let now = target.clock.instant();
        match failures.judge(error.class, now, outage_max, fastrand::f64()) {
            Verdict::Again { at, .. } => tokio::time::sleep_until(at).await,
            Verdict::Final => return Err(error),
        }
    }
}
