//! Puts records: encode, queue per shard, batch into `PutRecords`, retry, acknowledge.
//!
//! ```text
//!   handles/    Producer, PutStream, ProducerSink, stream.put: what users hold
//!      │ encode, size limit, memory budget                admission/
//!      ▼
//!   pipeline/   acceptance, flush, close; starts the driver
//!      │ records                                          inbox/
//!      │
//!   driver      the only task: timer, calls in flight
//!      │ events                                           (below: no clock and no I/O, but in request/send)
//!      ▼
//!   scheduler/  what to send now, when to wake, what a response changes; retry
//!   inbox/      the queue between puts and the driver, one lock; the records' bytes
//!   queue/      one queue per shard; pacer (token bucket, AIMD); retry queue
//!   request/    entries and KPL aggregates of one PutRecords call
//!   shard_map/  hash key -> shard; listed again when a record lands in another shard
//!   pending/    a record's completion: receipt, flush group, budget charge
//! ```
//!
//! A room imports the rooms below it in this list, `admission/`, and the files of this folder. There is one exception:
//! `pipeline` and `driver` import each other, since the pipeline starts the driver and the driver gives the scheduler
//! back to the pipeline. `admission/` imports no room, only `error` and `options`.
//!
//! Records travel in runs, since a move of each by itself costs more than all decisions about it:
//!
//! - A put encodes its record in a buffer of its thread and hands it on by reference. The inbox copies small data into its
//!   arena (`inbox/arena`): one allocation of up to 64 KiB for the records of many puts. A record that is sent soon keeps its
//!   slice. One that waits, or opens an aggregate, gets memory of its own.
//! - The inbox writes records into two columns, contents and completions (`queue/columns`). The driver takes the columns
//!   as they are, and keeps their memory for the next ones (`inbox/high_water`). A request takes a run of them column by
//!   column; an aggregate reads the contents where they lie and takes the completions.
//! - A receipt is a slot in an allocation of 32 (`pending/oneshot`), whose two ends are moved in registers.
//! - The memory of a request's body is used again (`service/aws/put_records/bodies`).
//!
//! An accepted record is in exactly one place until it is complete:
//!
//! - the inbox;
//! - the queues: `fresh`, the queue of its shard with the aggregates in it, or `unplaced` before the first shard map;
//! - a request in flight;
//! - the retry queue, until its back-off is over;
//! - `halves`: a request that the service refused as a whole, to be sent again in two parts;
//! - `unsettled`: stored in a shard that may not take it, until the next listing decides.
//!
//! | question | answer |
//! |---|---|
//! | What holds a put back when memory is full? | `admission/budget`: a put reserves its bytes and waits until completed records give theirs back. |
//! | Who sends? | `driver`: it asks the scheduler for the next request and spawns `request/send`. At most `requests_in_flight_max` calls at a time. |
//! | Who decides? | `scheduler/scheduler`: a state machine that takes `now` as an argument. |
//! | Where does a record wait while its shard is throttled? | A record that failed waits in `queue/retry_queue` until its back-off is over, then in its shard's queue. With `Order::PerKey` it goes back to the front of that queue at once, and the queue is blocked until the back-off is over (`scheduler/on_response`). Later records wait in the queue, which `queue/pacer` holds back. Without queues by shard there is no pacer: while 500 retries or 4 MiB of them wait, no new record is sent (`scheduler/scheduler`). |
//! | Who enforces linger? | `queue/shard_queue/drain` for a shard's queue, `queue/fresh` for `fresh`: records are ripe when they fill a request or an aggregate, or when the oldest has waited for `linger_max`. The driver's timer is set to that time. `stream.put` is eager (`request/request`): with nothing in flight, or after an answer, it sends at once. |
//! | What does a flush wait for? | A flush closes the open flush group (`pending/flush`): the records that were accepted since the flush before it. It waits until the records of this group and of all earlier ones have their results. |
//! | When are the shards listed again? | At the start, when a record lands in an unexpected shard (`shard_map/refresh`), and when the shard map is in doubt, as the stream may have been made again with other shards: the service answers that it is not found, or the number of an aggregate is of a younger shard (`scheduler/suspicion`). |
//! | What happens on a reshard? | `scheduler/on_shards` takes the new map into use, and `queue/remap` moves the waiting records. With `Order::PerKey` no queue is sent from the time when a listing is wanted until the new map is in use. Of an aggregate that landed in a wrong shard, the user records that the shard does not take are put again. |
//! | Where does an aggregate get its MD5? | In `request/draft::finish`, called by the task of `request/send`, for all aggregates of one request side by side. |
//!
//! The place of a new record is decided by `queue/queues`. A retried record is always in the slab (`pending/slab`), with
//! a key of 8 bytes in a queue.
//!
//! | the handle | its queues | a new record waits |
//! |---|---|---|
//! | `stream.put` and its kin, no order | one for all shards | in the slab, with a key in the queue |
//! | the same with `Order::PerKey` | one per shard | in the slab, with a key in its shard's queue |
//! | a [`Producer`] that aggregates, no order | one per shard | written into the open aggregate of its shard; only its completion is kept beside |
//! | a [`Producer`] without aggregates, no order | one per shard | in `fresh`, with the records of all shards; in its shard's queue if the shard has no tokens |
//! | a [`Producer`] with `Order::PerKey` | one per shard | in the slab, with a key in its shard's queue |
//!
//! A producer whose shards cannot be listed, or whose service distributes the records by itself, has one queue for all
//! shards.

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
