//! The answer of GetRecords in JSON.

use std::time::{Duration, SystemTime};

use base64_simd::{Out, STANDARD};
use bytes::Bytes;

use super::{Page, at_millis, behind_millis, encryption_of};
use crate::{
    json::{Kind, Malformed, Scanner, Text},
    record::PartitionKey,
    service::{ChildShard, RecordPage, ShardIterator, StoredRecord},
    shard::{HashKey, HashKeyRange, SequenceNumber, ShardId},
};

pub(super) fn answer(body: &[u8]) -> Result<Page, Malformed> {
    let mut scanner = Scanner::new(body);
    let mut page = RecordPage::default();
    let (mut has_records, mut wrong) = (false, None);
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        match &key.as_bytes()[..] {
            _ if scanner.null()? => {}
            b"Records" => {
                has_records = true;
                // As where JSON is read into types, the last of a name counts.
                page.records.clear();
                scanner.open_array()?;
                while scanner.next_element()? {
                    match record(&mut scanner)? {
                        Ok(record) => page.records.push(record),
                        Err(what) => wrong = Some(what),
                    }
                }
            }
            b"ChildShards" => {
                page.child_shards.clear();
                scanner.open_array()?;
                while scanner.next_element()? {
                    match child(&mut scanner)? {
                        Some(child) => page.child_shards.push(child),
                        None => wrong = Some("a child shard has no range of hash keys"),
                    }
                }
            }
            b"NextShardIterator" => {
                let iterator = scanner.string()?.to_str().into_owned();
                page.next_iterator = Some(ShardIterator::from(iterator));
            }
            b"MillisBehindLatest" => match millis(scanner.number()?) {
                Some(behind) => page.behind_latest = Some(behind),
                None => wrong = Some("MillisBehindLatest is no number of milliseconds"),
            },
            _ => scanner.skip()?,
        }
    }
    scanner.end()?;
    if !has_records && page.next_iterator.is_none() {
        // It would mean that the shard has ended, which no answer says by leaving everything out.
        wrong = Some("it has neither records nor an iterator");
    }
    Ok(wrong.map_or(Ok(page), Err))
}

