//! Changes of a lease as DynamoDB expressions, with KCL's conditions.

use std::{collections::HashMap, time::SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    current,
    extension::{EXTENSION, Extension},
    lease::{LeaseChange, LeaseCheckpoint, LeaseWrite, WorkerId},
    row::{
        CHECKPOINT, CHECKPOINT_OWNER, CHILDREN, COURTEOUS_OWNER, LEASE_COUNTER, LEASE_OWNER,
        OWNER_SWITCHES, PENDING_CHECKPOINT, PENDING_STATE, PENDING_SUB_SEQUENCE_NUMBER,
        SUB_SEQUENCE_NUMBER, THROUGHPUT, checkpoint, kilobytes, number, shards, state, text,
    },
};

/// An update of a row. No attribute name here is a reserved word of DynamoDB.
#[derive(Debug, Default)]
pub(super) struct Expression {
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<&'static str>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// Returns the expression of a write. Deletions use its condition only; updates use the condition and the changes.
    pub(super) fn of(write: &LeaseWrite) -> Self {
        let mut expression = Self::default();
        expression.add_condition(write);
        expression.add_change(write);
        expression
    }

    /// Returns the same change as a reader makes it, which is not a worker of a fleet: with the extension, and without
    /// an owner. The owner has been silent for long, but would count as alive after the write.
    pub(super) fn by_reader(mut self, extension: &Extension) -> Self {
        self.set(EXTENSION, extension.encode());
        self.removes.extend([LEASE_OWNER, CHECKPOINT_OWNER]);
        self
    }

    pub(super) fn condition(&self) -> String {
        self.conditions.join(" AND ")
    }

    pub(super) fn update(&self) -> String {
        let mut update = format!("SET {}", self.sets.join(", "));
        if !self.removes.is_empty() {
            update += " REMOVE ";
            update += &self.removes.join(", ");
        }
        update
    }

    fn add_condition(&mut self, write: &LeaseWrite) {
        let seen = &write.seen;
        match write.change {
            LeaseChange::Create => {}
            LeaseChange::Renew => {
                self.expect(LEASE_COUNTER, number(seen.counter));
                self.expect_worker(CHECKPOINT_OWNER, seen.checkpoint_owner.as_ref());
            }
            LeaseChange::Take(_)
            | LeaseChange::Checkpoint { .. }
            | LeaseChange::Prepare(_)
            | LeaseChange::Delete => self.expect(LEASE_COUNTER, number(seen.counter)),
            LeaseChange::HandOver(_) | LeaseChange::Evict => {
                self.expect_worker(LEASE_OWNER, seen.owner.as_ref());
                self.expect_worker(CHECKPOINT_OWNER, None);
            }
            LeaseChange::FinishHandOver => {
                self.expect_worker(LEASE_OWNER, seen.owner.as_ref());
                self.expect_worker(CHECKPOINT_OWNER, seen.checkpoint_owner.as_ref());
            }
        }
    }

    fn add_change(&mut self, write: &LeaseWrite) {
        let seen = &write.seen;
        match &write.change {
            LeaseChange::Create | LeaseChange::Delete => return,
            LeaseChange::HandOver(to) => {
                self.set(LEASE_OWNER, text(to.as_str()));
                let from = seen.owner.as_ref().map_or("", WorkerId::as_str);
                self.set(CHECKPOINT_OWNER, text(from));
                return;
            }
            LeaseChange::Renew => {
                self.set_throughput(write);
                self.repeat_current(write);
            }
            LeaseChange::Take(by) => {
                let switches = seen.owner_switches + u64::from(seen.owner.as_ref() != Some(by));
                self.set(LEASE_OWNER, text(by.as_str()));
                self.set(COURTEOUS_OWNER, text(by.as_str()));
                self.set(OWNER_SWITCHES, number(switches));
                self.removes.push(CHECKPOINT_OWNER);
                self.repeat_current(write);
            }
            LeaseChange::Checkpoint { to, children } => {
                let (place, sub_sequence_number) = checkpoint(to);
                self.set(CHECKPOINT, place);
                self.set(SUB_SEQUENCE_NUMBER, sub_sequence_number);
                self.set(OWNER_SWITCHES, number(0));
                if let Some(children) = shards(children) {
                    self.set(CHILDREN, children);
                }
                self.removes.extend([
                    PENDING_CHECKPOINT,
                    PENDING_SUB_SEQUENCE_NUMBER,
                    PENDING_STATE,
                ]);
                self.set_throughput(write);
                match write.current_at {
                    Some(time) => self.set_current(write, to, time),
                    None => self.removes.push(current::CURRENT),
                }
            }
            LeaseChange::Prepare(pending) => {
                let (place, sub_sequence_number) = checkpoint(&pending.checkpoint);
                self.set(PENDING_CHECKPOINT, place);
                self.set(PENDING_SUB_SEQUENCE_NUMBER, sub_sequence_number);
                match &pending.state {
                    Some(bytes) => self.set(PENDING_STATE, state(bytes)),
                    None => self.removes.push(PENDING_STATE),
                }
                self.repeat_current(write);
            }
            LeaseChange::FinishHandOver => self.removes.push(CHECKPOINT_OWNER),
            LeaseChange::Evict => self.removes.push(LEASE_OWNER),
        }
        // The counter is incremented in the database, not set to the seen number plus one: an eviction has no condition
        // on it.
        self.values.insert(":one".to_owned(), number(1));
        self.sets
            .push(format!("{LEASE_COUNTER} = {LEASE_COUNTER} + :one"));
    }

    fn set_throughput(&mut self, write: &LeaseWrite) {
        if let Some(bytes) = write.bytes_per_second {
            self.set(THROUGHPUT, kilobytes(bytes));
        }
    }

    /// Sets the time up to which the shard is finished, which holds for this counter only.
    fn repeat_current(&mut self, write: &LeaseWrite) {
        if let Some(time) = write.current_at.or(write.seen.current_at) {
            self.set_current(write, &write.seen.checkpoint, time);
        }
    }

    /// The write's condition must be that the counter is as seen.
    fn set_current(&mut self, write: &LeaseWrite, checkpoint: &LeaseCheckpoint, time: SystemTime) {
        let counter = write.seen.counter.saturating_add(1);
        let current = current::encode(checkpoint, counter, time);
        self.set(current::CURRENT, current);
    }

    fn expect(&mut self, name: &'static str, value: AttributeValue) {
        self.conditions.push(format!("{name} = :was_{name}"));
        self.values.insert(format!(":was_{name}"), value);
    }

    fn expect_worker(&mut self, name: &'static str, worker: Option<&WorkerId>) {
        match worker {
            Some(worker) => self.expect(name, text(worker.as_str())),
            None => self
                .conditions
                .push(format!("attribute_not_exists({name})")),
        }
    }

    fn set(&mut self, name: &'static str, value: AttributeValue) {
        self.sets.push(format!("{name} = :{name}"));
        self.values.insert(format!(":{name}"), value);
    }
}
