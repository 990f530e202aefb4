use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, TryStreamExt, stream, stream::FuturesUnordered};

use super::retained::leave_expired;
use crate::{
    get::{
        dispatch::channel::{Outlet, channel},
        driver::{
            budget::Budget,
            driver::{Driver, Opened},
            listing::Listing,
            retention::Retention,
            save_timer::SaveTimer,
        },
        error::GetError,
        fetch,
        fetch::consumer,
        plan::{
            options::Options,
            plan::{Begin, Bound, Plan, Refusal, Wish, plan, start_again},
            trimmed::{final_error, start_after_gap, warn_of_gap},
        },
        shard_reader::retry::{Failures, Verdict},
        stats::Counters,
    },
    service::{ErrorClass, IteratorStart, ServiceError, list_all::list_all},
    shard::{Position, Shard, ShardId},
    target::Target,
};

/// How many positions are fixed at a time while a reader opens.
const POSITIONS_AT_A_TIME: usize = 32;
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
        mut gaps,
        gone,
    } = plan(&shards, wish, &checkpoints).map_err(|why| refusal(&target, shards.len(), why))?;
    gaps.extend(leave_expired(&target, &mut starts, wish.on_trimmed, opened_at).await?);
    let counters = Counters::new(&target.stream);
    for gap in gaps {
        counters.on_gap();
        let until = gap.finished_until();
        warn_of_gap(&target, &gap.shard_id, until, options.on_trimmed);
    }
    if let Some(saver) = &options.saver {
        saver.forget(gone);
    }
    let mut first = Vec::new();
    while let Some(shard_id) = lineage.take_ready() {
        let begin = starts.remove(&shard_id);
        first.push((shard_id, begin.unwrap_or(IteratorStart::TrimHorizon.into())));
    }
    let consumer_arn = consumer_arn(&target, &options).await?;
    let opener = Opener {
        target: &target,
        options: &options,
        consumer_arn: consumer_arn.as_deref(),
    };
    let fixed = opener.fix_positions(first, &counters).await?;

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
        retention: Retention::default(),
        ended: HashMap::new(),
        calls: FuturesUnordered::new(),
        consumer_arn,
        subscriptions: HashMap::new(),
        events: FuturesUnordered::new(),
        target,
        options,
    };
    read_from(&mut driver, fixed, opened_at);
    Ok((driver, outlet))
}

type Fixed = (ShardId, Begin, Opened);

fn read_from(driver: &mut Driver, fixed: Vec<Fixed>, opened_at: SystemTime) {
    for (shard_id, begin, opened) in fixed {
        driver.read_shard(&shard_id, start_again(begin, opened_at), opened);
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

/// The consumer to subscribe as; `None` for polling, which may be what was fallen back to.
async fn consumer_arn(target: &Target, options: &Options) -> Result<Option<Arc<str>>, GetError> {
    let Some(name) = &options.fan_out else {
        return Ok(None);
    };
    match consumer::ready(target, name).await {
        Ok(arn) => Ok(Some(arn)),
        Err(error) if options.falls_back => {
            let cause = error.service_error().map(ToString::to_string);
            tracing::warn!(stream = %target.stream, %error, cause, "cannot subscribe; polling instead");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Fixes positions: by an iterator, or by a subscription.
struct Opener<'a> {
    target: &'a Target,
    options: &'a Options,
    consumer_arn: Option<&'a str>,
}

impl Opener<'_> {
    async fn fix_positions(
        &self,
        starts: Vec<(ShardId, Begin)>,
        counters: &Counters,
    ) -> Result<Vec<Fixed>, GetError> {
        stream::iter(starts)
            .map(|(shard_id, begin)| async move {
                let error = match self.fix_position(&shard_id, &begin.iterator).await {
                    Ok(opened) => return Ok((shard_id, begin, opened)),
                    Err(error) => error,
                };
                let on_trimmed = self.options.on_trimmed;
                let (GetError::UnknownPosition { position, .. }, Some(start)) =
                    (&error, start_after_gap(on_trimmed))
                else {
                    return Err(error);
                };
                counters.on_gap();
                warn_of_gap(self.target, position, None, on_trimmed);
                let opened = self.fix_position(&shard_id, &start).await?;
                Ok((shard_id, start.into(), opened))
            })
            .buffer_unordered(POSITIONS_AT_A_TIME)
            .try_collect()
            .await
    }

    async fn fix_position(
        &self,
        shard_id: &ShardId,
        start: &IteratorStart,
    ) -> Result<Opened, GetError> {
        let target = self.target;
        let fixed = match self.consumer_arn {
            Some(arn) => self.subscribe(arn, shard_id, start).await,
            None => self.get_iterator(shard_id, start).await,
        };
        fixed.map_err(|error| final_error(target, shard_id, error, position(shard_id, start)))
    }

    async fn get_iterator(
        &self,
        shard_id: &ShardId,
        start: &IteratorStart,
    ) -> Result<Opened, ServiceError> {
        let get = || fetch::get_iterator(self.target, shard_id.clone(), start.clone());
        with_retries(self.target, get).await.map(Opened::Iterator)
    }

    async fn subscribe(
        &self,
        consumer_arn: &str,
        shard_id: &ShardId,
        start: &IteratorStart,
    ) -> Result<Opened, ServiceError> {
        let subscribe =
            || fetch::subscribe(self.target, consumer_arn, shard_id.clone(), start.clone());
        match with_retries(self.target, subscribe).await {
            Ok(subscribed) => Ok(Opened::Subscription(subscribed)),
            Err(error) if self.options.falls_back => {
                let stream = &self.target.stream;
                tracing::warn!(%stream, shard = %shard_id, %error, "cannot subscribe; polling instead");
                self.get_iterator(shard_id, start).await
            }
            Err(error) => Err(error),
        }
    }
}

fn refusal(target: &Target, count: usize, why: Refusal) -> GetError {
    let stream = target.stream.clone();
    match why {
        Refusal::Absent(shard) => GetError::ShardNotFound {
            stream,
            shard,
            count,
        },
        Refusal::Trimmed(checkpoint) => GetError::Trimmed { stream, checkpoint },
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

pub(crate) async fn with_retries<T, F>(
    target: &Target,
    call: impl Fn() -> F,
) -> Result<T, ServiceError>
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
            _ if error.awaits_credentials() => BUSY_MAX,
            _ => UNREACHABLE_MAX,
        };
        let now = target.clock.instant();
        match failures.judge(error.class, now, outage_max, fastrand::f64()) {
            Verdict::Again { at, .. } => tokio::time::sleep_until(at).await,
            Verdict::Final => return Err(error),
        }
    }
}
