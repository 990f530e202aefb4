//! The driver: the one task that moves a pipeline's records.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinSet},
    time::sleep_until,
};

use super::{
    admission::shared::Shared,
    pipeline::pipeline::Pipeline,
    request::send::{Sent, send},
    scheduler::scheduler::{Scheduler, Wake},
};
use crate::{
    service::{
        ServiceError,
        list_all::{Listed, list},
    },
    shard::Shard,
};

/// A driver, which owns the scheduler while it runs.
///
/// Dropping it, as a runtime does that shuts down, fails all of its records and gives the scheduler back to the
/// pipeline, so that a later put can start a driver on another runtime.
pub(super) struct Driver {
    pipeline: Arc<Pipeline>,
    /// Absent once it was given back to the pipeline.
    state: Option<Box<Scheduler>>,
}

/// An event that the driver waits for.
enum Event {
    /// Records may have arrived.
    Put,
    /// A request ended, or its task panicked.
    Sent(Result<Sent, JoinError>),
    /// A listing of the shards ended, or its task panicked.
    Shards(Result<Listing, JoinError>),
    /// The timer fired: a retry is due, a batch has lingered long enough, or a record has expired.
    Time,
}

type Listing = Result<Vec<Shard>, Box<ServiceError>>;

/// The time limit of one page of a listing. It is shorter than that of a request, since all records wait for it.
const PAGE_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// The calls in flight. Dropping it aborts their tasks.
#[derive(Default)]
struct Calls {
    requests: JoinSet<Sent>,
    listing: JoinSet<Listing>,
}

impl Driver {
    pub(super) fn new(pipeline: Arc<Pipeline>, state: Box<Scheduler>) -> Self {
        Self {
            pipeline,
            state: Some(state),
        }
    }

    /// Runs until nothing is left to do, then parks; the next put starts another driver. So no task stays behind on a
    /// runtime that may never be polled again.
    pub(super) async fn run(mut self) {
        let mut calls = Calls::default();
        while let Some(state) = &mut self.state {
            state.take_new();
            if !state.has_cached_wake() {
                calls.begin(state, &self.pipeline);
                if state.is_idle() {
                    self.park();
                    continue;
                }
            }
            let wake = state.next_wake(self.pipeline.now());
            let event = next_event(&self.pipeline, &mut calls, wake).await;
            let now = self.pipeline.now();
            if !matches!(event, Event::Put) {
                state.invalidate_wake();
            }
            match event {
                Event::Sent(Ok(sent)) => state.on_sent(sent, now),
                Event::Sent(Err(_)) => state.on_lost(now),
                Event::Shards(Ok(listed)) => state.on_shards(listed, now),
                Event::Shards(Err(_)) => state.on_no_shards(now),
                Event::Time => {}
                Event::Put => continue,
            }
            self.pipeline.shared().publish();
        }
    }

    fn park(&mut self) {
        if let Some(state) = self.state.take() {
            self.pipeline.shared().publish();
            self.state = self.pipeline.park(state);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.pipeline.abandon(state);
            self.pipeline.shared().publish();
        }
    }
}

impl Calls {
    /// Starts the calls that the scheduler wants made now.
    fn begin(&mut self, state: &mut Scheduler, pipeline: &Pipeline) {
        let now = pipeline.now();
        let shared = pipeline.shared();
        if let Some(listed) = state.begins_listing(now) {
            self.listing.spawn(list_shards(Arc::clone(shared), listed));
        }
        while let Some(request) = state.next_request(now) {
            self.requests.spawn(send(Arc::clone(shared), request));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(Some(sent)) = self.requests.poll_join_next(cx) {
            return Poll::Ready(Event::Sent(sent));
        }
        if let Poll::Ready(Some(listed)) = self.listing.poll_join_next(cx) {
            return Poll::Ready(Event::Shards(listed));
        }
        Poll::Pending
    }
}

async fn next_event(pipeline: &Pipeline, calls: &mut Calls, wake: Wake) -> Event {
    let mut put = pin!(pipeline.next_put(wake.coalesces));
    let mut timer = pin!(async {
        match wake.at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    });
    poll_fn(|cx| {
        if let Poll::Ready(event) = calls.poll(cx) {
            return Poll::Ready(event);
        }
        if put.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Put);
        }
        timer.as_mut().poll(cx).map(|()| Event::Time)
    })
    .await
}

async fn list_shards(shared: Arc<Shared>, listed: Listed) -> Listing {
    let page_timeout = shared.options.request_timeout.min(PAGE_TIMEOUT_MAX);
    let target = &shared.target;
    let shards = list(&*target.service, &target.stream, listed, page_timeout).await;
    shards.map_err(Box::new)
}
