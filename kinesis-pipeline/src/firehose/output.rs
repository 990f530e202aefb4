use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{EventError, FailureReason, base64, id::Id, lenient};

/// The values of dynamic partitioning, by the name of the key. They form the folder of a record.
pub type PartitionKeys = BTreeMap<String, String>;

/// The answer to Firehose for one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `Ok`: the data is delivered.
    Ok,
    /// `Dropped`: the record is done and is not delivered.
    Dropped,
    /// `ProcessingFailed`: Firehose writes the original record under the error prefix.
    ProcessingFailed,
}

impl Outcome {
    /// Returns the text that Firehose expects.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Dropped => "Dropped",
            Self::ProcessingFailed => "ProcessingFailed",
        }
    }

    /// Reads an outcome in any case, as `OK` is often written.
    fn read(text: &str) -> Option<Self> {
        let all = [Self::Ok, Self::Dropped, Self::ProcessingFailed];
        all.into_iter()
            .find(|outcome| outcome.as_str().eq_ignore_ascii_case(text))
    }
}

/// One record of a transform's response.
///
/// [`transform`](super::transform) writes responses itself. This type is for functions that do not use it, and for
/// readers of responses.
///
/// ```
/// use kinesis_pipeline::firehose::OutputRecord;
///
/// let json = OutputRecord::write_all(&[
///     OutputRecord::ok("1", b"hi\n").with_partition_key("state", "NY"),
///     OutputRecord::dropped("2"),
/// ]);
/// assert_eq!(OutputRecord::parse_all(&json)?[0].bytes().unwrap(), "hi\n");
/// # Ok::<(), kinesis_pipeline::firehose::EventError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OutputRecord<'a> {
    /// The id of the record that is answered.
    #[serde(borrow, deserialize_with = "lenient::required_text")]
    pub record_id: Cow<'a, str>,
    /// The result.
    #[serde(deserialize_with = "outcome")]
    pub result: Outcome,
    /// The data, in base64.
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    data: Cow<'a, str>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    partition_keys: Option<PartitionKeys>,
}

fn outcome<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
    Outcome::read(&lenient::text(deserializer)?)
        .ok_or_else(|| D::Error::custom("a result is `Ok`, `Dropped` or `ProcessingFailed`"))
}

impl<'a> OutputRecord<'a> {
    fn new(record_id: impl Into<Cow<'a, str>>, result: Outcome) -> Self {
        Self {
            record_id: record_id.into(),
            result,
            data: Cow::Borrowed(""),
            metadata: None,
        }
    }

    /// Makes an answer whose data is delivered. Firehose puts nothing between records: end the data with a new line.
    #[must_use]
    pub fn ok(record_id: impl Into<Cow<'a, str>>, data: &[u8]) -> Self {
        Self::new(record_id, Outcome::Ok).with_data(data)
    }

    /// Makes an answer for a record that is done and is not delivered.
    #[must_use]
    pub fn dropped(record_id: impl Into<Cow<'a, str>>) -> Self {
        Self::new(record_id, Outcome::Dropped)
    }

    /// Makes an answer for a record that failed.
    #[must_use]
    pub fn failed(record_id: impl Into<Cow<'a, str>>) -> Self {
        Self::new(record_id, Outcome::ProcessingFailed)
    }

    /// Returns the same answer with this data. Firehose does not need data for a record that it does not deliver.
    #[must_use]
    pub fn with_data(mut self, data: &[u8]) -> Self {
        self.data = base64_simd::STANDARD.encode_to_string(data).into();
        self
    }

    /// Returns the same answer with this key for dynamic partitioning.
    #[must_use]
    pub fn with_partition_key(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let keys = self.metadata.get_or_insert_default();
        let keys = keys.partition_keys.get_or_insert_default();
        keys.insert(name.into(), value.into());
        self
    }

    /// Returns the data, decoded from base64.
    ///
    /// # Errors
    /// [`FailureReason::NotBase64`].
    pub fn bytes(&self) -> Result<Bytes, FailureReason> {
        base64::decode(self.data.as_bytes())
    }

    /// Returns the keys for dynamic partitioning, if there are any.
    #[must_use]
    pub fn partition_keys(&self) -> Option<&PartitionKeys> {
        self.metadata.as_ref()?.partition_keys.as_ref()
    }

