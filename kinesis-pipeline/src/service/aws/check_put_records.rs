//! `PutRecords` with `DryRun`: the service checks permission and input, stores nothing, and answers with an error code
//! of its own.

use aws_sdk_kinesis::{primitives::Blob, types::PutRecordsRequestEntry};

use super::AwsKinesis;
use crate::service::{PutCheck, PutRecords, ServiceError};

const OPERATION: &str = "PutRecords";

/// The error code that means that the put would be allowed.
const ALLOWED: &str = "DryRunOperationException";

/// The domains of the service itself. Other hosts are not asked: a server that does not know `DryRun` ignores it and
/// stores the records.
const HOSTS: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];

pub(super) async fn send(aws: &AwsKinesis, call: PutRecords) -> Result<PutCheck, ServiceError> {
    if is_known(&aws.endpoint) {
        ask(aws, call).await
    } else {
        Ok(PutCheck::Unknown)
    }
}

fn is_known(endpoint: &str) -> bool {
    let host = endpoint.split("://").last().unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    HOSTS.iter().any(|known| host.ends_with(known))
}

async fn ask(aws: &AwsKinesis, call: PutRecords) -> Result<PutCheck, ServiceError> {
    let entries = call.records.iter().filter_map(|record| {
        let entry = PutRecordsRequestEntry::builder()
            .data(Blob::new(record.data.clone()))
            .partition_key(record.partition_key.as_str());
        // All mandatory fields are set.
        entry.build().ok()
    });
    let sent = aws
        .client
        .put_records()
        .set_stream_name(call.stream.name_parameter())
        .set_stream_arn(call.stream.arn_parameter())
        .set_records(Some(entries.collect()))
        .dry_run(true)
        .send()
        .await;
    let Err(error) = sent else {
        return Ok(PutCheck::Unknown);
    };
    let error = aws.failed(OPERATION, error);
    match error.code.as_deref() {
        Some(ALLOWED) => Ok(PutCheck::Allowed),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        record::{EncodedRecord, PartitionKey},
        service::{ErrorClass, StreamId, aws::stub::Stub},
    };

    async fn asked(status: u16, body: &'static str) -> Result<PutCheck, ServiceError> {
        let stub = Stub::answering(status, body).await;
        let key = PartitionKey::new("k").unwrap();
        let record = EncodedRecord::new(key, Bytes::from("one"));
        let call = PutRecords::new(StreamId::from("s"), vec![record]);
        let check = ask(&stub.aws(), call).await;
        let request = stub.request().await;
        assert_eq!(request["DryRun"], true);
        check
    }

    #[tokio::test]
    async fn the_error_of_a_dry_run_is_a_yes_and_all_others_are_themselves() {
        let yes = asked(
            400,
            r#"{"__type":"DryRunOperationException","message":"ok"}"#,
        )
        .await;
        assert_eq!(yes.unwrap(), PutCheck::Allowed);
        let no = asked(400, r#"{"__type":"AccessDeniedException","message":"no"}"#).await;
        assert_eq!(no.unwrap_err().class, ErrorClass::AccessDenied);
        let none = asked(
            400,
            r#"{"__type":"ResourceNotFoundException","message":"no"}"#,
        )
        .await;
        assert_eq!(none.unwrap_err().class, ErrorClass::NotFound);
    }

    #[test]
    fn only_the_service_itself_is_asked() {
        assert!(is_known("https://kinesis.eu-west-1.amazonaws.com"));
        assert!(is_known(
            "https://123-aa.control-kinesis.eu-west-1.api.aws/"
        ));
        assert!(!is_known("http://127.0.0.1:4567"));
        assert!(!is_known("https://amazonaws.com.example.org"));
        assert!(!is_known(
            "https://localhost.localstack.cloud:4566/.amazonaws.com"
        ));
    }
}
