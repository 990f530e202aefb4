//! `PutRecords` in CBOR.

use std::io::Write as _;

use bytes::Bytes;

use super::{
    Entries, Entry,
    answer::{EntryValues, entries},
};
use crate::{
    cbor::{BREAK, HEAD_BYTES_MAX, OPEN_ARRAY, OPEN_MAP, Scanner, put_bytes, put_digits, put_text},
    json::Malformed,
    record::EncodedRecord,
    service::{PutRecords, StoredAt},
    shard::{HashKey, SequenceNumber, ShardId},
};

/// The head of a map of two members.
const MAP_OF_TWO: u8 = 0xA2;

/// Writes the request to an empty body, as the Java SDKs do.
pub(super) fn body(call: &PutRecords, empty: impl FnOnce(usize) -> Vec<u8>) -> Bytes {
    const NAMES: &str = "DataPartitionKeyExplicitHashKey";
    /// The size of an entry besides key and data: three members with their names, and the map's beginning and end.
    const ENTRY: usize = NAMES.len() + HashKey::DIGITS_MAX + 6 * HEAD_BYTES_MAX + 2;
    let expected = |record: &EncodedRecord| record.data.len() + record.partition_key.len() + ENTRY;
    let frame = 64 + call.stream.as_str().len();
    let bytes = frame + call.records.iter().map(expected).sum::<usize>();
    let mut out = empty(bytes);
    let name = if call.stream.arn().is_some() {
        "StreamARN"
    } else {
        "StreamName"
    };
    out.push(OPEN_MAP);
    put_text(&mut out, name);
    put_text(&mut out, call.stream.as_str());
    put_text(&mut out, "Records");
    out.push(OPEN_ARRAY);
    for record in call.records.iter() {
        put_entry(&mut out, record);
    }
    out.extend_from_slice(&[BREAK, BREAK]);
    out.into()
}

fn put_entry(out: &mut Vec<u8>, record: &EncodedRecord) {
    out.push(OPEN_MAP);
    put_text(out, "Data");
    put_bytes(out, &record.data);
    put_text(out, "PartitionKey");
    put_text(out, &record.partition_key);
    if let Some(key) = record.explicit_hash_key {
        let mut digits = [0; HashKey::DIGITS_MAX];
        let mut rest = &mut digits[..];
        write!(rest, "{key}").expect("no hash key has more digits");
        let rest_bytes = rest.len();
        put_text(out, "ExplicitHashKey");
        put_digits(out, &digits[..HashKey::DIGITS_MAX - rest_bytes]);
    }
    out.push(BREAK);
}

/// Reads the results, one per record.
pub(super) fn answer(body: &[u8]) -> Result<Entries, Malformed> {
    entries(Scanner::new(body), body.len())
}

impl<'a> EntryValues<'a> for Scanner<'a> {
    #[inline]
    fn stored_entry(&mut self, entries: &mut Vec<Entry>) -> Option<()> {
        let Some((number, shard_id, rest)) = usual_entry(self.rest()) else {
            entries.push(Ok(entry_of_two(self)?));
            return Some(());
        };
        let shard_id = ShardId::usual(shard_id)?;
        let number = SequenceNumber::usual(number)?;
        entries.push(Ok(StoredAt::new(shard_id, number)));
        self.pass_to(rest);
        Some(())
    }
}

/// The number and the shard of a stored record, and the bytes behind it.
type UsualEntry<'a> = (
    &'a [u8; SequenceNumber::USUAL_DIGITS],
    &'a [u8; ShardId::USUAL_BYTES],
    &'a [u8],
);

/// Finds a stored record whose members are in the service's order and have its lengths, at the beginning of `bytes`.
#[inline]
fn usual_entry(bytes: &[u8]) -> Option<UsualEntry<'_>> {
    let (map, rest) = bytes.split_first()?;
    let rest = rest.strip_prefix(b"\x6ESequenceNumber\x78\x38")?;
    let (number, rest) = rest.split_first_chunk()?;
    let rest = rest.strip_prefix(b"\x67ShardId\x74")?;
    let (shard_id, rest) = rest.split_first_chunk()?;
    match *map {
        OPEN_MAP => Some((number, shard_id, rest.strip_prefix(&[BREAK])?)),
        MAP_OF_TWO => Some((number, shard_id, rest)),
        _ => None,
    }
}

