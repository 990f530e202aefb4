use std::time::Duration;

use aws_sdk_kinesis::types::{self, StreamDescriptionSummary, StreamMode};

use super::{AwsKinesis, get_records, time};
use crate::service::{
    DescribeStreamSummary, EncryptionType, ServiceError, StreamStatus, StreamSummary,
};

const OPERATION: &str = "DescribeStreamSummary";
const RECORD_KIB_DEFAULT: i32 = 1024;

pub(super) async fn send(
    aws: &AwsKinesis,
    call: DescribeStreamSummary,
) -> Result<StreamSummary, ServiceError> {
    let output = aws
        .client
        .describe_stream_summary()
        .set_stream_name(call.stream.name_parameter())
        .set_stream_arn(call.stream.arn_parameter())
        .send()
        .await
        .map_err(|error| aws.failed(OPERATION, error))?;
    output
        .stream_description_summary
        .map(summary)
        .ok_or_else(|| aws.malformed(OPERATION, "the description is missing"))
}

fn summary(from: StreamDescriptionSummary) -> StreamSummary {
    let mode = from.stream_mode_details.map(|details| details.stream_mode);
    let encryption = from.encryption_type.as_ref();
    let record_kib = from.max_record_size_in_kib.unwrap_or(RECORD_KIB_DEFAULT);
    StreamSummary {
        name: from.stream_name,
        arn: from.stream_arn,
        status: status(&from.stream_status),
        is_on_demand: mode == Some(StreamMode::OnDemand),
        retention: Duration::from_hours(u64::try_from(from.retention_period_hours).unwrap_or(0)),
        open_shard_count: count(from.open_shard_count),
        created_at: time::from_sdk(from.stream_creation_timestamp),
        encryption_type: encryption
            .and_then(get_records::encryption)
            .unwrap_or(EncryptionType::None),
        record_bytes_max: usize::try_from(record_kib).unwrap_or(0) * 1024,
        consumer_count: count(from.consumer_count.unwrap_or(0)),
    }
}

/// Converts a status. An unknown one is that of a stream that is being changed.
fn status(from: &types::StreamStatus) -> StreamStatus {
    match from {
        types::StreamStatus::Creating => StreamStatus::Creating,
        types::StreamStatus::Active => StreamStatus::Active,
        types::StreamStatus::Deleting => StreamStatus::Deleting,
        _ => StreamStatus::Updating,
    }
}

fn count(from: i32) -> u32 {
    u32::try_from(from).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        service::{Kinesis, StreamId, aws::stub::Stub},
    };

    #[tokio::test]
    async fn a_summary_has_the_units_of_its_names() {
        let stub = Stub::answering(
            200,
            r#"{"StreamDescriptionSummary":{"StreamName":"s","StreamARN":"arn:aws:kinesis:x:0:stream/s",
              "StreamStatus":"ACTIVE","StreamModeDetails":{"StreamMode":"ON_DEMAND"},
              "RetentionPeriodHours":48,"StreamCreationTimestamp":1433969276.172,"EnhancedMonitoring":[],
              "EncryptionType":"KMS","OpenShardCount":4,"ConsumerCount":2,"MaxRecordSizeInKiB":10240}}"#,
        )
        .await;
        let call = DescribeStreamSummary::new(StreamId::from("s"));
        let summary = stub.aws().describe_stream_summary(call).await.unwrap();
        assert_eq!(summary.status, StreamStatus::Active);
        assert!(summary.is_on_demand);
        assert_eq!(summary.retention, Duration::from_hours(48));
        assert_eq!(clock::epoch_millis(summary.created_at), 1_433_969_276_172);
        assert_eq!(summary.record_bytes_max, 10 * 1024 * 1024);
        assert_eq!((summary.open_shard_count, summary.consumer_count), (4, 2));
        assert_eq!(summary.encryption_type, EncryptionType::Kms);
    }
}
