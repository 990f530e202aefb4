//! `PutRecords`. Records are written to the request, and results read from the answer, without the SDK's types:
//! [`direct`](super::direct) has the reason.

mod answer;
pub(super) mod bodies;
mod cbor;
mod json;

use std::sync::Arc;

use aws_sdk_kinesis::{
    error::{ErrorMetadata, SdkError},
    primitives::Blob,
    types::{PutRecordsRequestEntry, PutRecordsResultEntry},
};
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;

use super::{
    AwsKinesis,
    dialect::Form,
    direct::{Direct, Failure, Reached, Read, ReadCbor},
    prepared::{PreparedCall, Recorder, Sent, Way},
};
use crate::{
    record::EncodedRecord,
    service::{
        EntryFailure, ErrorClass, PutRecords, PutRecordsAnswer, ServiceError, StoredAt, StreamId,
    },
    shard::{SequenceNumber, ShardId},
};

const OPERATION: &str = "PutRecords";

type Entry = Result<StoredAt, EntryFailure>;

/// The results that an answer holds.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The results of the records that the answer tells about.
    told: Vec<Entry>,
    /// The number of records of the answer with neither a place nor an error.
    untold: usize,
}

impl Entries {
    /// Reserves memory for the results that a body of `bytes` bytes can hold.
    fn of_bytes(bytes: usize) -> Self {
        /// The approximate size of one record's result.
        const ENTRY_BYTES: usize = 100;
        Self {
            told: Vec::with_capacity(bytes / ENTRY_BYTES + 1),
            untold: 0,
        }
    }

    fn push(&mut self, entry: Option<Entry>) {
        match entry {
            Some(entry) => self.told.push(entry),
            None => self.untold += 1,
        }
    }

    fn clear(&mut self) {
        self.told.clear();
        self.untold = 0;
    }

    fn len(&self) -> usize {
        self.told.len() + self.untold
    }
}

const READ: Read<Entries> = Read {
    json: json::answer,
    cbor: ReadCbor::Whole(cbor::answer),
};

pub(super) async fn send(
    aws: &AwsKinesis,
    call: PutRecords,
) -> Result<PutRecordsAnswer, ServiceError> {
    let sent = call.records.len();
    let entries = match aws.dialect.form() {
        Form::Typed => send_typed(aws, call).await?,
        form => send_direct(aws, call, form).await?,
    };
    if entries.len() != sent {
        let what = format!("{} results for {sent} records", entries.len());
        return Err(aws.malformed(OPERATION, &what));
    }
    if entries.untold > 0 {
        return Err(aws.malformed(OPERATION, "a record has neither a place nor an error"));
    }
    Ok(PutRecordsAnswer::new(entries.told))
}

async fn send_direct(
    aws: &AwsKinesis,
    call: PutRecords,
    form: Form,
) -> Result<Entries, ServiceError> {
    let mut reached = send_in(aws, &call, form).await?;
    if matches!(reached, Reached::Refused) {
        reached = send_in(aws, &call, Form::Json).await?;
    }
    match reached {
        Reached::Answer(entries) => Ok(entries),
        Reached::OtherProtocol => {
            aws.dialect.is_other_protocol();
            send_typed(aws, call).await
        }
        Reached::Nothing | Reached::Refused => Err(aws.malformed(OPERATION, "it was not read")),
    }
}

async fn send_in(
    aws: &AwsKinesis,
    call: &PutRecords,
    form: Form,
) -> Result<Reached<Entries>, ServiceError> {
    let empty = |bytes| aws.bodies.take(bytes);
    let body = match form {
        Form::Cbor => cbor::body(call, empty),
        Form::Json | Form::Typed => json::body(call, empty),
    };
    let reached = send_body(aws, &call.stream, form, &body).await;
    aws.bodies.give_back(body);
    reached
}

pub(super) async fn send_body(
    aws: &AwsKinesis,
    stream: &StreamId,
    form: Form,
    body: &Bytes,
) -> Result<Reached<Entries>, ServiceError> {
    let mut way = aws.prepared.way(stream, form);
    if let Way::Prepared(call) = &way {
        let reached = send_prepared(aws, stream, (form, body), call).await;
        // Nothing was stored, and the SDK may know better, for instance the time.
        if !reached.as_ref().is_err_and(is_denied) {
            return reached;
        }
        way = aws.prepared.way(stream, form);
    }
    let recording = match way {
        Way::Sdk(recording) => recording,
        Way::Prepared(_) => None,
    };
    let recorder = recording.as_ref().map(|it| it.recorder.clone());
    let reached = send_by_sdk(aws, stream, (form, body), recorder).await;
    if is_composed_well(&reached) {
        if let (Ok(_), Some(recording)) = (&reached, &recording) {
            aws.prepared.prepare(stream, recording, body);
        }
    } else {
        aws.prepared.forget(stream, None);
    }
    reached
}

async fn send_prepared(
    aws: &AwsKinesis,
    stream: &StreamId,
    (form, body): (Form, &Bytes),
    call: &Arc<PreparedCall>,
) -> Result<Reached<Entries>, ServiceError> {
    let sent = call.send(body).await;
    let reached = read_answer(aws, form, call, sent);
    if !is_composed_well(&reached) {
        aws.prepared.forget(stream, Some(call));
    }
    reached
}

/// Whether the service has understood the call, though it may have refused it for a limit.
fn is_composed_well(reached: &Result<Reached<Entries>, ServiceError>) -> bool {
    match reached {
        Ok(reached) => matches!(reached, Reached::Answer(_)),
        Err(error) => matches!(
            error.class,
            ErrorClass::Throttled | ErrorClass::LimitExceeded
        ),
    }
}

