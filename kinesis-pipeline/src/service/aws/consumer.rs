use aws_sdk_kinesis::types;

use super::time;
use crate::service::{Consumer, ConsumerStatus};

pub(super) fn consumer(from: types::Consumer) -> Consumer {
    Consumer {
        name: from.consumer_name,
        arn: from.consumer_arn,
        status: status(&from.consumer_status),
        created_at: time::from_sdk(from.consumer_creation_timestamp),
    }
}

pub(super) fn description(from: types::ConsumerDescription) -> Consumer {
    Consumer {
        name: from.consumer_name,
        arn: from.consumer_arn,
        status: status(&from.consumer_status),
        created_at: time::from_sdk(from.consumer_creation_timestamp),
    }
}

/// Converts a status. An unknown one is that of a consumer that cannot subscribe yet.
fn status(from: &types::ConsumerStatus) -> ConsumerStatus {
    match from {
        types::ConsumerStatus::Active => ConsumerStatus::Active,
        types::ConsumerStatus::Deleting => ConsumerStatus::Deleting,
        _ => ConsumerStatus::Creating,
    }
}
