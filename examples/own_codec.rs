//! A codec of your own, for records that a device already writes as `name=value` text.
//!
//! ```text
//! cargo run --example own_codec
//! ```

use std::error::Error;

use bytes::{BufMut, Bytes, BytesMut};
use kinesis_pipeline::{
    Codec, DecodeError, EncodeError, KinesisRecord, KinesisStream, LocalKinesis,
};

#[derive(Debug, PartialEq, KinesisRecord)]
#[kinesis(codec = NameEqualsValue)]
struct Measurement {
    #[kinesis(partition_key)]
    name: String,
    value: i64,
}

/// A codec of `name=value` in UTF-8.
struct NameEqualsValue;

impl Codec<Measurement> for NameEqualsValue {
    fn encode(measurement: &Measurement, out: &mut BytesMut) -> Result<(), EncodeError> {
        if measurement.name.contains('=') {
            return Err(EncodeError::new(
                "name=value",
                "a name must not contain `=`",
            ));
        }
        out.put_slice(format!("{}={}", measurement.name, measurement.value).as_bytes());
        Ok(())
    }

    fn decode(data: &Bytes) -> Result<Measurement, DecodeError> {
        let read = || {
            let (name, value) = std::str::from_utf8(data)?.split_once('=').ok_or("no `=`")?;
            Ok(Measurement {
                name: name.to_owned(),
                value: value.parse()?,
            })
        };
        read().map_err(|error: Box<dyn Error + Send + Sync>| {
            DecodeError::new("name=value", data.len(), error)
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stream: KinesisStream<Measurement> = LocalKinesis::start()
        .await?
        .stream("measurements", 1)
        .await?;
    let mut records = stream.iter_from_latest().await?;

    stream
        .put(&Measurement {
            name: "depth".to_owned(),
            value: -40,
        })
        .await?;
    let record = records.next().await.ok_or("the reader ended")??;
    println!("{:?} under the key {}", record.data, record.partition_key);

    let refused = stream
        .put(&Measurement {
            name: "a=b".to_owned(),
            value: 1,
        })
        .await;
    println!(
        "refused: {}",
        refused.map_or_else(|error| error.to_string(), |_| "nothing".to_owned())
    );
    Ok(())
}
