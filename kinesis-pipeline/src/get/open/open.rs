use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::SystemTime,
};

use futures_util::{StreamExt, TryStreamExt, stream, stream::FuturesUnordered};

use super::{discover::discover, retained::leave_expired};
use crate::{
    get::{
        checkpoint::Checkpoint,
        dispatch::channel::{Outlet, channel},
        driver::{
            budget::Budget,
            driver::{Driver, Opened},
            elsewhere::{Elsewhere, is_any_unfinished},
            listing::Listing,
            retention::Retention,
            save_timer::SaveTimer,
        },
        error::GetError,
        fetch,
        fetch::with_retries::{BUSY_MAX, UNREACHABLE_MAX, with_retries},
        fetch::{
            consumer::{self, summary},
            service_clock::{ServiceClock, is_uncertain},
        },
        plan::{
            mismatch::{Mismatch, of_another_stream},
            options::Options,
            plan::{Begin, Bound, Plan, Refusal, Wish, plan, start_again},
            start::Until,
            trimmed::{final_error, start_after_gap, warn_of_gap},
        },
        shard_reader::retry::{Failures, Verdict},
        stats::Counters,
    },
    service::{ErrorClass, IteratorStart, ServiceError, list_all::list_all},
    shard::{Position, Shard, ShardId},
    target::Target,
};

/// The number of positions that are fixed side by side while a reader opens.
const POSITIONS_AT_A_TIME: usize = 32;

/// Fixes the position of every shard that is to be read now, and returns the driver that reads on from there.
pub(super) async fn open(
    target: Target,
    wish: &Wish,
    options: Options,
) -> Result<(Driver, Outlet), GetError> {
    let opening = Opening {
        opened_at: target.clock.now(),
        checkpoints: load_checkpoints(&target, &options).await?,
        counters: Counters::new(&target.stream),
        target: &target,
        wish,
        options: &options,
    };
    let Fixed {
        plan,
        shards,
        waiting,
        clock,
        consumer_arn,
    } = opening.fix().await?;
    opening.tell_gaps(&plan);
    if let Some(saver) = &options.saver {
        saver.forget(plan.gone);
    }
    let Opening {
        opened_at,
        counters,
        ..
    } = opening;
    let (feed, outlet) = channel();
    let mut driver = Driver {
        feed,
        lineage: plan.lineage,
        starts: plan.starts,
        bound: Bound::of(&wish.until, opened_at, clock.ahead_max),
        shards: HashMap::new(),
        timers: BTreeSet::new(),
        due: VecDeque::new(),
        budget: Budget::new(options.prefetch_bytes_max),
        listing: Listing::new(),
        elsewhere: Elsewhere::default(),
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
    for (shard_id, begin, opened) in shards {
        driver.read_shard(&shard_id, start_again(begin, clock.reached), opened);
    }
    for (shard_id, begin) in waiting {
        driver.waits_elsewhere(&shard_id, &begin);
    }
    Ok((driver, outlet))
}

/// Loads the checkpoints of the application, checked against the creation time of the stream.
async fn load_checkpoints(target: &Target, options: &Options) -> Result<Vec<Checkpoint>, GetError> {
    let Some(saver) = &options.saver else {
        return Ok(Vec::new());
    };
    let stream = &target.stream;
    let checkpoints = saver.load().await;
    let checkpoints = checkpoints.map_err(|error| GetError::checkpoint(stream, error))?;
    let Some(created_at) = created_at(target).await else {
        // As far as is known, it is the stream that it was.
        let last = checkpoints.iter().filter_map(|row| row.stream_created_at);
        last.max()
            .into_iter()
            .for_each(|time| saver.set_stream_created_at(time));
        return Ok(checkpoints);
    };
    saver.set_stream_created_at(created_at);
    match of_another_stream(&checkpoints, created_at) {
        Some(row) => Err(GetError::mismatch(
            stream,
            row.clone(),
            Mismatch::CreatedAt(created_at),
        )),
        None => Ok(checkpoints),
    }
}

/// Asks for the creation time of the stream, if that can be had in a moment: reading does not depend on it.
async fn created_at(target: &Target) -> Option<SystemTime> {
    let summary = tokio::time::timeout(UNREACHABLE_MAX, summary(target)).await;
    match summary {
        Ok(Ok(summary)) => Some(summary.created_at),
        Ok(Err(error)) => {
            let stream = &target.stream;
            tracing::debug!(%stream, %error, "cannot tell whether the checkpoints are of this stream");
            None
        }
        Err(_) => None,
    }
}

/// A reader that is being opened.
struct Opening<'a> {
    target: &'a Target,
    wish: &'a Wish,
    options: &'a Options,
    checkpoints: Vec<Checkpoint>,
    opened_at: SystemTime,
    counters: Counters,
}

type Start = (ShardId, Begin);
type OpenedShard = (ShardId, Begin, Opened);

/// The positions of a reader.
struct Fixed {
    plan: Plan,
    shards: Vec<OpenedShard>,
    /// Shards that wait for another reader.
    waiting: Vec<(ShardId, Begin)>,
    clock: ServiceClock,
    consumer_arn: Option<Arc<str>>,
}

/// The reason why the positions could not be fixed.
enum Unfixed {
    /// The service does not know a shard that it has listed: it has expired since, or is new.
    Lost(ShardId, ServiceError),
    Failed(GetError),
}

