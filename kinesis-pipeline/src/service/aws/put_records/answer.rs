//! The answer of `PutRecords`: one walk over its members, for JSON and for CBOR.

use super::{Entries, Entry};
use crate::{
    json::Malformed,
    service::{
        EntryFailure, StoredAt,
        aws::members::{MemberText as _, Members},
    },
    shard::{SequenceNumber, ShardId},
};

/// A scanner with a fast path for stored records, as nearly all entries are.
pub(super) trait EntryValues<'a>: Members<'a> {
    /// Reads an entry that is a stored record and has no other member, and adds it to the results. For any other entry it
    /// returns `None` and reads nothing: the caller then reads it member by member.
    fn stored_entry(&mut self, entries: &mut Vec<Entry>) -> Option<()>;
}

/// Reads the results of a body of this length, one per record.
pub(super) fn entries<'a>(
    mut scanner: impl EntryValues<'a>,
    body_bytes: usize,
) -> Result<Entries, Malformed> {
    let mut entries = Entries::of_bytes(body_bytes);
    let mut members = scanner.open_object()?;
    while let Some(name) = scanner.next_member(&mut members)? {
        if name[..] != *b"Records" {
            scanner.skip()?;
            continue;
        }
        // As usual for JSON, the last member of a name counts.
        entries.clear();
        if scanner.null()? {
            continue;
        }
        let mut elements = scanner.open_array()?;
        while scanner.next_element(&mut elements)? {
            if scanner.stored_entry(&mut entries.told).is_none() {
                entries.push(entry(&mut scanner)?);
            }
        }
    }
    scanner.end()?;
    Ok(entries)
}

fn entry<'a>(scanner: &mut impl Members<'a>) -> Result<Option<Entry>, Malformed> {
    let (mut shard_id, mut number, mut code, mut message) = (None, None, None, None);
    let mut members = scanner.open_object()?;
    while let Some(name) = scanner.next_member(&mut members)? {
        match &name[..] {
            _ if scanner.null()? => {}
            b"ShardId" => shard_id = Some(scanner.text()?.into_str()),
            b"SequenceNumber" => number = Some(scanner.text()?),
            b"ErrorCode" => code = Some(scanner.text()?.into_str()),
            b"ErrorMessage" => message = Some(scanner.text()?.into_str()),
            _ => scanner.skip()?,
        }
    }
    if let Some(code) = code {
        let message = message.unwrap_or_default();
        return Ok(Some(Err(EntryFailure::new(code, message))));
    }
    let stored = shard_id.zip(number).and_then(|(shard_id, number)| {
        let number = SequenceNumber::of_digits(&number.as_bytes())?;
        Some(StoredAt::new(ShardId::from(&*shard_id), number))
    });
    Ok(stored.map(Ok))
}
