//! One side of the comparison: a stream on a server, and calls whose answers can be compared.

use std::{collections::BTreeMap, fmt::Write as _};

use aws_sdk_kinesis::{
    Client,
    error::ProvideErrorMetadata,
    operation::get_records::GetRecordsOutput,
    primitives::Blob,
    types::{
        ChildShard, HashKeyRange, PutRecordsRequestEntry, Shard, ShardFilter, ShardFilterType,
        ShardIteratorType,
    },
};
use kinesis_pipeline_tests::wait_until_active;

use crate::call::{Call, Filter, Start};

pub(crate) const STREAM: &str = "compared";
/// The limit of pages of a read in these tests.
const PAGES_MAX: usize = 10_000;

/// A stream, and the records that were put to it.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) stream: String,
    compared: Compared,
    /// The number of shards with which the stream began.
    shards: usize,
    /// The shard and the sequence number of each record, in the order of the puts.
    stored: Vec<(String, String)>,
    /// The index of each of them in `stored`. Sequence numbers cannot be compared, as they differ between servers.
    numbers: BTreeMap<(String, String), usize>,
}

/// The optional parts of the answers that are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    /// Whether `MillisBehindLatest` is 0 after the last record.
    pub(crate) behind: bool,
    /// Whether the `ChildShards` of a closed shard's last page are compared.
    pub(crate) children: bool,
}