/// Reads a stored record of two members, in any order.
fn entry_of_two(scanner: &mut Scanner<'_>) -> Option<StoredAt> {
    let mut ahead = scanner.clone();
    let members = ahead.pass_map(2)?;
    let (mut shard_id, mut number) = (None, None);
    for _ in 0..2 {
        match ahead.plain_text()? {
            b"ShardId" => shard_id = Some(ahead.plain_text()?),
            b"SequenceNumber" => number = Some(ahead.plain_text()?),
            _ => return None,
        }
    }
    ahead.pass_end(members)?;
    let number = SequenceNumber::of_digits(number?)?;
    let shard_id = ShardId::from(str::from_utf8(shard_id?).ok()?);
    *scanner = ahead;
    Some(StoredAt::new(shard_id, number))
}

#[cfg(test)]
mod tests {
    use ciborium::{Value, cbor};
    use proptest::prelude::*;

    use super::*;
    use crate::{record::PartitionKey, service::EntryFailure};

    fn text(text: &str) -> Value {
        Value::from(text)
    }

    proptest! {
        #[test]
        fn the_body_is_the_cbor_that_the_api_asks_for(
            records in prop::collection::vec(
                (any::<Vec<u8>>(), "\\PC{1,300}", any::<Option<u128>>()), 0..9),
            arn in any::<bool>(),
        ) {
            let stream = if arn { "arn:aws:kinesis:eu-west-1:0:stream/s" } else { "a \"name\"" };
            let encoded = records.iter().map(|(data, key, hash_key)| {
                let mut record = EncodedRecord::new(PartitionKey::stored(key.as_str()), data.clone().into());
                record.explicit_hash_key = hash_key.map(HashKey::new);
                record
            });
            let body = body(&PutRecords::new(stream.into(), encoded.collect()), Vec::with_capacity);
            let read: Value = ciborium::from_reader(&body[..]).unwrap();
            let expected = records.iter().map(|(data, key, hash_key)| {
                let mut record = vec![
                    (text("Data"), Value::Bytes(data.clone())),
                    (text("PartitionKey"), text(key)),
                ];
                record.extend(hash_key.map(|key| (text("ExplicitHashKey"), text(&key.to_string()))));
                Value::Map(record)
            });
            let name = if arn { "StreamARN" } else { "StreamName" };
            let expected = vec![
                (text(name), text(stream)),
                (text("Records"), Value::Array(expected.collect())),
            ];
            prop_assert_eq!(read, Value::Map(expected));
        }
    }

