//! Calls that manage streams: retries of failed calls, and waits for their effects.

use std::time::Duration;

use kinesis_pipeline::service::{
    DescribeStreamSummary, ErrorClass, Kinesis, ServiceError, ServiceFuture, StreamId,
    StreamStatus, StreamSummary,
};

use crate::failure::{Failure, Told};

/// The most tries of a call whose failures may pass.
const ATTEMPTS_MAX: u32 = 4;
const BACKOFF: Duration = Duration::from_millis(250);
/// The longest time for a stream to be created, deleted or resharded.
const WAIT_MAX: Duration = Duration::from_mins(10);
/// The pause between two looks at a stream that is being changed. The service allows 20 looks per second and account.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(50);
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(2);

/// Makes a call, and retries it when it was refused for now or did not arrive.
pub(crate) async fn repeated<'a, T>(
    mut call: impl FnMut() -> ServiceFuture<'a, T>,
) -> Result<T, ServiceError> {
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if attempt < ATTEMPTS_MAX && may_repeat(&error) => {
                tokio::time::sleep(BACKOFF * 2_u32.pow(attempt - 1)).await;
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// Whether a call may be repeated. One that may have been carried out is not: to create a stream twice is an error.
fn may_repeat(error: &ServiceError) -> bool {
    error.is_retryable() && !error.may_have_been_done
}

/// Describes a stream.
pub(crate) async fn describe(
    service: &dyn Kinesis,
    stream: &StreamId,
) -> Result<StreamSummary, ServiceError> {
    repeated(|| service.describe_stream_summary(DescribeStreamSummary::new(stream.clone()))).await
}

/// Waits until the stream is usable and not being changed.
pub(crate) async fn until_active(
    service: &dyn Kinesis,
    stream: &StreamId,
) -> Result<StreamSummary, Failure> {
    let mut looks = Looks::default();
    loop {
        let summary = describe(service, stream).await?;
        match summary.status {
            StreamStatus::Active => return Ok(summary),
            status => looks.wait(stream, &status.to_string()).await?,
        }
    }
}

/// Waits until the stream no longer exists.
pub(crate) async fn until_gone(service: &dyn Kinesis, stream: &StreamId) -> Result<(), Failure> {
    let mut looks = Looks::default();
    loop {
        match describe(service, stream).await {
            Err(error) if error.class == ErrorClass::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(summary) => looks.wait(stream, &summary.status.to_string()).await?,
        }
    }
}

/// The polling of a stream: the time waited so far, and the pause.
#[derive(Default)]
struct Looks {
    waited: Duration,
    interval: Duration,
}

impl Looks {
    async fn wait(&mut self, stream: &StreamId, status: &str) -> Result<(), Failure> {
        if self.waited > WAIT_MAX {
            let minutes = WAIT_MAX.as_secs() / 60;
            let told = format!("stream `{stream}` is still {status} after {minutes} minutes");
            return Err(Told(told).into());
        }
        self.interval = (self.interval * 2).clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL_MAX);
        self.waited += self.interval;
        tokio::time::sleep(self.interval).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn failing(class: ErrorClass, done: bool) -> ServiceError {
        let mut error = ServiceError::unanswered("CreateStream", "here", class, "");
        error.may_have_been_done = done;
        error
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_passes_and_was_not_done_is_repeated_and_not_for_ever() {
        let table = [
            (ErrorClass::Transient, false, ATTEMPTS_MAX),
            (ErrorClass::Throttled, false, ATTEMPTS_MAX),
            (ErrorClass::Transient, true, 1),
            (ErrorClass::NotFound, false, 1),
        ];
        for (class, done, expected) in table {
            let attempts = Cell::new(0);
            let answer: Result<(), _> = repeated(|| {
                attempts.set(attempts.get() + 1);
                Box::pin(async move { Err(failing(class, done)) })
            })
            .await;
            assert!(answer.is_err());
            assert_eq!(attempts.get(), expected, "{class:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_stays_as_it_is_is_not_waited_for_for_ever() {
        let mut looks = Looks::default();
        let stream = StreamId::from("s");
        let mut waits = 0;
        while looks.wait(&stream, "UPDATING").await.is_ok() {
            waits += 1;
            assert!(waits < 1_000);
        }
        assert!(waits > 100);
    }
}
