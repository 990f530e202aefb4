//! Requests that Firehose sends to an HTTP endpoint destination, and the responses that it expects.
//!
//! ```text
//!  header X-Amz-Firehose-Access-Key ── AccessKey::matches ── no ─► 401
//!  body (gzip if the stream is set so) ── Delivery::parse ── records ── stored ─► 200, Delivery::accepted
//!                                                               └── failed ─► 5xx, Delivery::refused: it comes again
//! ```

use std::{borrow::Cow, fmt, time::SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{EventError, FailureReason, base64, gzip, lenient};
use crate::{
    clock,
    record::{EncodedRecord, KinesisRecord, PartitionKey},
};

/// The header with the id of a request. The id is in the body too.
pub const REQUEST_ID_HEADER: &str = "X-Amz-Firehose-Request-Id";

/// The header with the access key.
pub const ACCESS_KEY_HEADER: &str = "X-Amz-Firehose-Access-Key";

/// The limit of a decompressed body. Firehose sends at most 64 MiB in a request.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The access key that the delivery stream uses for its endpoint.
#[derive(Clone)]
pub struct AccessKey(String);

/// Hides the key.
impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(..)")
    }
}

impl AccessKey {
    /// Makes a value of this key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// Whether a request's header has this key.
    ///
    /// The comparison takes a time that reveals only the key's length. An empty key matches nothing.
    ///
    /// ```
    /// use kinesis_pipeline::firehose::endpoint::AccessKey;
    ///
    /// let key = AccessKey::new("secret");
    /// assert!(key.matches(Some(b"secret")));
    /// assert!(!key.matches(None));
    /// ```
    #[must_use]
    pub fn matches(&self, header: Option<&[u8]>) -> bool {
        let given = header.unwrap_or_default();
        !self.0.is_empty() && bool::from(self.0.as_bytes().ct_eq(given))
    }
}

/// The body of a request, with some records. It borrows from the JSON text that it was read from.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Delivery<'a> {
    /// The id of the request. The answer repeats it.
    #[serde(borrow, deserialize_with = "lenient::required_text")]
    pub request_id: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient::whole")]
    timestamp: Option<u64>,
    /// The records.
    #[serde(borrow)]
    pub records: Vec<DeliveredRecord<'a>>,
}

/// One record of a [`Delivery`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct DeliveredRecord<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    data: Cow<'a, str>,
}

impl DeliveredRecord<'_> {
    /// Returns the record's bytes, decoded from base64.
    ///
    /// # Errors
    /// [`FailureReason::NotBase64`].
    pub fn bytes(&self) -> Result<Bytes, FailureReason> {
        base64::decode(self.data.as_bytes())
    }

    /// Decodes the record as your type. Its partition key is empty, as Firehose does not send one.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`FailureReason::Decode`].
    pub fn decode<R: KinesisRecord>(&self) -> Result<R, FailureReason> {
        let key = PartitionKey::stored("");
        Ok(EncodedRecord::new(key, self.bytes()?).to_record()?)
    }
}

/// Decompresses a body that came with `Content-Encoding: gzip`. Returns its JSON text.
///
/// # Errors
/// [`FailureReason::NotGzip`], also for more than 64 MiB.
pub fn decompress(body: &[u8]) -> Result<Vec<u8>, FailureReason> {
    gzip::decompress(body, BODY_BYTES_MAX)
}

impl<'a> Delivery<'a> {
    /// Makes a request with these records, for tests of your endpoint.
    #[must_use]
    pub fn of(request_id: impl Into<Cow<'a, str>>, at: SystemTime, records: &[&[u8]]) -> Self {
        let record = |data: &&[u8]| DeliveredRecord {
            data: base64_simd::STANDARD.encode_to_string(data).into(),
        };
        Self {
            request_id: request_id.into(),
            timestamp: Some(clock::epoch_millis(at)),
            records: records.iter().map(record).collect(),
        }
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    /// The text is not JSON, or has no id or no list of records.
    pub fn parse(json: &'a [u8]) -> Result<Self, EventError> {
        serde_json::from_slice(json).map_err(|source| {
            EventError::new("a delivery to an HTTP endpoint", json, source.into())
        })
    }

    /// Returns the time at which Firehose made the request.
    #[must_use]
    pub fn sent_at(&self) -> Option<SystemTime> {
        self.timestamp.map(clock::from_epoch_millis)
    }

    /// Returns the body as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        lenient::written(self)
    }