    fn bytes(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn odd_answer() -> Vec<u8> {
        let odd = cbor!({
            "EncryptionType" => "NONE",
            "Records" => [{"Gone" => 1}],
            "Records" => [
                {"SequenceNumber" => "17", "ShardId" => "shardId-1", "New" => [{"a" => [1e3, null, true]}], "ErrorCode" => null},
                {"ErrorMessage" => null, "ErrorCode" => "InternalFailure", "ErrorCode" => null, 7 => "x"},
                {"ShardId" => "s"},
                {"SequenceNumber" => "x", "ShardId" => "s"},
            ],
            "FailedRecordCount" => 1,
        });
        bytes(&odd.unwrap())
    }

    #[test]
    fn an_answer_is_read_whatever_stands_beside_what_is_looked_for() {
        let entries = answer(&odd_answer()).unwrap();
        let stored = StoredAt::new("shardId-1".into(), 17_u128.into());
        assert_eq!(entries.told[0], Ok(stored));
        let failure = EntryFailure::new("InternalFailure", "");
        assert_eq!(entries.told[1], Err(failure));
        assert_eq!((entries.told.len(), entries.untold), (2, 2));
        for nothing in [
            cbor!({}),
            cbor!({"Records" => null}),
            cbor!({"Records" => [{}], "Records" => null, "X" => 1}),
        ] {
            assert_eq!(answer(&bytes(&nothing.unwrap())).unwrap().len(), 0);
        }
    }

    /// Returns an answer with one entry of these members, and the same with an entry without a length.
    fn in_both_forms(members: &[(&str, &Value)]) -> [Vec<u8>; 2] {
        let entry = members
            .iter()
            .map(|(name, value)| (text(name), (*value).clone()));
        let entry = Value::Map(entry.collect());
        let definite = bytes(&Value::Map(vec![(
            text("Records"),
            Value::Array(vec![entry]),
        )]));
        let head = b"\xA1\x67Records\x81".len();
        let open = [
            &definite[..head],
            &[OPEN_MAP],
            &definite[head + 1..],
            &[BREAK],
        ]
        .concat();
        [definite, open]
    }

    #[test]
    fn an_entry_is_the_same_in_the_services_form_and_in_any_other() {
        let digits = "4955147931599822522080477449866096260375754139349968488";
        let long = format!("{digits}2");
        let cases = [
            (&*long, "shardId-000000000017"),
            (digits, "shardId-000000000017"),
            (&*format!("{digits}22"), "shardId-000000000017"),
            (&*format!("{digits}x"), "shardId-000000000017"),
            (&long, "shardId-00000000001"),
            (&long, "shardId-0000000000177"),
            // 20 bytes that are no ASCII.
            (&long, "shardId-0000000000é"),
        ];
        for (digits, id) in cases {
            let (number, shard_id) = (text(digits), text(id));
            let number = ("SequenceNumber", &number);
            let shard_id = ("ShardId", &shard_id);
            let nothing = ("ErrorCode", &Value::Null);
            let stored = digits
                .parse()
                .map(|number| Ok(StoredAt::new(id.into(), number)));
            let expected: Vec<Entry> = stored.into_iter().collect();
            for members in [
                &[number, shard_id][..],
                &[shard_id, number],
                &[number, shard_id, nothing],
            ] {
                for body in in_both_forms(members) {
                    let entries = answer(&body).unwrap();
                    assert_eq!(
                        (entries.len(), &entries.told),
                        (1, &expected),
                        "{members:?}"
                    );
                    assert!(answer(&body[..body.len() - 1]).is_err());
                }
            }
            let code = text("InternalFailure");
            for body in in_both_forms(&[number, shard_id, ("ErrorCode", &code)]) {
                let failure = EntryFailure::new("InternalFailure", "");
                assert_eq!(answer(&body).unwrap().told, [Err(failure)]);
            }
        }
    }

    #[test]
    fn an_id_that_is_no_text_is_an_error() {
        let mut body = b"\xA1\x67Records\x81\xA2\x6ESequenceNumber\x78\x38".to_vec();
        body.extend([b'7'; SequenceNumber::USUAL_DIGITS]);
        body.extend(b"\x67ShardId\x74shardId-00000000000\xFF");
        assert!(answer(&body).is_err());
    }

    #[test]
    fn an_answer_without_lengths_is_the_same() {
        let open = b"\xBF\x67Records\x9F\xBF\x67ShardId\x7F\x62sh\x61d\xFF\x6ESequenceNumber\x6217\xFF\xFF\xFF";
        let stored = StoredAt::new("shd".into(), 17_u128.into());
        assert_eq!(answer(open).unwrap().told, [Ok(stored)]);
    }

    #[test]
    fn what_is_cut_off_or_of_another_shape_is_an_error() {
        let whole = odd_answer();
        for cut in 0..whole.len() {
            assert!(answer(&whole[..cut]).is_err(), "{cut}");
        }
        let followed = [&whole[..], b"\x00"].concat();
        for broken in [&followed[..], b"\x80", b"{}", b"\xA1\x67Records\x81\x01"] {
            assert!(answer(broken).is_err(), "{broken:02X?}");
        }
    }
}
