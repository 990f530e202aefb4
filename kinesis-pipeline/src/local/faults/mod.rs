//! Faults on request: the kind, the calls that they hit, and their number.
//!
//! ```text
//!   Faults::add ──> rules ──┐
//!                           ├─ decide (pure, by seed) ──> Plan: wait, refuse, or lose the answer
//!   every call ─────────────┘
//! ```

mod fault;
mod rules;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytestring::ByteString;

use super::{LocalError, api_error::ApiError, locks::lock, state::names::is_operation};
use rules::{Call, Rules};

pub use fault::Fault;

/// The largest number of faults that wait at a time.
const FAULTS_MAX: usize = 1_000;

/// The faults of one embedded Kinesis: they strike in process and over HTTP alike.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use kinesis_pipeline::local::{Fault, LocalKinesis};
///
/// let kinesis = LocalKinesis::builder().seed(7).start().await?;
/// // The next two puts are throttled; then one call in ten of any kind fails, in the same places on every run.
/// kinesis.faults().add(Fault::throttle().on("PutRecords").times(2))?;
/// kinesis.faults().add(Fault::fail().probability(0.1).always())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Faults {
    pub(super) book: SharedFaults,
}

impl Faults {
    /// Adds a fault. Faults are tried in the order in which they were added.
    ///
    /// # Errors
    /// [`LocalError::Settings`]: the operation does not exist, the fault does not fit it, or 1,000 faults wait
    /// already.
    pub fn add(&self, fault: Fault) -> Result<(), LocalError> {
        let known = fault.operation.as_deref().is_none_or(is_operation);
        if !known {
            let name = fault.operation.unwrap_or_default();
            return Err(LocalError::settings(format!(
                "there is no operation `{name}` to have a fault on: write a name of the API, such as `PutRecords`"
            )));
        }
        if !fault.fits() {
            return Err(LocalError::settings(format!(
                "{fault:?} cannot strike its operation"
            )));
        }
        self.book.add(fault)
    }

    /// Forgets all faults.
    pub fn clear(&self) {
        self.book.clear();
    }
}

/// The faults as the operations use them.
#[derive(Debug)]
pub(super) struct FaultBook {
    /// Whether there are rules, so that a call without any costs one load. It changes under the lock of `rules`. A call that
    /// runs while a fault is added may miss it, as if it had come before.
    has_rules: AtomicBool,
    rules: Mutex<Rules>,
}

/// The faults that strike one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The wait of the call before anything else.
    pub(super) delay: Duration,
    /// The refusal of the whole call.
    pub(super) refused: Option<ApiError>,
    /// Whether the call is carried out and its answer lost.
    pub(super) lost: bool,
    /// The refusals of single entries.
    pub(super) refusals: Refusals,
}

/// The entries of a put that are refused one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusals {
    pub(super) shards: Vec<(ByteString, ApiError)>,
    pub(super) entries: Vec<(usize, ApiError)>,
}

impl Refusals {
    /// Returns the refusal of this entry, which goes to that shard, if it has one.
    pub(super) fn of(&self, entry: usize, shard_id: &str) -> Option<&ApiError> {
        let by_entry = self.entries.iter().find(|(refused, _)| *refused == entry);
        let by_shard = || {
            self.shards
                .iter()
                .find(|(refused, _)| *refused == *shard_id)
        };
        match by_entry {
            Some((_, error)) => Some(error),
            None => by_shard().map(|(_, error)| error),
        }
    }
}

impl FaultBook {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            has_rules: AtomicBool::new(false),
            rules: Mutex::new(Rules::new(seed)),
        }
    }

    fn add(&self, fault: Fault) -> Result<(), LocalError> {
        let mut rules = lock(&self.rules);
        if rules.len() >= FAULTS_MAX {
            return Err(LocalError::settings(format!(
                "{FAULTS_MAX} faults wait already: clear them first"
            )));
        }
        rules.add(fault);
        self.has_rules.store(true, Ordering::Release);
        Ok(())
    }

    fn clear(&self) {
        let mut rules = lock(&self.rules);
        rules.clear();
        self.has_rules.store(false, Ordering::Release);
    }

    /// Whether any call may be struck.
    pub(super) fn may_strike(&self) -> bool {
        self.has_rules.load(Ordering::Acquire)
    }

    /// Decides which faults strike a call about these shards with `entries` entries.
    pub(super) fn plan(&self, operation: &str, shards: &[ByteString], entries: usize) -> Plan {
        let call = Call {
            operation,
            shards,
            entries,
        };
        let mut rules = lock(&self.rules);
        let plan = rules.decide(&call);
        self.has_rules.store(rules.len() > 0, Ordering::Release);
        plan
    }

    /// Whether the next event of a subscription to this shard, and every later one, is to be held back.
    pub(super) fn half_opens(&self, shard_id: &ByteString) -> bool {
        if !self.may_strike() {
            return false;
        }
        let mut rules = lock(&self.rules);
        let strikes = rules.half_opens(shard_id);
        self.has_rules.store(rules.len() > 0, Ordering::Release);
        strikes
    }
}

/// The faults, shared with the subscriptions.
pub(super) type SharedFaults = Arc<FaultBook>;
