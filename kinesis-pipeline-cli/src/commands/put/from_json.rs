use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use kinesis_pipeline::{EncodeError, EncodedRecord, HashKey, PartitionKey};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::line::Refusal;
use crate::data::Encoding;

/// The members of a line of `get -o json`: those of the record, and those of its old place.
///
/// Unknown members are refused: a key under a misspelled name would be replaced by a random one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Got<'a> {
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    /// The encoding of the data; by default a string is text and everything else JSON.
    encoding: Option<Encoding>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    trailing: String,
    #[serde(rename = "shard_id")]
    _shard_id: Option<IgnoredAny>,
    #[serde(rename = "sequence_number")]
    _sequence_number: Option<IgnoredAny>,
    #[serde(rename = "sub_sequence_number")]
    _sub_sequence_number: Option<IgnoredAny>,
    #[serde(rename = "arrived_at")]
    _arrived_at: Option<IgnoredAny>,
    #[serde(rename = "msgpack")]
    _msgpack: Option<IgnoredAny>,
}

/// Returns the record that a line of `get -o json` shows.
pub(super) fn record(line: &Bytes) -> Result<EncodedRecord, Refusal> {
    let got: Got<'_> = serde_json::from_slice(line).map_err(super::format::not_json)?;
    let key = match &got.partition_key {
        Some(key) => PartitionKey::new(key)?,
        None => PartitionKey::random(),
    };
    let mut record = EncodedRecord::new(key, data(line, &got)?);
    if let Some(key) = &got.explicit_hash_key {
        let key: HashKey = key
            .parse()
            .map_err(|error| EncodeError::new("json", error))?;
        record.explicit_hash_key = Some(key);
    }
    Ok(record)
}

fn data(line: &Bytes, got: &Got<'_>) -> Result<Bytes, EncodeError> {
    let raw = got.data.get();
    let is_string = raw.starts_with('"');
    let usual = if is_string {
        Encoding::Text
    } else {
        Encoding::Json
    };
    let encoding = got.encoding.unwrap_or(usual);
    if let Encoding::Json = encoding {
        return Ok(match got.trailing.as_str() {
            "" => line.slice_ref(raw.as_bytes()),
            trailing => [raw.as_bytes(), trailing.as_bytes()].concat().into(),
        });
    }
    if !is_string {
        let wrong = "`data` is not a string, as its `encoding` says";
        return Err(EncodeError::new("json", wrong));
    }
    let text: String =
        serde_json::from_str(raw).map_err(|error| EncodeError::new("json", error))?;
    match encoding {
        Encoding::Base64 => {
            let data = STANDARD.decode(text);
            data.map(Bytes::from)
                .map_err(|error| EncodeError::new("base64", error))
        }
        _ => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::InJson;

    fn read(line: &'static str) -> Result<EncodedRecord, Refusal> {
        record(&Bytes::from(line))
    }

    #[test]
    fn what_get_writes_makes_the_same_bytes() {
        for data in [
            &b"{\"a\": 1.10, \"a\": 123456789012345678901234567890}"[..],
            b"[1]\r\n",
            b" 1",
            b"{\n}",
            b"",
            b"\n",
            b"text \x00 \xe2\x80\xa8",
            b"\xff\xfe",
            b"\x81\xa5value\x05",
            b"\"a string\"",
            b"null",
            b"{\"base64\":\"//4=\"}",
            b"\"\\ud800\"",
        ] {
            let data = Bytes::copy_from_slice(data);
            let line = serde_json::to_vec(&InJson::of(&data)).unwrap();
            assert_eq!(record(&line.into()).unwrap().data, data);
        }
    }

    #[test]
    fn keys_are_those_of_the_line() {
        let line =
            r#"{"partition_key":"k","explicit_hash_key":"7","data":{"a":1},"shard_id":null}"#;
        let record = read(line).unwrap();
        assert_eq!(record.partition_key, "k");
        assert_eq!(record.explicit_hash_key, Some(HashKey::new(7)));
        assert_eq!(record.data, r#"{"a":1}"#);
        assert_eq!(read(r#"{"data":"x"}"#).unwrap().data, "x");
    }

    #[test]
    fn what_makes_no_record_is_refused() {
        for wrong in [
            "",
            "{}",
            "x",
            r#"{"data":1,"encoding":"text"}"#,
            r#"{"data":"!","encoding":"base64"}"#,
            r#"{"data":1,"encoding":"other"}"#,
            r#"{"data":1,"partition_key":""}"#,
            r#"{"data":1,"key":"k"}"#,
            r#"{"data":1,"explicit_hash_key":"-1"}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
