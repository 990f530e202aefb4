//! Tests of a client with an interceptor that changes records, as encryption does. It must see every record.

use aws_sdk_kinesis::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextMut},
    },
    error::BoxError,
    operation::{get_records::GetRecordsOutput, put_records::PutRecordsInput},
    primitives::Blob,
};
use bytes::Bytes;
use kinesis_pipeline::{EncodedRecord, KinesisStream, PartitionKey, StartAt, Until};

use crate::sdk::{STREAM, iterator, page, served};

/// An interceptor that flips every bit of the data on its way out and back.
#[derive(Debug)]
struct Cipher;

fn flipped(data: &Blob) -> Blob {
    Blob::new(data.as_ref().iter().map(|byte| !byte).collect::<Vec<_>>())
}

impl Intercept for Cipher {
    fn name(&self) -> &'static str {
        "cipher"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(input) = context.input_mut().downcast_mut::<PutRecordsInput>() {
            for record in input.records.iter_mut().flatten() {
                record.data = flipped(&record.data);
            }
        }
        Ok(())
    }

    fn modify_before_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Ok(output)) = context.output_or_error_mut() else {
            return Ok(());
        };
        if let Some(output) = output.downcast_mut::<GetRecordsOutput>() {
            for record in &mut output.records {
                record.data = flipped(&record.data);
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_interceptor_sees_the_records_that_are_put_and_those_that_are_read() {
    let (server, plain) = served(1).await;
    let config = server.kinesis_config().interceptor(Cipher).build();
    let stream = KinesisStream::<EncodedRecord>::with_client(Client::from_conf(config), STREAM);
    let key = PartitionKey::new("k").unwrap();
    let record = EncodedRecord::new(key, Bytes::from_static(b"secret"));
    let receipt = stream.put(&record).await.unwrap();
    let mut records = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip)
        .open()
        .await
        .unwrap();
    assert_eq!(records.next().await.unwrap().unwrap().data, record);
    let shard = receipt.shard_id.as_str();
    let start = iterator(
        &plain,
        shard,
        aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon,
        None,
    );
    let stored = page(&plain, start.await).await;
    assert_eq!(flipped(&stored.records[0].data).as_ref(), b"secret");
}
