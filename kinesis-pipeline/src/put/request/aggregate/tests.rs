use std::sync::Arc;

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::{
    PartitionKey,
    put::{
        admission::shared::Shared,
        error::PutError,
        pending::{
            flush::FlushGroups,
            receipt::{PendingReceipt, Receipts},
            slab::RecordSlab,
        },
        tests::shared,
    },
};

fn accepted(record: EncodedRecord, shared: &Arc<Shared>) -> (PendingRecord, PendingReceipt) {
    let (waiter, pending) = Receipts::new("s".into()).pair();
    let charge = shared.budget.try_acquire(record.size_bytes()).unwrap();
    let entered_at = shared.target.clock.instant();
    let mut completion = Completion::new(entered_at, record.explicit_hash_key, waiter, charge);
    completion.join(&FlushGroups::new(Arc::clone(shared)).current());
    (PendingRecord { record, completion }, pending)
}

fn record(key: &str, data: Vec<u8>, hash_key: Option<u128>) -> EncodedRecord {
    let mut record = EncodedRecord::new(PartitionKey::stored(key), data.into());
    record.explicit_hash_key = hash_key.map(HashKey::new);
    record
}

/// Returns a builder of these records, and the receipts.
fn aggregated(records: &[EncodedRecord]) -> (AggregateBuilder, Vec<PendingReceipt>) {
    let shared = shared();
    let users = records.iter().map(|it| accepted(it.clone(), &shared));
    let (users, receipts): (Vec<_>, Vec<_>) = users.unzip();
    let mut users = users.into_iter();
    let mut first = users.next().unwrap();
    let mut builder = AggregateBuilder::new((&first.record).into(), &mut first.completion);
    for mut user in users {
        assert!(builder.push((&user.record).into(), &mut user.completion, usize::MAX));
    }
    (builder, receipts)
}

proptest! {
    #[test]
    fn what_was_aggregated_is_split_again_before_and_after_it_was_sent(
        records in prop::collection::vec(
            ("[a-c]{1,30}", any::<Vec<u8>>(), any::<Option<u128>>()), 1..40),
        is_sent in any::<bool>(),
    ) {
        let records: Vec<_> = records.into_iter().map(|(key, data, hash_key)| record(&key, data, hash_key)).collect();
        let (mut builder, receipts) = aggregated(&records);
        if is_sent {
            let mut drafts = Drafts::default();
            let bytes = builder.sent(&mut drafts);
            let sent = drafts.finish().remove(0);
            prop_assert_eq!(sent.size_bytes(), bytes);
            prop_assert!(bytes <= builder.bytes());
            builder.returned(sent);
        }
        let users = builder.into_records();
        prop_assert_eq!(receipts.len(), users.len());
        for (user, record) in users.iter().zip(&records) {
            prop_assert_eq!(&user.record, record);
            prop_assert_eq!(user.completion.attempts, u32::from(is_sent));
        }
    }
}

#[test]
fn a_record_that_opens_an_aggregate_or_waits_does_not_keep_the_memory_of_others() {
    let mut arena = Bytes::from(vec![7; 100]);
    let mut slice = || EncodedRecord::new(PartitionKey::known("key"), arena.split_to(10));
    let (opening, waiting) = (slice(), slice());
    let (mut user, _receipt) = accepted(opening, &shared());
    let builder = AggregateBuilder::new((&user.record).into(), &mut user.completion);
    drop(user.record);
    let mut records = RecordSlab::default();
    let key = records.hold(accepted(waiting, &shared()).0);
    assert!(arena.is_unique());
    assert_eq!(
        (builder.len(), &records[&key].record.data[..]),
        (1, &[7; 10][..])
    );
    drop(records.take(key));
}

#[test]
fn a_record_that_does_not_fit_keeps_its_completion() {
    let record = record("key", vec![0; 100], None);
    let (mut builder, _receipts) = aggregated(&[record.clone(), record.clone()]);
    let (mut user, mut receipt) = accepted(record.clone(), &shared());
    let bytes_max = builder.bytes() + aggregate::record_bytes_max(&record) - 1;
    assert!(!builder.push((&record).into(), &mut user.completion, bytes_max));
    assert!(builder.push((&record).into(), &mut user.completion, bytes_max + 1));
    drop(user);
    assert_eq!(builder.len(), 3);
    assert!((&mut receipt).now_or_never().is_none());
    drop(builder);
    assert!(receipt.now_or_never().is_some());
}

#[tokio::test]
async fn records_that_were_on_their_way_when_their_request_was_dropped_may_have_been_stored() {
    for is_sent in [false, true] {
        let record = record("key", Vec::new(), None);
        let (mut builder, receipts) = aggregated(&[record.clone(), record]);
        let mut drafts = Drafts::default();
        if is_sent {
            builder.sent(&mut drafts);
        }
        drop((builder, drafts));
        for receipt in receipts {
            let error = receipt.await.unwrap_err();
            assert!(matches!(error, PutError::Gone { .. }));
            assert_eq!(error.may_have_been_stored(), is_sent);
        }
    }
}
