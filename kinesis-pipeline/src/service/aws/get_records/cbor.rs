//! `GetRecords` in CBOR.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{answer::PageValues, arena::Data, at_millis, behind_millis};
use crate::{
    cbor::{BREAK, Number, OPEN_MAP, Scanner, put_text, put_unsigned},
    json::Malformed,
    service::{GetRecords, aws::int},
};

/// Writes the request as the Java SDKs do.
pub(super) fn body(call: &GetRecords) -> Bytes {
    let frame = 64;
    let texts = call.iterator.as_str().len() + call.stream.as_str().len();
    let mut out = Vec::with_capacity(frame + texts);
    out.push(OPEN_MAP);
    put_text(&mut out, "ShardIterator");
    put_text(&mut out, call.iterator.as_str());
    if let Some(limit) = call.limit {
        put_text(&mut out, "Limit");
        put_unsigned(&mut out, int(limit).unsigned_abs().into());
    }
    if let Some(arn) = call.stream.arn() {
        put_text(&mut out, "StreamARN");
        put_text(&mut out, arn);
    }
    out.push(BREAK);
    out.into()
}

impl<'a> PageValues<'a> for Scanner<'a> {
    fn data(&mut self) -> Result<Data<'a>, Malformed> {
        if self.is_text()? {
            return Ok(Data::Base64(self.unchecked_text()?));
        }
        Ok(Data::Plain(self.bytes()?))
    }

    fn time(&mut self) -> Result<Option<SystemTime>, Malformed> {
        if self.is_number()? {
            return Ok(Some(time(self.number()?)));
        }
        self.skip().map(|()| None)
    }

    fn rest_bytes(&self) -> usize {
        Self::rest_bytes(self)
    }

    fn millis(&mut self) -> Result<Option<Duration>, Malformed> {
        Ok(behind(self.number()?))
    }
}

/// The largest number that is taken for seconds: the year 5138. In milliseconds it would be in 1973.
const SECONDS_MAX: f64 = 1e11;

/// Converts a time. The service counts milliseconds since the epoch; some local servers count seconds, as CBOR does.
fn time(number: Number) -> SystemTime {
    let number = float(number);
    let unit_millis = if number < SECONDS_MAX { 1000.0 } else { 1.0 };
    at_millis(number * unit_millis)
}

fn behind(millis: Number) -> Option<Duration> {
    match millis {
        Number::Unsigned(millis) => Some(Duration::from_millis(millis)),
        Number::Float(millis) => behind_millis(millis),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this age fit in 53 bits"
)]
fn float(number: Number) -> f64 {
    match number {
        Number::Unsigned(number) => number as f64,
        Number::Float(number) => number,
    }
}

#[cfg(test)]
mod tests {
    use ciborium::{Value, cbor};
    use proptest::prelude::*;

    use super::{
        super::{Page, parts::read},
        *,
    };
    use crate::{
        clock,
        service::{EncryptionType, ShardIterator, StreamId},
        shard::HashKey,
    };

