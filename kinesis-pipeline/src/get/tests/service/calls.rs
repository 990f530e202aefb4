//! The calls of the service.

use super::*;

impl Kinesis for TestKinesis {
    fn endpoint(&self) -> &'static str {
        "the test Kinesis"
    }

    fn get_shard_iterator(&self, call: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        Box::pin(async move {
            let not_found = || {
                ServiceError::answered("GetShardIterator", "test", "ResourceNotFoundException", "")
            };
            let shard = self
                .state()
                .number_of(&call.shard_id)
                .ok_or_else(not_found)?;
            let start = Some(call.start.clone());
            self.enter(MadeCall {
                start,
                ..self.made("GetShardIterator", shard)
            })
            .await?;
            let mut state = self.state();
            let now = self.clock.now();
            if shard >= state.shards.len() || state.shards[shard].is_forgotten {
                return Err(not_found());
            }
            let index = state.index_of(shard, &call.start, now).ok_or_else(|| {
                ServiceError::answered("GetShardIterator", "test", "InvalidArgumentException", "")
            })?;
            Ok(state.iterator(Place {
                shard,
                index,
                made_at: self.clock.instant(),
            }))
        })
    }

    fn get_records(&self, call: GetRecords) -> ServiceFuture<'_, RecordPage> {
        Box::pin(async move {
            let number: usize = call.iterator.as_str().parse().expect("our own iterator");
            let place = self.state().iterators[number];
            let is_there = |shard: &TestShard| !shard.is_forgotten;
            if !self.state().shards.get(place.shard).is_some_and(is_there) {
                return Err(ServiceError::answered(
                    "GetRecords",
                    "test",
                    "ResourceNotFoundException",
                    "",
                ));
            }
            let limit = call.limit;
            self.enter(MadeCall {
                limit,
                ..self.made("GetRecords", place.shard)
            })
            .await?;
            let now = self.clock.instant();
            if now - place.made_at >= ITERATOR_LIFE {
                return Err(ServiceError::answered(
                    "GetRecords",
                    "test",
                    "ExpiredIteratorException",
                    "",
                ));
            }
            let limit = call.limit.unwrap_or(10_000) as usize;
            Ok(self.state().page(place, limit, self.clock.now(), now))
        })
    }

    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage> {
        Box::pin(async move {
            self.enter(self.made("ListShards", 0)).await?;
            let mut state = self.state();
            if let Some(shards) = state.listings.pop_front() {
                let next_token = None;
                return Ok(ShardPage { shards, next_token });
            }
            let from: usize = call.next_token.map_or(0, |token| token.parse().unwrap());
            let most = state.list_page_max.unwrap_or(1000);
            let shards: Vec<_> = state
                .shards
                .iter()
                .filter(|shard| !shard.is_forgotten)
                .skip(from)
                .take(most)
                .map(|shard| shard.shard.clone())
                .collect();
            let next = if state.repeats_list_token {
                0
            } else {
                from + shards.len()
            };
            let retained = state.shards.iter().filter(|shard| !shard.is_forgotten);
            let next_token = (from + shards.len() < retained.count()).then(|| next.to_string());
            Ok(ShardPage { shards, next_token })
        })
    }

    fn put_records(&self, _: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        unimplemented!("readers do not put")
    }

    fn list_streams(&self, _: ListStreams) -> ServiceFuture<'_, StreamPage> {
        unimplemented!("readers do not list streams")
    }

    fn describe_stream_summary(
        &self,
        _: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        Box::pin(async move {
            self.enter(self.made("DescribeStreamSummary", 0)).await?;
            let created_at = self.state().created_at.unwrap_or(BASE);
            let mut summary = StreamSummary::new("test", "arn", created_at);
            if let Some(retention) = self.state().retention {
                summary.retention = retention;
            }
            Ok(summary)
        })
    }

    fn create_stream(&self, _: CreateStream) -> ServiceFuture<'_, ()> {
        unimplemented!("readers do not create streams")
    }

    fn delete_stream(&self, _: DeleteStream) -> ServiceFuture<'_, ()> {
        unimplemented!("readers do not delete streams")
    }

    fn split_shard(&self, _: SplitShard) -> ServiceFuture<'_, ()> {
        unimplemented!("tests split by `split`")
    }

    fn merge_shards(&self, _: MergeShards) -> ServiceFuture<'_, ()> {
        unimplemented!("tests merge by `merge`")
    }
}
