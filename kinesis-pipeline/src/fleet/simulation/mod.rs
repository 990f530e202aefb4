//! A simulated fleet that runs your processor on virtual time: hours pass in seconds, and a seed decides every fault.
//!
//! ```text
//!   FleetSimulation ── for each seed ──> engine: workers come, stop, are killed, stand still; records, reshards
//!                                           │              │
//!          Scenario: your Processor <── watched         store: a lease table that fails as one behind a network
//!                                           │              │
//!                                           └──> world <───┘   the history, held against the promises
//! ```
//!
//! Write a [`Scenario`], and run it for some seeds in a test:
//!
//! ```
//! use std::{collections::HashSet, sync::{Arc, Mutex}};
//! use bytes::Bytes;
//! use kinesis_pipeline::{
//!     Batch, BoxError, Checkpointer, EncodedRecord, PartitionKey, Position, Processor, ShardId,
//!     simulation::{Disturbance, FleetSimulation, Scenario, SimulatedRun},
//! };
//!
//! type Table = Arc<Mutex<HashSet<Position>>>;
//!
//! /// Writes records to a table. A record that comes again is written to the same place.
//! struct IntoTable(Table);
//!
//! impl Processor for IntoTable {
//!     type Record = EncodedRecord;
//!
//!     async fn process(&mut self, batch: Batch<EncodedRecord>, _: &Checkpointer) -> Result<(), BoxError> {
//!         tokio::time::sleep(std::time::Duration::from_millis(20)).await; // virtual: takes no time
//!         let mut table = self.0.lock().unwrap();
//!         table.extend(batch.iter().map(|record| record.position().clone()));
//!         Ok(())
//!     }
//! }
//!
//! struct EveryRecordIsWritten(Table);
//!
//! impl Scenario for EveryRecordIsWritten {
//!     type Record = EncodedRecord;
//!     type Processor = IntoTable;
//!
//!     fn record(&self, number: u64) -> EncodedRecord {
//!         let key = PartitionKey::new(format!("device-{}", number % 50)).unwrap();
//!         EncodedRecord::new(key, Bytes::from(number.to_string()))
//!     }
//!
//!     fn processor(&self, _: &ShardId, _: &SimulatedRun) -> IntoTable {
//!         IntoTable(self.0.clone())
//!     }
//!
//!     fn check(&self, run: &SimulatedRun) -> Result<(), BoxError> {
//!         let table = self.0.lock().unwrap();
//!         match run.put().into_iter().find(|position| !table.contains(position)) {
//!             Some(lost) => Err(format!("{lost} is not in the table").into()),
//!             None => Ok(()),
//!         }
//!     }
//! }
//!
//! // Workers of other applications have records that do not come to this table.
//! let simulation = FleetSimulation::new().without(Disturbance::ForeignWorkers).seeds(0..2);
//! simulation.run(|_seed| EveryRecordIsWritten(Table::default()))?;
//! # Ok::<(), kinesis_pipeline::simulation::SimulationFailure>(())
//! ```

mod actors;
mod disturb;
mod engine;
mod history;
mod options;
mod runner;
mod scenario;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod watched;
mod world;

pub use options::{Disturbance, FleetSimulation};
pub use runner::{SimulationFailure, SimulationReport};
pub use scenario::{Scenario, SimulatedRun};
