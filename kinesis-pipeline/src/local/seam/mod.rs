//! The embedded Kinesis behind the seam: the same operations as over HTTP, without text and without copies of
//! the records.

mod answer;
mod request;

use std::sync::Arc;

use futures_util::TryStreamExt;

use super::{
    LocalKinesis,
    api_error::{ApiError, CallFailure},
    core::Core,
    operations::{
        self, Operation, create_stream, delete_stream, deregister_stream_consumer,
        describe_stream_consumer, describe_stream_summary, get_records, get_shard_iterator,
        list_shards, list_streams, merge_shards, put_records, register_stream_consumer,
        split_shard, subscribe_to_shard, update_shard_count,
    },
};
use crate::service::{
    Consumer, CreateStream, DeleteStream, DeregisterStreamConsumer, DescribeStreamConsumer,
    DescribeStreamSummary, ErrorClass, GetRecords, GetShardIterator, Kinesis, ListShards,
    ListStreams, MergeShards, PutCheck, PutRecords, PutRecordsAnswer, RecordPage,
    RegisterStreamConsumer, ServiceError, ServiceFuture, ShardIterator, ShardPage, SplitShard,
    StreamPage, StreamSummary, SubscribeToShard, Subscription, UpdateShardCount,
};

const ENDPOINT: &str = "the embedded Kinesis";

/// Carries out one operation and turns its answer into the seam's.
fn carry_out<'a, O, T>(
    core: &'a Arc<Core>,
    request: O::Request,
    answer: impl FnOnce(O::Response) -> T + Send + 'a,
) -> ServiceFuture<'a, T>
where
    O: Operation + 'a,
{
    Box::pin(async move {
        let response = operations::call::<O>(core, request).await;
        response
            .map(answer)
            .map_err(|failure| service_error(O::NAME, failure))
    })
}

fn service_error(operation: &'static str, failure: CallFailure) -> ServiceError {
    match failure {
        CallFailure::Answered(error) => {
            ServiceError::answered(operation, ENDPOINT, error.code, error.message)
        }
        CallFailure::ResponseLost => {
            let message = "the connection closed before the answer came";
            let class = ErrorClass::Transient;
            let mut error = ServiceError::unanswered(operation, ENDPOINT, class, message);
            error.may_have_been_done = true;
            error
        }
    }
}

impl Kinesis for LocalKinesis {
    fn endpoint(&self) -> &str {
        ENDPOINT
    }

    fn enforces_limits(&self) -> bool {
        self.core.settings.enforce_limits
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        let request = request::put_records(&call);
        carry_out::<put_records::PutRecords, _>(&self.core, request, answer::put_records)
    }

    /// Allows every put to a stream that exists: the embedded Kinesis has no permissions.
    fn check_put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutCheck> {
        Box::pin(async move {
            let call = DescribeStreamSummary::new(call.stream);
            self.describe_stream_summary(call).await?;
            Ok(PutCheck::Allowed)
        })
    }

    fn get_shard_iterator(&self, call: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        let request = request::get_shard_iterator(call);
        carry_out::<get_shard_iterator::GetShardIterator, _>(&self.core, request, |response| {
            response.shard_iterator.into()
        })
    }

    fn get_records(&self, call: GetRecords) -> ServiceFuture<'_, RecordPage> {
        let request = request::get_records(call);
        carry_out::<get_records::GetRecords, _>(&self.core, request, answer::get_records)
    }

    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage> {
        let request = request::list_shards(call);
        carry_out::<list_shards::ListShards, _>(&self.core, request, answer::list_shards)
    }

    fn list_streams(&self, call: ListStreams) -> ServiceFuture<'_, StreamPage> {
        let request = request::list_streams(call);
        carry_out::<list_streams::ListStreams, _>(&self.core, request, answer::list_streams)
    }

    fn describe_stream_summary(
        &self,
        call: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        let request = request::describe_stream_summary(&call);
        carry_out::<describe_stream_summary::DescribeStreamSummary, _>(
            &self.core,
            request,
            answer::describe_stream_summary,
        )
    }

    fn create_stream(&self, call: CreateStream) -> ServiceFuture<'_, ()> {
        let request = request::create_stream(call);
        carry_out::<create_stream::CreateStream, _>(&self.core, request, |_| ())
    }

    fn delete_stream(&self, call: DeleteStream) -> ServiceFuture<'_, ()> {
        let request = request::delete_stream(&call);
        carry_out::<delete_stream::DeleteStream, _>(&self.core, request, |_| ())
    }

    fn split_shard(&self, call: SplitShard) -> ServiceFuture<'_, ()> {
        let request = request::split_shard(&call);
        carry_out::<split_shard::SplitShard, _>(&self.core, request, |_| ())
    }

    fn merge_shards(&self, call: MergeShards) -> ServiceFuture<'_, ()> {
        let request = request::merge_shards(&call);
        carry_out::<merge_shards::MergeShards, _>(&self.core, request, |_| ())
    }

    fn update_shard_count(&self, call: UpdateShardCount) -> ServiceFuture<'_, ()> {
        let request = request::update_shard_count(&call);
        carry_out::<update_shard_count::UpdateShardCount, _>(&self.core, request, |_| ())
    }

    fn register_stream_consumer(
        &self,
        call: RegisterStreamConsumer,
    ) -> ServiceFuture<'_, Consumer> {
        let request = request::register_stream_consumer(call);
        carry_out::<register_stream_consumer::RegisterStreamConsumer, _>(
            &self.core,
            request,
            |response| answer::consumer(response.consumer),
        )
    }

    fn describe_stream_consumer(
        &self,
        call: DescribeStreamConsumer,
    ) -> ServiceFuture<'_, Consumer> {
        let request = request::describe_stream_consumer(call);
        carry_out::<describe_stream_consumer::DescribeStreamConsumer, _>(
            &self.core,
            request,
            |response| answer::consumer(response.consumer_description),
        )
    }

    fn deregister_stream_consumer(&self, call: DeregisterStreamConsumer) -> ServiceFuture<'_, ()> {
        let request = request::deregister_stream_consumer(call);
        carry_out::<deregister_stream_consumer::DeregisterStreamConsumer, _>(
            &self.core,
            request,
            |_| (),
        )
    }

    fn subscribe_to_shard(&self, call: SubscribeToShard) -> ServiceFuture<'_, Subscription> {
        Box::pin(async move {
            let request = request::subscribe_to_shard(call);
            let opened = subscribe_to_shard::open(&self.core, request).await;
            let events =
                opened.map_err(|failure| service_error(subscribe_to_shard::NAME, failure))?;
            let failed = |error: ApiError| service_error(subscribe_to_shard::NAME, error.into());
            Ok(Subscription::new(
                events.map_ok(answer::event).map_err(failed),
            ))
        })
    }
}
