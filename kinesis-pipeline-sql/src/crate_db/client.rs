//! Calls of `/_sql`, each tried a few times.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{
    answer::{Answer, RowResult, answer, row_results},
    error::CrateDbError,
    transport::{RawAnswer, Transport},
};

/// The most tries of a call. After them the caller decides.
const ATTEMPTS_MAX: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A client of a cluster. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub(super) struct SqlClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    transport: Box<dyn Transport>,
    request_time_max: Duration,
    /// The node that the next call goes to. A failure moves it to the next node.
    node: AtomicUsize,
    is_available: AtomicBool,
}

impl SqlClient {
    pub(super) fn new(transport: Box<dyn Transport>, request_time_max: Duration) -> Self {
        let shared = Shared {
            transport,
            request_time_max,
            node: AtomicUsize::new(0),
            is_available: AtomicBool::new(true),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whether the last call got an answer of the database.
    pub(super) fn is_available(&self) -> bool {
        self.shared.is_available.load(Ordering::Relaxed)
    }

    /// Carries out a statement. It may be done twice when an answer is lost.
    pub(super) async fn execute(
        &self,
        statement: &str,
        arguments: &[serde_json::Value],
    ) -> Result<Answer, CrateDbError> {
        let body = serde_json::json!({"stmt": statement, "args": arguments});
        self.call(body.to_string().into(), answer).await
    }

    /// Carries out a statement for each row of a body of [`bulk_body`]. Some may be done twice when an answer is lost.
    pub(super) async fn execute_bulk(
        &self,
        body: Bytes,
        rows: usize,
    ) -> Result<Vec<RowResult>, CrateDbError> {
        self.call(body, |raw| row_results(raw, rows)).await
    }

    async fn call<T>(
        &self,
        body: Bytes,
        read: impl Fn(&RawAnswer) -> Result<T, CrateDbError>,
    ) -> Result<T, CrateDbError> {
        let mut attempt = 1;
        loop {
            let result = self.send(body.clone()).await.and_then(|raw| read(&raw));
            let is_passing = result.as_ref().is_err_and(CrateDbError::is_retryable);
            self.shared
                .is_available
                .store(!is_passing, Ordering::Relaxed);
            match result {
                Err(error) if is_passing && attempt < ATTEMPTS_MAX => {
                    self.shared.node.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%error, attempt, "a call of CrateDB failed; trying again");
                    tokio::time::sleep(pause(attempt, fastrand::f64())).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn send(&self, body: Bytes) -> Result<RawAnswer, CrateDbError> {
        let transport = &self.shared.transport;
        let node = self.shared.node.load(Ordering::Relaxed) % transport.nodes();
        let after = self.shared.request_time_max;
        match tokio::time::timeout(after, transport.send(node, body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(CrateDbError::Unreachable {
                node: transport.name(node),
                source: Arc::new(source),
            }),
            Err(_) => Err(CrateDbError::TimedOut {
                node: transport.name(node),
                after,
            }),
        }
    }
}

/// Returns the pause after a failed try: exponential backoff with jitter, from half of the time to all of it.
pub(super) fn pause(attempt: u32, jitter: f64) -> Duration {
    let doubled = PAUSE_MIN.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled.min(PAUSE_MAX).mul_f64(0.5 + jitter / 2.0)
}

/// Returns the body of a statement for many rows, each a JSON array of arguments.
pub(super) fn bulk_body<'a>(statement: &str, rows: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let statement = serde_json::Value::from(statement);
    let mut body = format!(r#"{{"stmt":{statement},"bulk_args":["#).into_bytes();
    for (index, row) in rows.enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(row);
    }
    body.extend_from_slice(b"]}");
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        assert_eq!(pause(1, 1.0), PAUSE_MIN);
        assert_eq!(pause(2, 1.0), 2 * PAUSE_MIN);
        assert_eq!(pause(u32::MAX, 1.0), PAUSE_MAX);
        assert_eq!(pause(1, 0.0), PAUSE_MIN / 2);
    }

    #[test]
    fn a_bulk_body_is_json_whatever_the_statement_holds() {
        let rows: [&[u8]; 2] = [b"[1]", b"[\"a\"]"];
        let body = bulk_body("INSERT INTO \"a\\\" VALUES (?)", rows.into_iter());
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["stmt"], "INSERT INTO \"a\\\" VALUES (?)");
        assert_eq!(body["bulk_args"], serde_json::json!([[1], ["a"]]));
    }
}