/// Whether the service has answered that the call is not permitted.
fn is_denied(error: &ServiceError) -> bool {
    error.class == ErrorClass::AccessDenied && error.code.is_some()
}

pub(super) async fn send_by_sdk(
    aws: &AwsKinesis,
    stream: &StreamId,
    (form, body): (Form, &Bytes),
    recorder: Option<Recorder>,
) -> Result<Reached<Entries>, ServiceError> {
    let (direct, answer) = Direct::new(&aws.dialect, (form, Some(body.clone())), &READ);
    let sent = aws
        .client
        .put_records()
        .set_stream_name(stream.name_parameter())
        .set_stream_arn(stream.arn_parameter())
        // The body has the records: none of them goes through the SDK's types.
        .set_records(Some(Vec::new()))
        .customize()
        .interceptor(direct.recorded_by(recorder))
        .send()
        .await;
    let reached = answer.reached();
    if !reached.has_another_way() {
        sent.map_err(|error| aws.failed(OPERATION, error))?;
    }
    Ok(reached)
}

/// Reads the answer to a prepared call, with the same results and errors as through the SDK.
#[expect(clippy::result_large_err, reason = "what the seam returns")]
fn read_answer(
    aws: &AwsKinesis,
    form: Form,
    call: &PreparedCall,
    sent: Sent,
) -> Result<Reached<Entries>, ServiceError> {
    let answer = sent.map_err(|error| aws.failed(OPERATION, error))?;
    let body = answer.body().bytes().unwrap_or_default();
    if answer.status().is_success() {
        let entries = READ.whole(&aws.dialect, body);
        let entries = entries.map_err(|error| {
            aws.failed::<ErrorMetadata>(OPERATION, SdkError::response_error(error, answer))
        });
        return entries.map(Reached::Answer);
    }
    let how = (&*aws.dialect, form);
    let failure = Failure::read(call.protocol(), how, &answer, &ConfigBag::base());
    if failure.is_refused {
        return Ok(Reached::Refused);
    }
    // An answer that the SDK cannot read has no code, and is told by its status.
    let metadata = failure.metadata.unwrap_or_default();
    Err(aws.failed(OPERATION, SdkError::service_error(metadata, answer)))
}

/// Makes the call through the SDK's types: for a client whose interceptors read records, or whose protocol is not the
/// service's JSON.
async fn send_typed(aws: &AwsKinesis, call: PutRecords) -> Result<Entries, ServiceError> {
    let entries = call.records.iter().map(typed_entry).collect();
    let output = aws
        .client
        .put_records()
        .set_stream_name(call.stream.name_parameter())
        .set_stream_arn(call.stream.arn_parameter())
        .set_records(Some(entries))
        .send()
        .await
        .map_err(|error| aws.failed(OPERATION, error))?;
    let mut entries = Entries::default();
    for entry in output.records {
        entries.push(typed_result(entry));
    }
    Ok(entries)
}

/// Converts a record. Its data is shared, not copied: the caller keeps the record for a retry.
fn typed_entry(record: &EncodedRecord) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .data(Blob::from_maybe_shared(record.data.clone()))
        .partition_key(record.partition_key.as_str())
        .set_explicit_hash_key(record.explicit_hash_key.map(|key| key.to_string()))
        .build()
        .expect("data, the one required member, is set")
}

fn typed_result(entry: PutRecordsResultEntry) -> Option<Entry> {
    if let Some(code) = entry.error_code {
        let message = entry.error_message.unwrap_or_default();
        return Some(Err(EntryFailure::new(code, message)));
    }
    let sequence_number = SequenceNumber::try_from(entry.sequence_number?).ok()?;
    Some(Ok(StoredAt::new(
        ShardId::from(entry.shard_id?),
        sequence_number,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PartitionKey,
        service::{Kinesis, aws::stub::Stub},
    };

    fn record(key: &str, data: &'static str) -> EncodedRecord {
        EncodedRecord::new(PartitionKey::new(key).unwrap(), Bytes::from(data))
    }

    #[tokio::test]
    async fn each_record_has_its_own_result() {
        let stub = Stub::answering(
            200,
            r#"{"FailedRecordCount":1,"Records":[
                {"ShardId":"shardId-000000000000","SequenceNumber":"49551479315998225"},
                {"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"slow"}]}"#,
        )
        .await;
        let mut second = record("k2", "two");
        second.explicit_hash_key = Some(7.into());
        let call = PutRecords::new(StreamId::from("s"), vec![record("k1", "one"), second]);
        let answer = stub.aws().put_records(call).await.unwrap();
        let stored = answer.results[0].as_ref().unwrap();
        assert_eq!(stored.sequence_number.as_str(), "49551479315998225");
        let failure = answer.results[1].as_ref().unwrap_err();
        assert_eq!(failure.class, ErrorClass::Throttled);
        let request = stub.request().await;
        assert_eq!(request["StreamName"], "s");
        assert_eq!(request["Records"][0]["Data"], "b25l");
        assert_eq!(request["Records"][1]["PartitionKey"], "k2");
        assert_eq!(request["Records"][1]["ExplicitHashKey"], "7");
    }

    #[tokio::test]
    async fn an_answer_with_a_result_missing_may_have_stored_the_records() {
        for body in [
            r#"{"FailedRecordCount":0,"Records":[]}"#,
            r#"{"FailedRecordCount":0,"Records":[{"ShardId":"shardId-000000000000"}]}"#,
        ] {
            let stub = Stub::answering(200, body).await;
            let call = PutRecords::new(StreamId::from("s"), vec![record("k", "v")]);
            let error = stub.aws().put_records(call).await.unwrap_err();
            assert!(error.may_have_been_done, "{error}");
            assert_eq!(error.class, ErrorClass::Other);
        }
    }
}