impl Opening<'_> {
    /// Decides what to read and fixes the positions, again from the listing on while a shard is not known that was
    /// listed.
    async fn fix(&self) -> Result<Fixed, GetError> {
        let mut failures = Failures::default();
        loop {
            let mut plan = self.decide().await?;
            let clock = self.look_at_clock(&mut plan).await?;
            let (first, waiting) = self.take_first(&mut plan);
            let consumer_arn = consumer_arn(self.target, self.options).await?;
            let opener = Opener {
                target: self.target,
                options: self.options,
                consumer_arn: consumer_arn.as_deref(),
            };
            let (shard_id, error) = match opener.fix_positions(first, &self.counters).await {
                Ok(shards) => {
                    return Ok(Fixed {
                        plan,
                        shards,
                        waiting,
                        clock,
                        consumer_arn,
                    });
                }
                Err(Unfixed::Failed(error)) => return Err(error),
                Err(Unfixed::Lost(shard_id, error)) => (shard_id, error),
            };
            let now = self.target.clock.instant();
            match failures.judge(ErrorClass::Transient, now, BUSY_MAX, fastrand::f64()) {
                Verdict::Again { at, .. } => tokio::time::sleep_until(at).await,
                Verdict::Final => {
                    let stream = &self.target.stream;
                    return Err(GetError::service(stream, Some(&shard_id), error));
                }
            }
        }
    }

    async fn decide(&self) -> Result<Plan, GetError> {
        let (target, wish) = (self.target, self.wish);
        let shards = discover(target, wish, &self.checkpoints).await?;
        for shard in &shards {
            self.options.ranges.learn(&shard.id, shard.hash_key_range);
        }
        let plan = plan(&shards, wish, &self.checkpoints);
        let mut plan = plan.map_err(|why| refusal(target, shards.len(), why))?;
        if wish.shards.is_empty() {
            // The policy has dealt with them.
            let expired = plan.gaps.iter().map(|gap| gap.shard_id.clone());
            plan.gone.extend(expired);
        }
        let (starts, now) = (&mut plan.starts, self.opened_at);
        let gaps = leave_expired(target, starts, wish.on_trimmed, now).await?;
        plan.gaps.extend(gaps);
        Ok(plan)
    }

    /// Looks at the service's clock if a time near the present is needed, and moves the positions by time that it
    /// has not reached.
    async fn look_at_clock(&self, plan: &mut Plan) -> Result<ServiceClock, GetError> {
        let (target, now) = (self.target, self.opened_at);
        let is_timed = |begin: &Begin| match begin.iterator {
            IteratorStart::AtTimestamp(time) => is_uncertain(time, now),
            _ => false,
        };
        let is_latest = |begin: &Begin| begin.iterator == IteratorStart::Latest;
        let is_until = matches!(self.wish.until, Until::Timestamp(time) if is_uncertain(time, now));
        let has_timed = plan.starts.values().any(is_timed);
        let has_latest = plan.starts.values().any(is_latest);
        if !(has_timed || has_latest || is_until) {
            return Ok(ServiceClock::unknown(now));
        }
        // Any shard does. Readers that open together do not all ask the same one.
        let Some(shard_id) = fastrand::choice(plan.starts.keys()).cloned() else {
            return Ok(ServiceClock::unknown(now));
        };
        let clock = match ServiceClock::look(target, &shard_id).await {
            Ok(clock) => clock,
            Err(error) => {
                tracing::debug!(stream = %target.stream, %error, "cannot tell the service's time");
                return Ok(ServiceClock::unknown(now));
            }
        };
        if has_timed || is_until || self.options.saver.is_some() {
            clock.check(target)?;
        }
        for begin in plan.starts.values_mut() {
            if let IteratorStart::AtTimestamp(time) = &mut begin.iterator {
                *time = clock.position(*time, now);
            }
        }
        Ok(clock)
    }

    /// Takes the shards that are read at once, and those that wait for another reader.
    fn take_first(&self, plan: &mut Plan) -> (Vec<Start>, Vec<Start>) {
        let (mut first, mut waiting) = (Vec::new(), Vec::new());
        while let Some(shard_id) = plan.lineage.take_ready() {
            let begin = plan.starts.remove(&shard_id);
            let begin = begin.unwrap_or(IteratorStart::TrimHorizon.into());
            let parents = plan.lineage.strange_parents(&shard_id);
            let waits = begin.resumed.is_none() && is_any_unfinished(&parents, &self.checkpoints);
            let list = if waits { &mut waiting } else { &mut first };
            list.push((shard_id, begin));
        }
        (first, waiting)
    }

    fn tell_gaps(&self, plan: &Plan) {
        for gap in &plan.gaps {
            self.counters.on_gap();
            let until = gap.finished_until();
            warn_of_gap(self.target, &gap.shard_id, until, self.options.on_trimmed);
        }
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
    ) -> Result<Vec<OpenedShard>, Unfixed> {
        stream::iter(starts)
            .map(|(shard_id, begin)| async move {
                let error = match self.fix_position(&shard_id, &begin.iterator).await {
                    Ok(opened) => return Ok((shard_id, begin, opened)),
                    Err(error) => error,
                };
                let on_trimmed = self.options.on_trimmed;
                let (Unfixed::Failed(GetError::UnknownPosition { position, .. }), Some(start)) =
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
    ) -> Result<Opened, Unfixed> {
        let target = self.target;
        let fixed = match self.consumer_arn {
            Some(arn) => self.subscribe(arn, shard_id, start).await,
            None => self.get_iterator(shard_id, start).await,
        };
        fixed.map_err(|error| {
            if error.class == ErrorClass::NotFound {
                return Unfixed::Lost(shard_id.clone(), error);
            }
            let position = position(shard_id, start);
            Unfixed::Failed(final_error(target, shard_id, error, position))
        })
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
