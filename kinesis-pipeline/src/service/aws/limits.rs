//! The header by which an endpoint says that it enforces no limits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;

use crate::service::LIMITS_HEADER;

/// Reads the header of one call's answer.
#[derive(Debug)]
pub(super) struct ReadLimits(pub(super) Arc<AtomicBool>);

impl Intercept for ReadLimits {
    fn name(&self) -> &'static str {
        "kinesis-pipeline-limits"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (name, none) = LIMITS_HEADER;
        let limits = context.response().headers().get(name);
        self.0.store(limits == Some(none), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(all(test, feature = "local-server"))]
mod tests {
    use aws_sdk_kinesis::Client;

    use crate::{
        local::LocalKinesis,
        service::{Kinesis, ListShards, StreamId, aws::AwsKinesis},
    };

    #[tokio::test]
    async fn a_server_without_limits_is_known_by_its_list_of_shards() {
        for enforced in [true, false] {
            let local = LocalKinesis::builder().enforce_limits(enforced);
            let local = local.start().await.unwrap();
            local.stream::<bytes::Bytes>("s", 1).await.unwrap();
            let server = local.serve("127.0.0.1:0").await.unwrap();
            let config = server.kinesis_config().build();
            let aws = AwsKinesis::new(&Client::from_conf(config));
            assert!(aws.enforces_limits());
            let call = ListShards::new(StreamId::from("s"));
            aws.list_shards(call).await.unwrap();
            assert_eq!(aws.enforces_limits(), enforced);
        }
    }
}