    fn bytes(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn answer(body: &[u8]) -> Result<Page, Malformed> {
        read(&[body])
    }

    fn page(members: &Value) -> Page {
        answer(&bytes(members)).unwrap()
    }

    fn data(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }

    fn odd_page() -> Value {
        let members = cbor!({
            "Records" => [{"SequenceNumber" => "6"}],
            "Records" => [
                {"SequenceNumber" => "7", "New" => {"x" => []}, "Data" => data(b"hi"), "PartitionKey" => "é\n",
                 "ApproximateArrivalTimestamp" => Value::Tag(1, Box::new(1_433_969_276_172_u64.into())),
                 "EncryptionType" => null},
                {"SequenceNumber" => "8", "PartitionKey" => "k", "Data" => "aGk=", "EncryptionType" => "KMS",
                 "ApproximateArrivalTimestamp" => "2015-06-10T20:47:56Z"},
            ],
            "NextShardIterator" => null,
            "MillisBehindLatest" => 1500,
            "ChildShards" => [{
                "ShardId" => "shardId-2", "ParentShards" => ["shardId-0", "shardId-1"],
                "HashKeyRange" => {"StartingHashKey" => "0", "EndingHashKey" => "9"}}],
        });
        members.unwrap()
    }

    #[test]
    fn a_page_is_read_whatever_is_left_out_or_null_or_new() {
        let page = page(&odd_page()).unwrap();
        let [first, second] = &page.records[..] else {
            panic!("two records");
        };
        assert_eq!(
            (&first.data[..], &*first.partition_key),
            (&b"hi"[..], "é\n")
        );
        assert_eq!(clock::epoch_millis(first.arrived_at), 1_433_969_276_172);
        assert_eq!(first.encryption_type, None);
        assert_eq!(&second.data[..], b"hi");
        assert_eq!(second.arrived_at, SystemTime::UNIX_EPOCH);
        assert_eq!(second.encryption_type, Some(EncryptionType::Kms));
        assert_eq!(page.behind_latest, Some(Duration::from_millis(1500)));
        assert!(page.next_iterator.is_none());
        assert_eq!(page.child_shards[0].parents.len(), 2);
        assert_eq!(page.child_shards[0].hash_key_range.end, HashKey::new(9));
        let nothing = answer(b"\xBF\x71NextShardIterator\x61i\xFF")
            .unwrap()
            .unwrap();
        assert!(nothing.next_iterator.is_some() && nothing.records.is_empty());
    }

    #[test]
    fn what_the_api_does_not_send_is_named_and_what_is_no_cbor_is_an_error() {
        for (members, what) in [
            (
                cbor!({"Records" => [{"Data" => data(b"x")}]}),
                "sequence number",
            ),
            (
                cbor!({"Records" => [{"SequenceNumber" => "1x"}]}),
                "sequence number",
            ),
            (
                cbor!({"Records" => [{"SequenceNumber" => "1", "Data" => "a"}]}),
                "base64",
            ),
            (
                cbor!({"Records" => [], "ChildShards" => [{"ShardId" => "s"}]}),
                "hash keys",
            ),
            (
                cbor!({"Records" => [], "MillisBehindLatest" => 1e300}),
                "MillisBehindLatest",
            ),
            (cbor!({}), "neither"),
            (
                cbor!({"Records" => null, "MillisBehindLatest" => 0}),
                "neither",
            ),
        ] {
            let error = page(&members.unwrap()).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        let whole = bytes(&odd_page());
        for cut in 0..whole.len() {
            assert!(answer(&whole[..cut]).is_err(), "{cut}");
        }
        for broken in [&b"\x80"[..], b"{}", b"\xA1\x67Records\x07", b"\xA0\x00"] {
            assert!(answer(broken).is_err(), "{broken:02X?}");
        }
    }

    #[test]
    fn a_time_is_read_in_milliseconds_or_in_the_seconds_of_servers_that_count_them() {
        let millis = |number| clock::epoch_millis(time(number));
        for number in [
            Number::Unsigned(1_763_999_999_999),
            Number::Float(1_763_999_999_999.0),
            Number::Float(1_763_999_999.999),
        ] {
            assert_eq!(millis(number), 1_763_999_999_999);
        }
        assert_eq!(millis(Number::Unsigned(1_763_999_999)), 1_763_999_999_000);
        for number in [-5.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(millis(Number::Float(number)), 0);
        }
        time(Number::Unsigned(u64::MAX));
        time(Number::Float(f64::INFINITY));
    }

    #[test]
    fn only_nothing_or_less_is_read_as_the_tip() {
        for (number, is_tip) in [(-7.0, true), (0.0, true), (0.5, false), (1500.0, false)] {
            assert_eq!(behind(Number::Float(number)).unwrap().is_zero(), is_tip);
        }
        assert_eq!(behind(Number::Float(f64::NAN)), None);
    }

    proptest! {
        #[test]
        fn the_body_is_the_cbor_that_the_api_asks_for(
            iterator in "\\PC{0,300}", limit: Option<u32>, is_arn: bool,
        ) {
            let arn = "arn:aws:kinesis:eu-west-1:0:stream/s";
            let stream = StreamId::from(if is_arn { arn } else { "s" });
            let mut call = GetRecords::new(stream, ShardIterator::from(iterator.clone()));
            call.limit = limit;
            let text = |text: &str| Value::from(text);
            let mut expected = vec![(text("ShardIterator"), text(&iterator))];
            expected.extend(limit.map(|limit| (text("Limit"), limit.min(0x7FFF_FFFF).into())));
            expected.extend(is_arn.then(|| (text("StreamARN"), text(arn))));
            let read: Value = ciborium::from_reader(&body(&call)[..]).unwrap();
            prop_assert_eq!(read, Value::Map(expected));
        }

        #[test]
        fn no_answer_makes_it_panic(bytes: Vec<u8>) {
            let _ = answer(&bytes);
        }
    }
}
