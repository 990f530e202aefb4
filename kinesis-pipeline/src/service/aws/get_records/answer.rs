//! The answer of `GetRecords`: one walk over its members, for JSON and for CBOR.
//!
//! The walk goes on step by step, so that a CBOR body can be read in parts as they come.

use std::time::{Duration, SystemTime};

use super::{
    Page,
    arena::{Arena, Data},
    encryption_of,
};
use crate::{
    json::Malformed,
    record::PartitionKey,
    service::{
        ChildShard, PAGE_RECORDS_MAX, RecordPage, ShardIterator, StoredRecord,
        aws::members::{MemberText, Members},
    },
    shard::{HashKey, HashKeyRange, SequenceNumber, ShardId},
};

/// The values of a page that JSON and CBOR write in different ways.
pub(super) trait PageValues<'a>: Members<'a> {
    /// Returns a record's data as it stands in the body.
    fn data(&mut self) -> Result<Data<'a>, Malformed>;

    /// Reads a time. Skips a value that is no number and returns `None`: some local servers write a text, and no record is
    /// lost for a time that only informs.
    fn time(&mut self) -> Result<Option<SystemTime>, Malformed>;

    /// Returns the number of bytes from here to the end of what the scanner has: a part of the body, or all of it.
    fn rest_bytes(&self) -> usize;

    /// Reads a number of milliseconds; `None` if it is out of range.
    fn millis(&mut self) -> Result<Option<Duration>, Malformed>;
}

/// A page that is being read, with the state of the scanner's open containers.
///
/// Call [`step`](Self::step) until the page [is whole](Self::is_whole), then [`finish`](Self::finish). A step that
/// fails leaves the page as it was: it may be made again with more bytes of the same body.
#[derive(Debug)]
pub(super) struct PageReader<I> {
    page: RecordPage,
    arena: Arena,
    has_records: bool,
    /// The part that breaks the API's promise.
    wrong: Option<&'static str>,
    at: At<I>,
    /// The size of the whole body; 0 if it is not known.
    body_bytes: usize,
    /// The bytes of the body that were read.
    read_bytes: usize,
    /// Those of the records among them.
    record_bytes: usize,
}

/// The position of the next step.
#[derive(Clone, Copy, Debug)]
enum At<I> {
    Start,
    /// Before a member of the page.
    Members(I),
    /// Before a record, within the members of the page.
    Records {
        members: I,
        records: I,
    },
    End,
}

impl<I: Copy> PageReader<I> {
    /// Makes a reader of a body of this size; 0 if it is not known.
    pub(super) fn new(body_bytes: usize) -> Self {
        Self {
            page: RecordPage::default(),
            arena: Arena::default(),
            has_records: false,
            wrong: None,
            at: At::Start,
            body_bytes,
            read_bytes: 0,
            record_bytes: 0,
        }
    }

    /// Whether all of the page was read.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.at, At::End)
    }

    /// Reads the next member, or the next record of the member `Records`.
    #[inline]
    pub(super) fn step<'a>(
        &mut self,
        scanner: &mut impl PageValues<'a, Items = I>,
    ) -> Result<(), Malformed> {
        let rest = scanner.rest_bytes();
        self.at = match self.at {
            At::Records {
                members,
                mut records,
            } => {
                if scanner.next_element(&mut records)? {
                    let to_come = rest.max(self.body_bytes.saturating_sub(self.read_bytes));
                    match record(scanner, &mut self.arena, to_come)? {
                        Ok(record) => self.push(record),
                        Err(what) => self.wrong = Some(what),
                    }
                    self.record_bytes += rest - scanner.rest_bytes();
                    At::Records { members, records }
                } else {
                    At::Members(members)
                }
            }
            At::Members(members) => self.member(members, scanner)?,
            At::Start => At::Members(scanner.open_object()?),
            At::End => At::End,
        };
        self.read_bytes += rest - scanner.rest_bytes();
        Ok(())
    }

    #[inline]
    fn push(&mut self, record: StoredRecord) {
        if self.page.records.len() == self.page.records.capacity() {
            self.make_room();
        }
        self.page.records.push(record);
    }

    /// Makes room for the records to come, as many as fit in the rest of the body if they are as long as those before, and
    /// up to a full page: a body may be said to be of any size. A list that only doubles is copied again and again, into
    /// memory that the kernel has to clear.
    #[cold]
    fn make_room(&mut self) {
        let records = self.page.records.len();
        let rest = self.body_bytes.saturating_sub(self.read_bytes);
        let mean = self.record_bytes / records.max(1);
        let more = rest.checked_div(mean).unwrap_or(0);
        let more_max = (PAGE_RECORDS_MAX as usize).saturating_sub(records);
        self.page.records.reserve(more.min(more_max).max(1));
    }

    /// Reads a member; of the member `Records`, only its head.
    fn member<'a>(
        &mut self,
        mut members: I,
        scanner: &mut impl PageValues<'a, Items = I>,
    ) -> Result<At<I>, Malformed> {
        let Some(name) = scanner.next_member(&mut members)? else {
            return Ok(At::End);
        };
        match &name[..] {
            _ if scanner.null()? => {}
            b"Records" => {
                let records = scanner.open_array()?;
                self.has_records = true;
                // As usual for JSON, the last member of a name counts.
                self.page.records.clear();
                return Ok(At::Records { members, records });
            }
            b"ChildShards" => {
                let (children, wrong) = children(scanner)?;
                self.page.child_shards = children;
                self.wrong = wrong.or(self.wrong);
            }
            b"NextShardIterator" => {
                let iterator = scanner.text()?.into_str().into_owned();
                self.page.next_iterator = Some(ShardIterator::from(iterator));
            }
            b"MillisBehindLatest" => match scanner.millis()? {
                Some(behind) => self.page.behind_latest = Some(behind),
                None => self.wrong = Some("MillisBehindLatest is no number of milliseconds"),
            },
            _ => scanner.skip()?,
        }
        Ok(At::Members(members))
    }

    /// Returns the page that was read; an error if it is not whole.
    pub(super) fn finish(self) -> Page {
        if !self.is_whole() {
            return Err("it ends too early");
        }
        if !self.has_records && self.page.next_iterator.is_none() {
            // It would mean that the shard has ended. An answer says so by its records or child shards, not by nothing.
            return Err("it has neither records nor an iterator");
        }
        self.wrong.map_or(Ok(self.page), Err)
    }
}