    /// Returns the body of a response with status 200, as `application/json`. It means that all records are stored.
    #[must_use]
    pub fn accepted(&self, now: SystemTime) -> Vec<u8> {
        self.answer(now, None)
    }

    /// Returns the body of a response with another status, as `application/json`. Firehose then sends the records
    /// again, and shows the message to the stream's owner.
    #[must_use]
    pub fn refused(&self, now: SystemTime, message: &str) -> Vec<u8> {
        self.answer(now, Some(message))
    }

    fn answer(&self, now: SystemTime, error_message: Option<&str>) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer<'a> {
            request_id: &'a str,
            timestamp: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            error_message: Option<&'a str>,
        }
        let answer = Answer {
            request_id: &self.request_id,
            timestamp: clock::epoch_millis(now),
            error_message,
        };
        lenient::written(&answer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const BODY: &[u8] =
        br#"{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1578090903599,
        "records":[{"data":"aGVsbG8="},{"data":"aGVsbG8gd29ybGQ=","later":1}]}"#;

    #[test]
    fn a_request_is_read_and_its_id_is_echoed() {
        let delivery = Delivery::parse(BODY).unwrap();
        let texts: Vec<String> = delivery
            .records
            .iter()
            .map(|r| r.decode().unwrap())
            .collect();
        assert_eq!(texts, ["hello", "hello world"]);
        let now = clock::from_epoch_millis(1_578_090_903_600);
        assert!(delivery.sent_at().unwrap() < now);
        assert_eq!(
            delivery.accepted(now),
            br#"{"requestId":"ed4acda5-034f-9f42-bba1-f29aea6d7d8f","timestamp":1578090903600}"#
        );
        let refused = delivery.refused(now, "the disk is \"full\"");
        let refused: serde_json::Value = serde_json::from_slice(&refused).unwrap();
        assert_eq!(refused["errorMessage"], "the disk is \"full\"");
    }

    #[test]
    fn a_compressed_body_is_read() {
        let body = decompress(&gzip::compress(BODY)).unwrap();
        assert_eq!(body, BODY);
        assert!(matches!(
            decompress(BODY),
            Err(FailureReason::NotGzip { .. })
        ));
    }

    #[test]
    fn only_the_whole_key_matches_and_it_is_not_shown() {
        let key = AccessKey::new("secret");
        assert!(key.matches(Some(b"secret")));
        for wrong in [&b"secre"[..], b"secrets", b"Secret", b""] {
            assert!(!key.matches(Some(wrong)));
        }
        assert!(!key.matches(None) && !AccessKey::new("").matches(None));
        assert!(!format!("{key:?}").contains("secret"));
    }

    #[test]
    fn a_body_without_an_id_or_records_is_an_error() {
        for json in [r#"{"records":[]}"#, r#"{"requestId":"1"}"#, "[", ""] {
            assert!(Delivery::parse(json.as_bytes()).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_request_comes_back(id in ".{1,9}", millis: u64, records in vec(vec(any::<u8>(), 0..40), 0..9)) {
            let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
            let delivery = Delivery::of(id, clock::from_epoch_millis(millis >> 8), &records);
            let json = delivery.to_json();
            let back = Delivery::parse(&json).unwrap();
            prop_assert_eq!(&back, &delivery);
            for (record, data) in back.records.iter().zip(records) {
                prop_assert_eq!(record.bytes().unwrap(), data);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(noise: Vec<u8>) {
            let _ = Delivery::parse(&noise);
            let _ = decompress(&noise);
        }
    }
}
