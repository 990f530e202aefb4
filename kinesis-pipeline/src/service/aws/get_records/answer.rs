//! The answer of `GetRecords`: one walk over its members, for JSON and for CBOR.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{Page, encryption_of};
use crate::{
    json::Malformed,
    record::PartitionKey,
    service::{
        ChildShard, RecordPage, ShardIterator, StoredRecord,
        aws::members::{MemberText, Members},
    },
    shard::{HashKey, HashKeyRange, SequenceNumber, ShardId},
};

/// The values of a page that JSON and CBOR write in different ways.
pub(super) trait PageValues<'a>: Members<'a> {
    /// Reads a record's data into memory of its own, so that one kept record does not keep a page of megabytes. `None` if
    /// it is a text that is not base64.
    fn data(&mut self) -> Result<Option<Bytes>, Malformed>;

    /// Reads a time. Skips a value that is no number and returns `None`: some local servers write a text, and no record is
    /// lost for a time that only informs.
    fn time(&mut self) -> Result<Option<SystemTime>, Malformed>;

    /// Reads a number of milliseconds; `None` if it is out of range.
    fn millis(&mut self) -> Result<Option<Duration>, Malformed>;
}

/// Reads a page.
pub(super) fn page<'a>(mut scanner: impl PageValues<'a>) -> Result<Page, Malformed> {
    let mut page = RecordPage::default();
    let (mut has_records, mut wrong) = (false, None);
    let mut members = scanner.open_object()?;
    while let Some(name) = scanner.next_member(&mut members)? {
        match &name[..] {
            _ if scanner.null()? => {}
            b"Records" => {
                has_records = true;
                // As usual for JSON, the last member of a name counts.
                page.records.clear();
                let mut elements = scanner.open_array()?;
                while scanner.next_element(&mut elements)? {
                    match record(&mut scanner)? {
                        Ok(record) => page.records.push(record),
                        Err(what) => wrong = Some(what),
                    }
                }
            }
            b"ChildShards" => {
                page.child_shards.clear();
                let mut elements = scanner.open_array()?;
                while scanner.next_element(&mut elements)? {
                    match child(&mut scanner)? {
                        Some(child) => page.child_shards.push(child),
                        None => wrong = Some("a child shard has no range of hash keys"),
                    }
                }
            }
            b"NextShardIterator" => {
                let iterator = scanner.text()?.into_str().into_owned();
                page.next_iterator = Some(ShardIterator::from(iterator));
            }
            b"MillisBehindLatest" => match scanner.millis()? {
                Some(behind) => page.behind_latest = Some(behind),
                None => wrong = Some("MillisBehindLatest is no number of milliseconds"),
            },
            _ => scanner.skip()?,
        }
    }
    scanner.end()?;
    if !has_records && page.next_iterator.is_none() {
        // It would mean that the shard has ended. An answer says so by its records or child shards, not by nothing.
        wrong = Some("it has neither records nor an iterator");
    }
    Ok(wrong.map_or(Ok(page), Err))
}

#[inline]
fn record<'a>(
    scanner: &mut impl PageValues<'a>,
) -> Result<Result<StoredRecord, &'static str>, Malformed> {
    let (mut number, mut data, mut key, mut encryption) = (None, None, None, None);
    // The API promises a time; some local servers leave it out.
    let mut arrived_at = SystemTime::UNIX_EPOCH;
    let mut members = scanner.open_object()?;
    while let Some(name) = scanner.next_member(&mut members)? {
        match &name[..] {
            _ if scanner.null()? => {}
            b"SequenceNumber" => number = Some(scanner.text()?),
            b"Data" => data = Some(scanner.data()?),
            b"PartitionKey" => key = Some(scanner.text()?),
            b"EncryptionType" => encryption = Some(scanner.text()?),
            b"ApproximateArrivalTimestamp" => arrived_at = scanner.time()?.unwrap_or(arrived_at),
            _ => scanner.skip()?,
        }
    }
    let Some(sequence_number) =
        number.and_then(|number| SequenceNumber::of_digits(&number.as_bytes()))
    else {
        return Ok(Err("a record has no sequence number"));
    };
    let Some(data) = data.unwrap_or_else(|| Some(Bytes::new())) else {
        return Ok(Err("the data of a record is not base64"));
    };
    let key = key.map(MemberText::into_str).unwrap_or_default();
    Ok(Ok(StoredRecord {
        sequence_number,
        arrived_at,
        data,
        partition_key: PartitionKey::stored(key),
        encryption_type: encryption.and_then(|kind| encryption_of(&kind.as_bytes())),
    }))
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
