//! The answer of `GetRecords` in JSON.

use std::time::{Duration, SystemTime};

use super::{
    Page,
    answer::{PageReader, PageValues},
    arena::Data,
    at_millis, behind_millis,
};
use crate::json::{Kind, Malformed, Scanner};

pub(super) fn answer(body: &[u8]) -> Result<Page, Malformed> {
    let (mut scanner, mut page) = (Scanner::new(body), PageReader::new(body.len()));
    while !page.is_whole() {
        page.step(&mut scanner)?;
    }
    scanner.end()?;
    Ok(page.finish())
}

impl<'a> PageValues<'a> for Scanner<'a> {
    fn data(&mut self) -> Result<Data<'a>, Malformed> {
        Ok(Data::Base64(self.string()?.as_bytes()))
    }

    fn time(&mut self) -> Result<Option<SystemTime>, Malformed> {
        if self.kind()? == Kind::Number {
            return Ok(Some(time(self.number()?)));
        }
        self.skip().map(|()| None)
    }

    fn rest_bytes(&self) -> usize {
        Self::rest_bytes(self)
    }

    fn millis(&mut self) -> Result<Option<Duration>, Malformed> {
        Ok(millis(self.number()?))
    }
}

/// Reads seconds since the epoch with a fraction; the service counts milliseconds.
fn time(seconds: &str) -> SystemTime {
    at_millis(seconds.parse().unwrap_or(0.0) * 1000.0)
}

fn millis(number: &str) -> Option<Duration> {
    match number.parse() {
        Ok(millis) => Some(Duration::from_millis(millis)),
        Err(_) => behind_millis(number.parse().ok()?),
    }
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
