//! The calls that fix a position: by an iterator, or by a subscription.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    get::{
        driver::members::Opened,
        error::GetError,
        fetch::{
            self, consumer,
            with_retries::{UNREACHABLE_MAX, with_retries},
        },
        plan::{
            options::Options,
            plan::Begin,
            trimmed::{final_error, start_after_gap, warn_of_gap},
        },
        shard_reader::retry::{Failures, RetryDecision},
        stats::Counters,
    },
    service::{ErrorClass, IteratorStart, ServiceError},
    shard::{Position, ShardId},
    target::Target,
};

/// The number of positions that are fixed at the same time while a reader opens.
const POSITIONS_AT_A_TIME: usize = 32;

pub(super) type Start = (ShardId, Begin);
pub(in crate::get) type OpenedShard = (ShardId, Begin, Opened);

/// The reason why the positions could not be fixed.
pub(in crate::get) enum Unfixed {
    /// The service does not know a shard that it has listed: the shard has expired since, or is new.
    Lost(ShardId, ServiceError),
    Failed(GetError),
}

/// Returns the ARN of the consumer to subscribe as; `None` to poll, also as the fall-back.
pub(super) async fn consumer_arn(
    target: &Target,
    options: &Options,
) -> Result<Option<Arc<str>>, GetError> {
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

/// The calls that fix positions: by an iterator, or by a subscription.
pub(in crate::get) struct Opener<'a> {
    pub(in crate::get) target: &'a Target,
    pub(in crate::get) options: &'a Options,
    pub(in crate::get) consumer_arn: Option<&'a str>,
}

impl Opener<'_> {
    /// Fixes the position of each of these shards. An expired position moves by the policy.
    pub(in crate::get) async fn fix_positions(
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

    /// Fixes the position of one shard.
    pub(in crate::get) async fn fix_position(
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

    /// Fixes the position of one shard that is not known from a listing. Asks again for a shard that the service does not
    /// know, since it may be new.
    pub(in crate::get) async fn fix_known(
        &self,
        shard_id: &ShardId,
        start: &IteratorStart,
    ) -> Result<Opened, GetError> {
        let mut failures = Failures::default();
        loop {
            let error = match self.fix_position(shard_id, start).await {
                Ok(opened) => return Ok(opened),
                Err(Unfixed::Failed(error)) => return Err(error),
                Err(Unfixed::Lost(_, error)) => error,
            };
            let (now, jitter) = (self.target.clock.instant(), fastrand::f64());
            match failures.judge(ErrorClass::Transient, now, UNREACHABLE_MAX, jitter) {
                RetryDecision::Again { at, .. } => tokio::time::sleep_until(at).await,
                RetryDecision::Final => {
                    let stream = &self.target.stream;
                    return Err(GetError::service(stream, Some(shard_id), error));
                }
            }
        }
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
        let subscribe = || async {
            let (target, id) = (self.target, shard_id.clone());
            let subscribed = fetch::subscribe(target, consumer_arn, id, start.clone()).await;
            subscribed.map_err(|error| self.as_passing(error))
        };
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

impl Opener<'_> {
    /// Returns the refusal of a subscription as a passing fault if the shard is not known, which may be new, and would be
    /// polled for good after it.
    fn as_passing(&self, mut error: ServiceError) -> ServiceError {
        if self.options.falls_back && error.class == ErrorClass::NotFound {
            error.class = ErrorClass::Transient;
        }
        error
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