impl World {
    /// Makes a new stream of `shards` shards.
    pub(crate) async fn start(
        client: Client,
        stream: &str,
        shards: i32,
        compared: Compared,
    ) -> Self {
        let call = client
            .create_stream()
            .stream_name(stream)
            .shard_count(shards);
        call.send().await.expect("a new stream");
        wait_until_active(&client, stream).await;
        Self {
            client,
            stream: stream.to_owned(),
            compared,
            shards: usize::try_from(shards).expect("a count"),
            stored: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// Makes a call. Returns its answer without the parts that differ between correct servers.
    pub(crate) async fn answer(&mut self, call: &Call) -> String {
        match call {
            Call::Put {
                key,
                explicit_hash_key,
                data,
            } => self.put(key, *explicit_hash_key, data).await,
            Call::PutMany { keys } => self.put_many(keys).await,
            Call::Read {
                shard,
                start,
                limit,
            } => self.read(*shard, *start, *limit).await,
            Call::Split { key } => self.split(*key).await,
            Call::Merge {
                key,
                is_lower_first,
            } => self.merge(*key, *is_lower_first).await,
            Call::ListShards { filter } => shard_lines(&self.list(*filter).await),
            Call::Describe => self.describe().await,
        }
    }

    async fn put(&mut self, key: &str, explicit_hash_key: Option<u128>, data: &[u8]) -> String {
        let call = self
            .client
            .put_record()
            .stream_name(&self.stream)
            .partition_key(key);
        let call = call.set_explicit_hash_key(explicit_hash_key.map(|key| key.to_string()));
        match call.data(Blob::new(data)).send().await {
            Ok(answer) => self.note(answer.shard_id, answer.sequence_number),
            Err(error) => code_of(&error),
        }
    }

    async fn put_many(&mut self, keys: &[String]) -> String {
        let mut call = self.client.put_records().stream_name(&self.stream);
        for (index, key) in keys.iter().enumerate() {
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(key)
                .data(Blob::new(index.to_string()));
            call = call.records(entry.build().expect("key and data are set"));
        }
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => return code_of(&error),
        };
        let mut text = format!("{} failed", answer.failed_record_count.unwrap_or(0));
        for entry in answer.records {
            let place = entry.shard_id.zip(entry.sequence_number);
            let (shard, number) = place.expect("nothing refuses an entry");
            text += "\n";
            text += &self.note(shard, number);
        }
        text
    }

    /// Remembers a record's position. Checks that the sequence numbers of a shard increase.
    fn note(&mut self, shard: String, sequence_number: String) -> String {
        let is_later = |(of, before): &(String, String)| {
            *of != shard || (before.len(), before) < (sequence_number.len(), &sequence_number)
        };
        let order = if self.stored.iter().all(is_later) {
            "later"
        } else {
            "out of order"
        };
        let answer = format!("{shard} {order}");
        let place = (shard, sequence_number);
        self.numbers.insert(place.clone(), self.stored.len());
        self.stored.push(place);
        answer
    }

    async fn read(&self, shard: usize, start: Start, limit: i32) -> String {
        let (shard, kind, number) = self.starting_place(shard, start);
        let call = self
            .client
            .get_shard_iterator()
            .stream_name(&self.stream)
            .shard_id(&shard);
        let call = call
            .shard_iterator_type(kind)
            .set_starting_sequence_number(number);
        let mut iterator = match call.send().await {
            Ok(answer) => answer.shard_iterator,
            Err(error) => return code_of(&error),
        };
        let mut text = String::new();
        for _ in 0..PAGES_MAX {
            let Some(here) = iterator.take() else {
                return text + "end";
            };
            let page = match self
                .client
                .get_records()
                .shard_iterator(here)
                .limit(limit)
                .send()
                .await
            {
                Ok(page) => page,
                Err(error) => return text + &code_of(&error),
            };
            text += &self.page_text(&shard, &page, limit);
            if page.records.is_empty()
                && page.next_shard_iterator.is_some()
                && !self.is_closed(&shard).await
            {
                return text + "tip";
            }
            iterator = page.next_shard_iterator;
        }
        panic!("{shard} of {} has more than {PAGES_MAX} pages", self.stream);
    }

    /// Returns the start of a read. A read by number is of the shard that has the record with this number.
    fn starting_place(
        &self,
        shard: usize,
        start: Start,
    ) -> (String, ShardIteratorType, Option<String>) {
        let of_record = |number: usize| self.stored.get(number % self.stored.len().max(1)).cloned();
        let by_number = match start {
            Start::TrimHorizon => return (shard_id(shard), ShardIteratorType::TrimHorizon, None),
            Start::Latest => return (shard_id(shard), ShardIteratorType::Latest, None),
            Start::At(number) => {
                of_record(number).map(|place| (place, ShardIteratorType::AtSequenceNumber))
            }
            Start::After(number) => {
                of_record(number).map(|place| (place, ShardIteratorType::AfterSequenceNumber))
            }
        };
        match by_number {
            Some(((shard, number), kind)) => (shard, kind, Some(number)),
            None => (shard_id(shard), ShardIteratorType::TrimHorizon, None),
        }
    }

    /// Returns the records of a page and, if they are compared, the lag and the children. An empty page gives no text,
    /// as servers differ in their number.
    fn page_text(&self, shard: &str, page: &GetRecordsOutput, limit: i32) -> String {
        let mut text = String::new();
        for record in &page.records {
            let place = (shard.to_owned(), record.sequence_number.clone());
            let (number, key) = (self.numbers.get(&place), &record.partition_key);
            let _ = write!(text, "{number:?} {key:?} {:?}; ", record.data.as_ref());
        }
        if !page.records.is_empty() {
            // A full page may end at the tip or before it, so its lag is not compared.
            if self.compared.behind
                && i32::try_from(page.records.len()).is_ok_and(|count| count < limit)
            {
                let _ = write!(text, "behind {}", page.millis_behind_latest > Some(0));
            }
            text += "\n";
        }
        if self.compared.children && page.next_shard_iterator.is_none() {
            text += &child_lines(page.child_shards());
        }
        text
    }

    async fn is_closed(&self, shard: &str) -> bool {
        let shards = self.list(Filter::None).await;
        shards
            .iter()
            .any(|found| found.shard_id == shard && !is_open(found))
    }

    async fn split(&self, key: u128) -> String {
        let open = self.open_shards().await;
        let Some(shard) = open
            .iter()
            .find(|shard| range(shard.hash_key_range.as_ref()).1 >= key)
        else {
            return "no shard".to_owned();
        };
        let call = self
            .client
            .split_shard()
            .stream_name(&self.stream)
            .shard_to_split(&shard.shard_id);
        let answer = code(call.new_starting_hash_key(key.to_string()).send().await);
        wait_until_active(&self.client, &self.stream).await;
        answer
    }

    async fn merge(&self, key: u128, is_lower_first: bool) -> String {
        let open = self.open_shards().await;
        let lower = open
            .iter()
            .position(|shard| range(shard.hash_key_range.as_ref()).1 >= key);
        let Some([lower, upper]) = lower.and_then(|lower| open.get(lower..lower + 2)) else {
            return "no pair".to_owned();
        };
        let (first, second) = if is_lower_first {
            (lower, upper)
        } else {
            (upper, lower)
        };
        let call = self
            .client
            .merge_shards()
            .stream_name(&self.stream)
            .shard_to_merge(&first.shard_id);
        let answer = code(call.adjacent_shard_to_merge(&second.shard_id).send().await);
        wait_until_active(&self.client, &self.stream).await;
        answer
    }

    async fn open_shards(&self) -> Vec<Shard> {
        let mut open = self.list(Filter::None).await;
        open.retain(is_open);
        open.sort_by_key(|shard| range(shard.hash_key_range.as_ref()));
        open
    }

    pub(crate) async fn list(&self, filter: Filter) -> Vec<Shard> {
        let (kind, shard) = match filter {
            Filter::None => (None, None),
            Filter::AtLatest => (Some(ShardFilterType::AtLatest), None),
            Filter::FromTrimHorizon => (Some(ShardFilterType::FromTrimHorizon), None),
            Filter::AfterShard(index) => (
                Some(ShardFilterType::AfterShardId),
                Some(shard_id(index % self.shards)),
            ),
        };
        let filter = kind.map(|kind| {
            let filter = ShardFilter::builder().r#type(kind).set_shard_id(shard);
            filter.build().expect("the type is set")
        });
        let call = self
            .client
            .list_shards()
            .stream_name(&self.stream)
            .set_shard_filter(filter);
        call.send()
            .await
            .expect("a list")
            .shards
            .unwrap_or_default()
    }

    async fn describe(&self) -> String {
        let answer = self
            .client
            .describe_stream_summary()
            .stream_name(&self.stream)
            .send()
            .await;
        let Some(summary) = answer.expect("a description").stream_description_summary else {
            return "nothing".to_owned();
        };
        format!(
            "{} {} {} h, {} open, {} consumers",
            summary.stream_name,
            summary.stream_status,
            summary.retention_period_hours,
            summary.open_shard_count,
            summary.consumer_count.unwrap_or(0)
        )
    }
}

fn shard_id(index: usize) -> String {
    format!("shardId-{index:012}")
}

fn is_open(shard: &Shard) -> bool {
    let numbers = shard.sequence_number_range.as_ref();
    numbers.is_some_and(|numbers| numbers.ending_sequence_number.is_none())
}

/// Returns the first and the last hash key.
pub(crate) fn range(range: Option<&HashKeyRange>) -> (u128, u128) {
    let range = range.expect("a range");
    let key = |text: &str| text.parse().expect("a hash key");
    (key(&range.starting_hash_key), key(&range.ending_hash_key))
}

/// Returns the shards with their ranges, parents and state.
fn shard_lines(shards: &[Shard]) -> String {
    let mut text = String::new();
    for shard in shards {
        let (id, keys) = (&shard.shard_id, range(shard.hash_key_range.as_ref()));
        let parents = (shard.parent_shard_id(), shard.adjacent_parent_shard_id());
        let _ = writeln!(
            text,
            "{id} {keys:?} of {parents:?}, open {}",
            is_open(shard)
        );
    }
    text
}

fn child_lines(children: &[ChildShard]) -> String {
    let mut text = String::new();
    for child in children {
        let keys = range(child.hash_key_range.as_ref());
        let mut parents = child.parent_shards.clone();
        parents.sort();
        let _ = writeln!(text, "child {} {keys:?} of {parents:?}", child.shard_id);
    }
    text
}

/// The outcome of a call without an answer, or without an error code in it.
pub(crate) const NO_ANSWER: &str = "no answer";

/// Returns the error code of a call, or `taken` if it was accepted.
pub(crate) fn code<T, E: ProvideErrorMetadata>(answer: Result<T, E>) -> String {
    answer.map_or_else(|error| code_of(&error), |_| "taken".to_owned())
}

fn code_of(error: &impl ProvideErrorMetadata) -> String {
    error.code().unwrap_or(NO_ANSWER).to_owned()
}
