use std::sync::Arc;

use tokio::sync::watch;

/// The state of a sink's database, as its last call showed it. Cheap to clone.
///
/// ```no_run
/// # async fn watch(mut health: kinesis_pipeline_sql::Health) {
/// while health.changed().await {
///     match health.error() {
///         Some(error) => eprintln!("the database is down: {error}"),
///         None => eprintln!("the database works again"),
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Health(watch::Receiver<Option<Arc<str>>>);

impl Health {
    /// Whether the last call to the database succeeded, or none was made yet.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.borrow().is_none()
    }

    /// Returns the error of the last call, if it failed.
    #[must_use]
    pub fn error(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Waits for a change. Returns `false` when the sink is gone. Cancel safe.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// The writing side of a [`Health`].
#[derive(Debug)]
pub(crate) struct Pulse(watch::Sender<Option<Arc<str>>>);

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(crate) fn health(&self) -> Health {
        Health(self.0.subscribe())
    }

    pub(crate) fn up(&self) {
        self.0.send_if_modified(|error| error.take().is_some());
    }

    pub(crate) fn down(&self, error: &str) {
        self.0.send_if_modified(|kept| {
            let is_new = kept.as_deref() != Some(error);
            if is_new {
                *kept = Some(error.into());
            }
            is_new
        });
    }
}
