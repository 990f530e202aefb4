use std::{sync::Arc, time::SystemTime};

use super::{
    checkpoints::load_checkpoints,
    discover::discover,
    positions::{OpenedShard, Opener, Start, Unfixed, consumer_arn},
    retained::leave_expired,
};
use crate::{
    get::{
        checkpoint::Checkpoint,
        dispatch::channel::{Outlet, channel},
        driver::{
            driver::{Driver, Setup},
            elsewhere::Strangers,
        },
        error::GetError,
        fetch::{
            service_clock::{ServiceClock, is_uncertain},
            with_retries::BUSY_MAX,
        },
        plan::{
            options::Options,
            plan::{Begin, Bound, Plan, Refusal, Wish, plan, start_again},
            start::Until,
            trimmed::warn_of_gap,
        },
        shard_reader::retry::{Failures, RetryDecision},
        stats::Counters,
    },
    service::{ErrorClass, IteratorStart},
    shard::{Shard, ShardId},
    target::Target,
};

/// Fixes the position of every shard that is read first, and returns the driver that continues from there.
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
        listed,
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
    let (feed, outlet) = channel(&target.stream);
    let mut driver = Driver::new(Setup {
        feed,
        lineage: plan.lineage,
        starts: plan.starts,
        bound: Bound::of(&wish.until, opened_at, clock.ahead_max),
        counters,
        consumer_arn,
        target,
        options,
    })
    .planned_by(&listed);
    for (shard_id, begin, opened) in shards {
        driver.read_shard(&shard_id, start_again(begin, clock.reached), opened);
    }
    for (shard_id, begin) in waiting {
        driver.waits_elsewhere(&shard_id, &begin);
    }
    Ok((driver, outlet))
}

/// The opening of a reader.
struct Opening<'a> {
    target: &'a Target,
    wish: &'a Wish,
    options: &'a Options,
    checkpoints: Vec<Checkpoint>,
    opened_at: SystemTime,
    counters: Counters,
}

/// The positions of a reader.
struct Fixed {
    plan: Plan,
    listed: Vec<Shard>,
    shards: Vec<OpenedShard>,
    /// Shards that wait for another reader.
    waiting: Vec<(ShardId, Begin)>,
    clock: ServiceClock,
    consumer_arn: Option<Arc<str>>,
}

impl Opening<'_> {
    /// Plans the shards to read and fixes their positions. Starts again with a listing if the service does not know a shard
    /// that it has listed.
    async fn fix(&self) -> Result<Fixed, GetError> {
        let mut failures = Failures::default();
        loop {
            let (mut plan, listed) = self.decide().await?;
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
                        listed,
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
                RetryDecision::Again { at, .. } => tokio::time::sleep_until(at).await,
                RetryDecision::Final => {
                    let stream = &self.target.stream;
                    return Err(GetError::service(stream, Some(&shard_id), error));
                }
            }
        }
    }

    async fn decide(&self) -> Result<(Plan, Vec<Shard>), GetError> {
        let (target, wish) = (self.target, self.wish);
        let shards = discover(target, wish, &self.checkpoints).await?;
        for shard in &shards {
            self.options.ranges.learn(&shard.id, shard.hash_key_range);
        }
        let plan = plan(&shards, wish, &self.checkpoints);
        let mut plan = plan.map_err(|why| refusal(target, shards.len(), why))?;
        if wish.shards.is_empty() {
            // The policy has decided about these shards.
            let expired = plan.gaps.iter().map(|gap| gap.shard_id.clone());
            plan.gone.extend(expired);
        }
        let (starts, now) = (&mut plan.starts, self.opened_at);
        let gaps = leave_expired(target, starts, wish.on_trimmed, now).await?;
        plan.gaps.extend(gaps);
        Ok((plan, shards))
    }

    /// Measures the service's clock if a time near the present is needed, and moves positions that it has not reached.
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
        // Any shard will do. A random one keeps readers that open together from calling the same one.
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

    /// Takes from the plan the shards that are read at once, and those that wait for another reader.
    fn take_first(&self, plan: &mut Plan) -> (Vec<Start>, Vec<Start>) {
        let (mut first, mut waiting) = (Vec::new(), Vec::new());
        while let Some(shard_id) = plan.lineage.take_ready() {
            let begin = plan.starts.remove(&shard_id);
            let begin = begin.unwrap_or(IteratorStart::TrimHorizon.into());
            let waits = begin.resumed.is_none()
                && Strangers::of(&shard_id, &plan.lineage).are_unfinished(&self.checkpoints);
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