    /// Returns a response with these records as JSON text. Its size is not limited.
    #[must_use]
    pub fn write_all(records: &[Self]) -> Vec<u8> {
        let mut out = Vec::from(RESPONSE_START);
        for record in records {
            let keys = record.partition_keys().map(keys_json);
            let answer = Answer {
                record_id: Id::new(&record.record_id),
                result: record.result,
                keys_json: keys.as_deref(),
            };
            answer.write(&mut out, |out| write_base64(&record.data, out));
        }
        out.extend_from_slice(RESPONSE_END);
        out
    }

    /// Reads the JSON text of a response. Results may be in any case, such as `OK`, and unknown fields are ignored.
    ///
    /// # Errors
    /// The text is not JSON, has no list of records, or a record has no id or an unknown result.
    pub fn parse_all(json: &'a [u8]) -> Result<Vec<Self>, EventError> {
        #[derive(Deserialize)]
        struct Records<'a> {
            #[serde(borrow)]
            records: Vec<OutputRecord<'a>>,
        }
        serde_json::from_slice(json)
            .map(|response: Records<'a>| response.records)
            .map_err(|source| EventError::new("the response of a transform", json, source.into()))
    }
}

/// Appends base64 that was read from a response. It may contain anything, so bytes that JSON would escape are left out.
fn write_base64(text: &str, out: &mut Vec<u8>) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
    out.extend(text.bytes().filter(plain));
}

pub(super) const RESPONSE_START: &[u8] = b"{\"records\":[";
pub(super) const RESPONSE_END: &[u8] = b"]}";

const ID: &[u8] = b"{\"recordId\":";
const RESULT_START: &[u8] = b",\"result\":\"";
const RESULT_END: &[u8] = b"\",\"data\":\"";
const KEYS: &[u8] = b"\",\"metadata\":{\"partitionKeys\":";
const END: &[u8] = b"}}";

/// The JSON of an empty set of partition keys. The set and `data` are always written, as in AWS's own types for Lambda
/// functions in Rust and Go.
const NO_KEYS: &[u8] = b"{}";

/// The length of a response without records, in bytes.
pub(super) const FRAME_BYTES: usize = RESPONSE_START.len() + RESPONSE_END.len();

/// The bytes that all answers have in common, with the comma before an answer.
const ANSWER_BYTES: usize =
    1 + ID.len() + RESULT_START.len() + RESULT_END.len() + KEYS.len() + END.len();

/// Returns partition keys as JSON.
pub(super) fn keys_json(keys: &PartitionKeys) -> String {
    serde_json::to_string(keys).expect("a map of texts has a JSON text")
}

/// An answer of a response, without its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) record_id: Id<'a>,
    pub(super) result: Outcome,
    pub(super) keys_json: Option<&'a str>,
}

impl Answer<'_> {
    /// Returns the length of the answer in bytes, with a comma and with `data_bytes` of data.
    pub(super) fn bytes(&self, data_bytes: usize) -> usize {
        ANSWER_BYTES
            + self.record_id.json_bytes()
            + self.result.as_str().len()
            + self.keys_json.map_or(NO_KEYS.len(), str::len)
            + data_bytes
    }

    /// Appends the answer, with a comma unless it is the first.
    ///
    /// Parts that are always the same are appended together: short pieces cost more than their bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>, write_data: impl FnOnce(&mut Vec<u8>)) {
        if out.last() == Some(&b'}') {
            out.push(b',');
        }
        out.extend_from_slice(ID);
        self.record_id.write(out);
        match self.result {
            Outcome::Ok => out.extend_from_slice(b",\"result\":\"Ok\",\"data\":\""),
            result => {
                out.extend_from_slice(RESULT_START);
                out.extend_from_slice(result.as_str().as_bytes());
                out.extend_from_slice(RESULT_END);
            }
        }
        write_data(out);
        match self.keys_json {
            None => out.extend_from_slice(b"\",\"metadata\":{\"partitionKeys\":{}}}"),
            Some(keys_json) => {
                out.extend_from_slice(KEYS);
                out.extend_from_slice(keys_json.as_bytes());
                out.extend_from_slice(END);
            }
        }
    }
}

/// Returns the longest answer of this record without data and keys, in bytes, with its comma.
pub(super) fn least_bytes(record_id: Id<'_>) -> usize {
    let failed = Answer {
        record_id,
        result: Outcome::ProcessingFailed,
        keys_json: None,
    };
    failed.bytes(0)
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
