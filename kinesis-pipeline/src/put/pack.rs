//! An aggregate that is written as its records come: what is left of each is its fate.
//!
//! ```text
//!   record ─> push ─> .. ─> sent ─┬─ stored ─> fates end
//!                                 └─ failed ─> unpack ─> records again
//! ```
//!
//! While only one record has come it is kept as it is, since it would go alone.

use bytes::Bytes;
use bytestring::ByteString;
use tokio::time::Instant;

use super::{
    accepted::{Accepted, Fate},
    entry::{AGGREGATE_KEY, Draft},
    stored::Stored,
};
use crate::{
    record::{EncodedRecord, PartitionKey},
    service::StoredAt,
    shard::HashKey,
    wire::aggregate::{self, Writer},
};

/// How many bytes an aggregate expects at first.
const BYTES_MIN: usize = 2 * 1024;

/// The user records of one Kinesis record, which is written already.
#[derive(Debug)]
pub(crate) struct Pack {
    content: Content,
    fates: Vec<Fate>,
    /// How large the Kinesis record becomes at most.
    bytes: usize,
    /// The data and keys of the user records ...
    user_bytes: usize,
    /// ... and the data alone.
    data_bytes: usize,
    /// How often it was sent, counting the attempt in flight.
    attempts: u32,
}

/// Where the records are.
#[derive(Debug)]
enum Content {
    /// A Kinesis record that is done: the one user record, or an aggregate with its MD5.
    Done(EncodedRecord),
    /// More can come.
    Open(Box<Writer>),
    /// On its way to the service.
    Sent,
}

impl Pack {
    pub(crate) fn new(user: Accepted) -> Self {
        let Accepted { record, fate } = user;
        Self {
            bytes: record.size_bytes(),
            user_bytes: record.size_bytes(),
            data_bytes: record.data.len(),
            content: Content::Done(record),
            fates: vec![fate],
            attempts: 0,
        }
    }

    /// Takes another record if the aggregate stays within this many bytes.
    pub(crate) fn push(&mut self, user: Accepted, bytes_max: usize) -> Result<(), Accepted> {
        let more = aggregate::record_bytes_max(&user.record);
        let bytes = match &self.content {
            Content::Done(first) => {
                let empty = aggregate::empty_bytes() + AGGREGATE_KEY.len();
                empty + aggregate::record_bytes_max(first) + more
            }
            Content::Open(_) => self.bytes + more,
            Content::Sent => return Err(user),
        };
        if bytes > bytes_max {
            return Err(user);
        }
        let Accepted { record, fate } = user;
        self.bytes = bytes;
        self.user_bytes += record.size_bytes();
        self.data_bytes += record.data.len();
        self.fates.push(fate);
        match &mut self.content {
            Content::Open(writer) => writer.push(&record),
            Content::Done(first) => {
                let mut writer = Writer::with_capacity(BYTES_MIN.max(bytes).min(bytes_max));
                writer.push(first);
                writer.push(&record);
                self.content = Content::Open(Box::new(writer));
            }
            Content::Sent => {}
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.fates.len()
    }

    /// How large the Kinesis record becomes at most.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes of data and keys its user records have.
    pub(crate) fn user_bytes(&self) -> usize {
        self.user_bytes
    }

    /// When its first record was accepted.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.fates.first().map(|first| first.entered_at)
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn hash_keys(&self) -> impl Iterator<Item = HashKey> {
        self.fates.iter().map(Fate::hash_key)
    }

    /// An attempt begins. Returns what is to be sent, and how large that is.
    pub(crate) fn sent(&mut self) -> (Draft, usize) {
        self.attempts += 1;
        match std::mem::replace(&mut self.content, Content::Sent) {
            Content::Open(writer) => {
                let bytes = writer.finished_bytes() + AGGREGATE_KEY.len();
                let hash_key = self.hash_keys().next().unwrap_or(HashKey::MIN);
                (Draft::Aggregate(writer, hash_key), bytes)
            }
            Content::Done(record) => {
                let bytes = record.size_bytes();
                (Draft::Done(record), bytes)
            }
            Content::Sent => unreachable!("it is sent again after it has come back"),
        }
    }

    /// The attempt is over: what was sent comes back.
    pub(crate) fn returned(&mut self, sent: EncodedRecord) {
        self.content = Content::Done(sent);
    }

    /// The attempt does not count: the request was refused for another record's sake.
    pub(crate) fn attempt_was_not_about_it(&mut self) {
        self.attempts -= 1;
    }

    /// All user records are stored.
    pub(crate) fn stored(&mut self, at: &StoredAt, now: Instant, stored: &mut Stored) {
        stored.count(self.fates.len(), self.data_bytes);
        for (index, mut fate) in (0..).zip(std::mem::take(&mut self.fates)) {
            fate.attempts = self.attempts;
            fate.stored(at, index, now, &mut stored.room);
        }
    }

    /// The user records one by one, as if each had been sent as often as the whole. They have memory of their own.
    pub(crate) fn unpack(mut self) -> Vec<Accepted> {
        let records = match std::mem::replace(&mut self.content, Content::Sent) {
            Content::Open(writer) => records_of(&writer.finish_with([0; 16])),
            Content::Done(record) if self.fates.len() == 1 => vec![record],
            Content::Done(record) => records_of(&record.data),
            Content::Sent => Vec::new(),
        };
        debug_assert_eq!(records.len(), self.fates.len(), "what was written is read");
        let attempts = self.attempts;
        let fates = std::mem::take(&mut self.fates).into_iter();
        let users = records.into_iter().zip(fates).map(|(record, mut fate)| {
            if attempts > 0 {
                fate.was_sent(attempts);
            }
            Accepted { record, fate }
        });
        users.collect()
    }
}

/// If it was on its way when its request was dropped, nobody knows whether it was stored.
impl Drop for Pack {
    fn drop(&mut self) {
        if matches!(self.content, Content::Sent) {
            let attempts = self.attempts;
            self.fates
                .iter_mut()
                .for_each(|fate| fate.was_sent(attempts));
        }
    }
}

fn records_of(aggregate: &Bytes) -> Vec<EncodedRecord> {
    let split = aggregate::split_framed(aggregate);
    let records = split.iter().flatten().map(|record| {
        let key = ByteString::from(record.partition_key.as_str());
        EncodedRecord {
            data: Bytes::copy_from_slice(&record.data),
            partition_key: PartitionKey::stored(key),
            ..record
        }
    });
    records.collect()
}