fn record(scanner: &mut Scanner<'_>) -> Result<Result<StoredRecord, &'static str>, Malformed> {
    let (mut number, mut data, mut key, mut encryption) = (None, None, None, None);
    // The API promises a time; some local servers leave it out.
    let mut arrived_at = SystemTime::UNIX_EPOCH;
    scanner.open_object()?;
    while let Some(member) = scanner.next_key()? {
        match &member.as_bytes()[..] {
            _ if scanner.null()? => {}
            b"SequenceNumber" => number = Some(scanner.string()?),
            b"Data" => data = Some(scanner.string()?),
            b"PartitionKey" => key = Some(scanner.string()?),
            b"EncryptionType" => encryption = Some(scanner.string()?),
            // Some local servers write it as a text: it only informs, so nothing is lost for its sake.
            b"ApproximateArrivalTimestamp" if scanner.kind()? == Kind::Number => {
                arrived_at = time(scanner.number()?);
            }
            _ => scanner.skip()?,
        }
    }
    let Some(sequence_number) =
        number.and_then(|number| SequenceNumber::of_digits(&number.as_bytes()))
    else {
        return Ok(Err("a record has no sequence number"));
    };
    let Some(data) = data.map_or_else(|| Some(Bytes::new()), bytes_of) else {
        return Ok(Err("the data of a record is not base64"));
    };
    let key = key.map(Text::to_str).unwrap_or_default();
    Ok(Ok(StoredRecord {
        sequence_number,
        arrived_at,
        data,
        partition_key: PartitionKey::stored(key),
        encryption_type: encryption.and_then(|kind| encryption_of(&kind.as_bytes())),
    }))
}

/// A record has its own memory: a page of megabytes must not live as long as one of its records.
fn bytes_of(base64: Text<'_>) -> Option<Bytes> {
    let base64 = base64.as_bytes();
    let mut bytes = vec![0; STANDARD.decoded_length(&base64).ok()?];
    STANDARD.decode(&base64, Out::from_slice(&mut bytes)).ok()?;
    Some(bytes.into())
}

/// Seconds since the epoch with a fraction; the service counts milliseconds.
fn time(seconds: &str) -> SystemTime {
    at_millis(seconds.parse().unwrap_or(0.0) * 1000.0)
}

fn millis(number: &str) -> Option<Duration> {
    match number.parse() {
        Ok(millis) => Some(Duration::from_millis(millis)),
        Err(_) => behind_millis(number.parse().ok()?),
    }
}

/// `None` if its hash keys are not decimal.
fn child(scanner: &mut Scanner<'_>) -> Result<Option<ChildShard>, Malformed> {
    let (mut shard_id, mut range) = (None, None);
    let mut parents = Vec::new();
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        match &key.as_bytes()[..] {
            _ if scanner.null()? => {}
            b"ShardId" => shard_id = Some(scanner.string()?.to_str()),
            b"ParentShards" => {
                scanner.open_array()?;
                while scanner.next_element()? {
                    parents.push(ShardId::from(&*scanner.string()?.to_str()));
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

fn hash_key_range(scanner: &mut Scanner<'_>) -> Result<Option<HashKeyRange>, Malformed> {
    let (mut start, mut end) = (None, None);
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        let place = match &key.as_bytes()[..] {
            b"StartingHashKey" => &mut start,
            b"EndingHashKey" => &mut end,
            _ => {
                scanner.skip()?;
                continue;
            }
        };
        if !scanner.null()? {
            *place = scanner.string()?.to_str().parse::<HashKey>().ok();
        }
    }
    Ok(start
        .zip(end)
        .map(|(start, end)| HashKeyRange::new(start, end)))
}

#[cfg(test)]
mod tests {
    use super::{super::MILLIS_MAX, *};
    use crate::{clock, service::EncryptionType};

    fn page(body: &str) -> Page {
        answer(body.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_left_out_or_null_or_new_does_no_harm() {
        let page = page(
            r#"{"Records":[{"SequenceNumber":"7","New":{"x":[]},"Data":"aGk=","PartitionKey":"\u00e9\n",
                "ApproximateArrivalTimestamp":1.433969276172E9,"EncryptionType":null},
                {"SequenceNumber":"8","Data":"","PartitionKey":"k","EncryptionType":"NONE"}],
               "NextShardIterator":null,"MillisBehindLatest":null,"ChildShards":null}"#,
        )
        .unwrap();
        let [first, second] = &page.records[..] else {
            panic!("two records");
        };
        assert_eq!(
            (&first.data[..], first.partition_key.as_str()),
            (&b"hi"[..], "é\n")
        );
        assert_eq!(clock::epoch_millis(first.arrived_at), 1_433_969_276_172);
        assert_eq!(first.encryption_type, None);
        assert!(second.data.is_empty() && second.arrived_at == SystemTime::UNIX_EPOCH);
        assert_eq!(second.encryption_type, Some(EncryptionType::None));
        assert!(page.next_iterator.is_none() && page.behind_latest.is_none());
        assert!(page.child_shards.is_empty());
    }

    #[test]
    fn what_the_api_does_not_send_is_named_and_what_is_no_json_is_an_error() {
        for (body, what) in [
            (r#"{"Records":[{"Data":"aGk="}]}"#, "sequence number"),
            (
                r#"{"Records":[{"SequenceNumber":"1x","Data":""}]}"#,
                "sequence number",
            ),
            (
                r#"{"Records":[{"SequenceNumber":"1","Data":"a"}]}"#,
                "base64",
            ),
            (
                r#"{"Records":[],"ChildShards":[{"ShardId":"s"}]}"#,
                "hash keys",
            ),
            (
                r#"{"Records":[],"MillisBehindLatest":1e300}"#,
                "MillisBehindLatest",
            ),
            ("{}", "neither"),
            (r#"{"Records":null,"MillisBehindLatest":0}"#, "neither"),
        ] {
            assert!(page(body).unwrap_err().contains(what), "{body}");
        }
        for body in ["", "[]", r#"{"Records":[{"Data":"aGk"#, r#"{"Records":7}"#] {
            assert!(answer(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn only_nothing_or_less_is_read_as_the_tip() {
        for (number, millis) in [
            ("0", 0),
            ("-7", 0),
            ("1500", 1500),
            ("1.5e3", 1500),
            ("0.5", 0),
        ] {
            let body = format!(r#"{{"Records":[],"MillisBehindLatest":{number}}}"#);
            let behind = page(&body).unwrap().behind_latest.unwrap();
            assert_eq!(behind.as_millis(), millis, "{number}");
            assert_eq!(behind.is_zero(), number == "0" || number == "-7");
        }
    }

    #[test]
    fn a_time_that_is_a_text_is_passed_over_and_an_iterator_alone_is_an_empty_page() {
        let page = page(
            r#"{"Records":[{"SequenceNumber":"7","Data":"","PartitionKey":"k",
                "ApproximateArrivalTimestamp":"2015-06-10T20:47:56Z"}],"Records":[]}"#,
        );
        assert!(
            page.unwrap().records.is_empty(),
            "the last of a name counts"
        );
        let page = answer(br#"{"NextShardIterator":"i"}"#).unwrap().unwrap();
        assert!(page.next_iterator.is_some() && page.records.is_empty());
    }

    #[test]
    fn times_are_read_to_the_millisecond_and_never_panic() {
        for millis in [0, 1, 1_433_969_276_172, 1_763_999_999_999, MILLIS_MAX] {
            let seconds = format!("{}.{:03}", millis / 1000, millis % 1000);
            assert_eq!(clock::epoch_millis(time(&seconds)), millis);
        }
        assert_eq!(time("-5"), SystemTime::UNIX_EPOCH);
        time("1e300");
    }
}
