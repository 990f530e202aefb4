//! The one task that moves a pipeline's records.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    pipeline::Pipeline,
    send::{Sent, send},
    settings::Settings,
    state::State,
};

/// The state while a driver owns it.
///
/// Dropping it, as a runtime does that shuts down, ends all of its records and gives the state back, so that
/// a later put can start a driver on another runtime.
pub(crate) struct Driver {
    pipeline: Arc<Pipeline>,
    /// Absent once it was given back.
    state: Option<Box<State>>,
}

/// What a driver waits for.
enum Event {
    /// Something was put.
    Put,
    /// A request came back, or its task panicked.
    Sent(Result<Sent, JoinError>),
    /// It is time for a retry or for a batch that has gathered long enough.
    Time,
}

impl Driver {
    pub(crate) fn new(pipeline: Arc<Pipeline>, state: Box<State>) -> Self {
        Self {
            pipeline,
            state: Some(state),
        }
    }

    /// Runs until nothing is left to do. The next put starts another driver: nothing stays behind on a
    /// runtime that may never be polled again.
    pub(crate) async fn run(mut self) {
        let mut requests = JoinSet::new();
        while let Some(state) = &mut self.state {
            state.take_new();
            start_requests(state, self.pipeline.settings(), &mut requests);
            if state.is_idle() {
                self.rest();
                continue;
            }
            let wake_at = state.next_wake();
            match next_event(&self.pipeline, &mut requests, wake_at).await {
                Event::Sent(Ok(sent)) => {
                    let now = state.now();
                    state.on_sent(sent, now);
                }
                Event::Sent(Err(panicked)) => {
                    tracing::error!(%panicked, "a put request was lost");
                    state.on_lost();
                }
                Event::Put | Event::Time => {}
            }
        }
    }

    fn rest(&mut self) {
        if let Some(state) = self.state.take() {
            self.state = self.pipeline.rest(state);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.pipeline.abandon(state);
        }
    }
}

fn start_requests(state: &mut State, settings: &Arc<Settings>, requests: &mut JoinSet<Sent>) {
    let now = state.now();
    while let Some(batch) = state.next_request(now) {
        requests.spawn(send(Arc::clone(settings), batch));
    }
}

async fn next_event(
    pipeline: &Pipeline,
    requests: &mut JoinSet<Sent>,
    wake_at: Option<Instant>,
) -> Event {
    let mut put = pin!(pipeline.next_put());
    let mut timer = pin!(async {
        match wake_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    });
    poll_fn(|cx| {
        if let Poll::Ready(Some(sent)) = requests.poll_join_next(cx) {
            return Poll::Ready(Event::Sent(sent));
        }
        if put.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Put);
        }
        timer.as_mut().poll(cx).map(|()| Event::Time)
    })
    .await
}