/// Reads a record. Its data goes to the arena only when all of it was read: a step that fails takes no memory of it.
/// `to_come` is an upper bound of the bytes of this record and those behind it.
#[inline]
fn record<'a>(
    scanner: &mut impl PageValues<'a>,
    arena: &mut Arena,
    to_come: usize,
) -> Result<Result<StoredRecord, &'static str>, Malformed> {
    let (mut number, mut data, mut key, mut encryption) = (None, None, None, None);
    // The API promises a time; some local servers leave it out.
    let mut arrived_at = SystemTime::UNIX_EPOCH;
    let mut members = scanner.open_object()?;
    while let Some(name) = scanner.next_member(&mut members)? {
        match &name[..] {
            _ if scanner.null()? => {}
            b"SequenceNumber" => number = Some(scanner.unchecked_text()?),
            b"Data" => data = Some(scanner.data()?),
            b"PartitionKey" => key = Some(scanner.text()?),
            b"EncryptionType" => encryption = encryption_of(&scanner.unchecked_text()?),
            b"ApproximateArrivalTimestamp" => arrived_at = scanner.time()?.unwrap_or(arrived_at),
            _ => scanner.skip()?,
        }
    }
    let Some(sequence_number) = number.and_then(|number| SequenceNumber::of_digits(&number)) else {
        return Ok(Err("a record has no sequence number"));
    };
    let Some(data) = arena.keep(data.unwrap_or_default(), to_come) else {
        return Ok(Err("the data of a record is not base64"));
    };
    let key = key.map(MemberText::into_str).unwrap_or_default();
    Ok(Ok(StoredRecord {
        sequence_number,
        arrived_at,
        data,
        partition_key: PartitionKey::stored(key),
        encryption_type: encryption,
    }))
}

/// Reads the child shards, and the part of them that breaks the API's promise.
fn children<'a>(
    scanner: &mut impl Members<'a>,
) -> Result<(Vec<ChildShard>, Option<&'static str>), Malformed> {
    let (mut children, mut wrong) = (Vec::new(), None);
    let mut elements = scanner.open_array()?;
    while scanner.next_element(&mut elements)? {
        match child(scanner)? {
            Some(child) => children.push(child),
            None => wrong = Some("a child shard has no range of hash keys"),
        }
    }
    Ok((children, wrong))
}

/// Reads a child shard; `None` if its hash keys are not decimal.
fn child<'a>(scanner: &mut impl Members<'a>) -> Result<Option<ChildShard>, Malformed> {
    let (mut shard_id, mut range) = (None, None);
    let mut parents = Vec::new();
    let mut members = scanner.open_object()?;
    while let Some(name) = scanner.next_member(&mut members)? {
        match &name[..] {
            _ if scanner.null()? => {}
            b"ShardId" => shard_id = Some(scanner.text()?.into_str()),
            b"ParentShards" => {
                let mut elements = scanner.open_array()?;
                while scanner.next_element(&mut elements)? {
                    parents.push(ShardId::from(&*scanner.text()?.into_str()));
                }
            }
            b"HashKeyRange" => range = hash_key_range(scanner)?,
            _ => scanner.skip()?,
        }
    }
    Ok(shard_id
        .zip(range)
        .map(|(id, range)| ChildShard::new(ShardId::from(&*id), parents, range)))
}

fn hash_key_range<'a>(scanner: &mut impl Members<'a>) -> Result<Option<HashKeyRange>, Malformed> {
    let (mut start, mut end) = (None, None);
    let mut members = scanner.open_object()?;
    while let Some(name) = scanner.next_member(&mut members)? {
        let place = match &name[..] {
            b"StartingHashKey" => &mut start,
            b"EndingHashKey" => &mut end,
            _ => {
                scanner.skip()?;
                continue;
            }
        };
        if !scanner.null()? {
            *place = scanner.text()?.into_str().parse::<HashKey>().ok();
        }
    }
    Ok(start
        .zip(end)
        .map(|(start, end)| HashKeyRange::new(start, end)))
}
