//! Puts records: encode, queue per shard, batch into `PutRecords`, retry, acknowledge.
//!
//! ```text
//!   handles/    Producer, PutStream, ProducerSink, stream.put: what users hold
//!      │ encode, size limit, memory budget                admission/
//!      ▼
//!   pipeline/   acceptance, flush, close; starts the driver
//!      │ records                                          inbox: the queue, one lock
//!      │
//!   driver      the only task: timer, calls in flight
//!      │ events                                           (below this line no clock and no I/O)
//!      ▼
//!   scheduler/  what to send now, when to wake, what a response changes; retry
//!   queue/      one queue per shard; pacer (token bucket, AIMD); retry queue
//!   request/    entries and KPL aggregates of one PutRecords call
//!   pending/    a record's completion: receipt, flush group, budget charge
//!   shard_map/  hash key -> shard; listed again when a record lands in another shard
//! ```
//!
//! Imports go down this list, and everything may import `admission/`, which imports no other room.
//!
//! A record is in exactly one place: the inbox, the queue of its shard (or its open aggregate), a
//! request in flight, the retry queue; then it is complete.
//!
//! | question | answer |
//! |---|---|
//! | What holds a put back when memory is full? | `admission/budget`: a put reserves its bytes and waits until completed records give theirs back. |
//! | Who sends? | `driver`: it asks the scheduler for the next request and spawns `request/send`. At most `requests_in_flight_max` calls at a time. |
//! | Who decides? | `scheduler/scheduler`: a state machine that takes `now` as an argument. |
//! | Where does a record wait while its shard is throttled? | A failed record in `queue/retry_queue` until its back-off is over; then, and all later ones, in the shard's queue, which `queue/pacer` holds back. |
//! | Who enforces linger? | `queue/shard_queue`: a queue is ripe when it is full or its oldest record has waited for `linger_max`. The driver's timer is set to that time. |
//! | What does a flush wait for? | All flush groups up to its own (`pending/flush`). Each record counts in the group that was open when it was accepted. |
//! | What happens on a reshard? | A record that lands in an unexpected shard asks for a listing (`shard_map/refresh`). `scheduler/on_shards` takes the new map into use and `queue/remap` moves what waits; with `Order::PerKey` nothing is sent between the two. User records of an aggregate that the shard does not cover are put again. |
//! | Where does an aggregate get its MD5? | In `request/draft`, for all aggregates of one request side by side; the task of `request/send` does it before the call. |
//!
//! `stream.put` and its kin use one queue and no aggregates; the [`Producer`] has a queue for each shard. Where a
//! record waits (`queue/queues` decides):
//!
//! | the producer | the record waits |
//! |---|---|
//! | aggregates, keeps no order | written into the open aggregate of its shard; only its completion is kept beside |
//! | does not aggregate, keeps no order | in one queue with all others (`fresh`); in its shard's queue if the shard has no room |
//! | keeps an order, or retries | in the slab (`pending/slab`), with a key of 8 bytes in its shard's queue |

mod admission;
mod driver;
mod error;
mod handles;
mod inbox;
mod options;
mod pending;
mod pipeline;
mod queue;
mod request;
mod scheduler;
mod shard_map;
#[cfg(test)]
mod tests;

#[cfg(any(test, not(feature = "metrics")))]
pub(crate) use admission::metrics::PutMetrics;
pub use admission::stats::ProducerStats;
pub use error::{AttemptError, CloseError, FlushError, PutError, PutFailure};
pub use handles::builder::ProducerBuilder;
pub use handles::producer::{Producer, Reservation};
pub use handles::put_stream::PutStream;
pub use handles::results::PutResults;
pub(crate) use handles::shared_put::SharedPut;
pub use handles::sink::{ProducerSink, SinkError};
pub use options::{InvalidPutOption, Order, PutOptions};
pub use pending::receipt::{PendingReceipt, Receipt};
