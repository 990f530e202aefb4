//! Puts `{uuid: state}` records, one a second or at another rate, as input for a transform.
//!
//! It puts to the embedded Kinesis, or to AWS if a stream's name is given. Credentials and region then come from the
//! environment (build with `--features aws`).
//!
//! ```text
//! cargo run --example generate -- [COUNT] [RECORDS_A_SECOND] [STREAM]
//! ```

use std::{collections::BTreeMap, env, error::Error, time::Duration};

use bytes::BytesMut;
use kinesis_pipeline::{
    DecodeError, EncodeError, EncodedRecord, KeyError, KinesisRecord, KinesisStream, LocalKinesis,
    PartitionKey, record::EncodeContext,
};

/// States of the US. One entry in six is a region of France.
const STATES: [&str; 12] = [
    "NY", "AK", "AZ", "NY", "AR", "CA", "IDF", "TX", "NY", "WA", "FL", "PACA",
];

/// A record `{uuid: state}`, with the uuid as its key.
#[derive(Debug)]
struct Entry(BTreeMap<String, String>);

impl Entry {
    fn random() -> Self {
        let uuid = uuid::Uuid::new_v4();
        let state = STATES[usize::from(uuid.as_bytes()[0]) % STATES.len()];
        Self(BTreeMap::from([(uuid.to_string(), state.to_owned())]))
    }
}

impl KinesisRecord for Entry {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        let uuid = self.0.keys().next();
        PartitionKey::new(uuid.ok_or(KeyError::missing())?)
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        let json = serde_json::to_vec(&self.0).map_err(|error| EncodeError::new("json", error))?;
        out.extend_from_slice(&json);
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        let bytes = stored.data.len();
        let entry = serde_json::from_slice(&stored.data);
        entry
            .map(Self)
            .map_err(|error| DecodeError::new("json", bytes, error))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(10), |count| count.parse())?;
    let a_second: u32 = arguments.next().map_or(Ok(1), |rate| rate.parse())?;
    let stream = open(arguments.next().as_deref()).await?;

    let mut turns = tokio::time::interval(Duration::from_secs(1) / a_second.max(1));
    for _ in 0..count {
        turns.tick().await;
        let entry = Entry::random();
        let receipt = stream.put(&entry).await?;
        println!(
            "{} in {}",
            serde_json::to_string(&entry.0)?,
            receipt.shard_id
        );
    }
    println!("put {count} records");
    Ok(())
}

/// Opens a stream of AWS by its name, or one on the embedded Kinesis.
async fn open(name: Option<&str>) -> Result<KinesisStream<Entry>, Box<dyn Error>> {
    match name {
        #[cfg(feature = "aws")]
        Some(name) => Ok(KinesisStream::connect(name).await?),
        #[cfg(not(feature = "aws"))]
        Some(_) => Err("build with `--features aws` to put to a stream of AWS".into()),
        None => Ok(LocalKinesis::start().await?.stream("entries", 2).await?),
    }
}
