//! Puts numbered lines to a Firehose stream, for `firehose_moto.py`.
//!
//! ```text
//!   firehose_put STREAM FIRST COUNT   ->  the number of receipts
//! ```
//!
//! STREAM is a name or an ARN. The endpoint and the credentials come from the environment.

use std::error::Error;

use bytes::Bytes;
use kinesis_pipeline::firehose::DeliveryStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("firehose_put STREAM FIRST COUNT");
    let (stream, first, count): (_, usize, usize) = (next()?, next()?.parse()?, next()?.parse()?);
    let stream = DeliveryStream::<Bytes>::connect(stream).await?;
    let line = |number| Bytes::from(format!("record {number:06}"));
    let results = stream.put_all((first..first + count).map(line)).await;
    let mut receipts = 0;
    for result in results {
        result.map_err(|failure| failure.error)?;
        receipts += 1;
    }
    println!("{receipts}");
    Ok(())
}
