//! Tests of codecs: those of the derive, and one of a user.

use super::*;

#[test]
fn compat_is_the_old_form_of_msgpack() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
    #[kinesis(codec = "msgpack", compat)]
    struct Visit {
        #[kinesis(partition_key)]
        user: Uuid,
        #[serde(with = "kinesis_pipeline::record::triton_time")]
        at: SystemTime,
        page: String,
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    }
    let visit = Visit {
        user: Uuid::nil(),
        at: context().now(),
        page: "p".repeat(32),
        body: vec![0xff],
    };
    comes_back(&visit);
    let data = stored(&visit).data;
    // These are raw16 for the 36 characters of the id, extension 5 for the time, and fixraw for one byte.
    assert!(data.starts_with(b"\x84\xa4user\xda\x00\x2400000000-"));
    assert!(data.windows(3).any(|window| window == b"\xc7\x0c\x05"));
    assert!(data.ends_with(b"\xa4body\xa1\xff"));
}

#[test]
fn the_bytes_codec_writes_the_value_as_it_is() {
    #[derive(Debug, PartialEq, KinesisRecord)]
    #[kinesis(codec = "bytes")]
    struct Line(#[kinesis(partition_key)] String);
    #[derive(Debug, PartialEq, KinesisRecord)]
    #[kinesis(codec = "bytes")]
    struct Blob<T> {
        data: T,
    }
    let line = Line("a\nb".into());
    assert_eq!(text(&line), "a\nb");
    assert_eq!(line.partition_key().unwrap(), "a\nb");
    comes_back(&line);
    comes_back(&Blob {
        data: Bytes::from_static(b"\xff"),
    });
    let broken = EncodedRecord::new(PartitionKey::random(), Bytes::from_static(b"\xff"));
    assert!(Line::decode(&broken).is_err());
}

struct Upper;

impl<T: AsRef<str> + From<String>> Codec<T> for Upper {
    fn encode(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(value.as_ref().to_uppercase().as_bytes());
        Ok(())
    }

    fn decode(data: &Bytes) -> Result<T, DecodeError> {
        let text = String::from_utf8(data.to_vec())
            .map_err(|error| DecodeError::new("upper", data.len(), error))?;
        Ok(T::from(text))
    }
}

#[test]
fn a_codec_of_ones_own_needs_no_serde() {
    #[derive(Debug, PartialEq, KinesisRecord)]
    #[kinesis(codec = "Upper")]
    struct Shout(String);
    impl AsRef<str> for Shout {
        fn as_ref(&self) -> &str {
            &self.0
        }
    }
    impl From<String> for Shout {
        fn from(text: String) -> Self {
            Self(text)
        }
    }
    let shout = Shout("hey".into());
    assert_eq!(text(&shout), "HEY");
    assert_eq!(Shout::decode(&stored(&shout)).unwrap(), Shout("HEY".into()));
}
