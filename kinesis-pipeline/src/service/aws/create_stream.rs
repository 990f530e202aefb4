use aws_sdk_kinesis::types::{StreamMode, StreamModeDetails};

use super::AwsKinesis;
use crate::service::{Capacity, CreateStream, ServiceError};

pub(super) async fn send(aws: &AwsKinesis, call: CreateStream) -> Result<(), ServiceError> {
    let request = aws.client.create_stream().stream_name(call.name);
    let request = match call.capacity {
        Capacity::Provisioned(shards) => request.shard_count(super::int(shards)),
        Capacity::OnDemand => request.stream_mode_details(on_demand()),
    };
    let answer = request.send().await;
    answer
        .map(drop)
        .map_err(|error| aws.failed("CreateStream", error))
}

fn on_demand() -> StreamModeDetails {
    StreamModeDetails::builder()
        .stream_mode(StreamMode::OnDemand)
        .build()
        .expect("the mode, the one required member, is set")
}
