use proptest::prelude::*;

use super::*;
use crate::PartitionKey;

fn key(text: &str) -> PartitionKey {
    PartitionKey::new(text).unwrap()
}

/// Makes a Kinesis record with this number of user records; a plain one for 0.
fn stored(number: u128, users: usize) -> StoredRecord {
    let mut writer = aggregate::Writer::new();
    for user in 0..users {
        writer.push(&EncodedRecord::new(
            key("k"),
            Bytes::from(format!("{number}.{user}")),
        ));
    }
    let data = if users == 0 {
        Bytes::from(format!("{number}.0"))
    } else {
        writer.finish()
    };
    StoredRecord::new(number.into(), SystemTime::UNIX_EPOCH, data, key("a"))
}

fn split(sizes: &[usize], finished: Option<Finished>) -> Vec<UserRecord> {
    let records = (1..)
        .zip(sizes)
        .map(|(number, users)| stored(number, *users))
        .collect();
    UserRecords::new("s".into(), records, finished, false).collect()
}

proptest! {
    #[test]
    fn raw_records_and_aggregates_come_out_in_order_with_their_positions(
        sizes in prop::collection::vec(0_usize..5, 0..10),
    ) {
        let all = split(&sizes, None);
        prop_assert_eq!(all.len(), sizes.iter().map(|users| (*users).max(1)).sum::<usize>());
        prop_assert!(all.is_sorted_by(|a, b| a.position < b.position));
        for record in &all {
            let Position { sequence_number, sub_sequence_number, .. } = &record.position;
            let text = format!("{sequence_number}.{sub_sequence_number}");
            prop_assert_eq!(&record.encoded.data, text.as_bytes());
        }
        prop_assert_eq!(all.iter().filter(|record| record.is_last).count(), sizes.len());
    }

    #[test]
    fn going_on_inside_an_aggregate_gives_the_rest_of_it_only(
        sizes in prop::collection::vec(0_usize..5, 1..10),
        after in any::<prop::sample::Index>(),
    ) {
        let all = split(&sizes, None);
        let index = after.index(all.len());
        let Position { sequence_number, sub_sequence_number, .. } = all[index].position.clone();
        // The page of an iterator at that number begins with that Kinesis record.
        let skipped = all.iter().filter(|record| {
            record.is_last && record.position.sequence_number < sequence_number
        }).count();
        let records = (1..).zip(&sizes).skip(skipped).map(|(number, users)| stored(number, *users)).collect();
        let finished = Some(Finished { sequence_number, sub_sequence_number });
        let mut records = UserRecords::new("s".into(), records, finished, false);
        let mut rest = Vec::new();
        while let Some(record) = records.next() {
            rest.push(record.position);
            prop_assert_eq!(records.given(), rest.len() as u64);
        }
        prop_assert_eq!(records.given(), rest.len() as u64);
        let expected: Vec<_> = all[index + 1..].iter().map(|record| record.position.clone()).collect();
        prop_assert_eq!(rest, expected);
    }
}

#[test]
fn records_outside_of_the_shard_are_counted_and_dropped_on_request() {
    let inside = HashKeyRange {
        start: crate::HashKey::of_partition_key(&key("k")),
        end: crate::HashKey::of_partition_key(&key("k")),
    };
    let mut writer = aggregate::Writer::new();
    for name in ["stray", "k", "stray", "k"] {
        writer.push(&EncodedRecord::new(key(name), Bytes::new()));
    }
    let data = writer.finish();
    let page = |data: &Bytes| {
        let number = 1_u128.into();
        let stored = StoredRecord::new(number, SystemTime::UNIX_EPOCH, data.clone(), key("a"));
        UserRecords::new("s".into(), vec![stored], None, false)
    };
    for (drops, expected) in [(false, vec![0, 1, 2, 3]), (true, vec![1, 3])] {
        let mut records = page(&data).within(Some(inside), drops);
        let given: Vec<_> = records.by_ref().collect();
        let numbers = given
            .iter()
            .map(|record| record.position.sub_sequence_number);
        assert_eq!(numbers.collect::<Vec<_>>(), expected);
        assert!(given.last().is_some_and(|record| record.is_last));
        assert_eq!(records.strays(), 2);
        assert_eq!(records.given(), given.len() as u64);
    }
}

/// Makes a Kinesis record whose only user record belongs to the last point of the key space.
fn stray(number: u128) -> StoredRecord {
    let mut record = EncodedRecord::new(key("k"), Bytes::new());
    record.explicit_hash_key = Some(crate::HashKey::MAX);
    let mut writer = aggregate::Writer::new();
    writer.push(&record);
    StoredRecord::new(
        number.into(),
        SystemTime::UNIX_EPOCH,
        writer.finish(),
        key("a"),
    )
}

#[test]
fn aggregates_with_nothing_left_to_give_are_passed_over_on_a_small_stack() {
    const STACK_BYTES: usize = 256 * 1024;
    const AGGREGATES: u128 = 20_000;
    let mut records: Vec<_> = (1..=AGGREGATES).map(stray).collect();
    records.push(stored(AGGREGATES + 1, 0));
    let range = HashKeyRange {
        start: crate::HashKey::MIN,
        end: crate::HashKey::new(1),
    };
    let read = move || {
        let page = UserRecords::new("s".into(), records, None, false);
        let mut page = page.within(Some(range), true);
        let given: Vec<_> = page.by_ref().map(|record| record.position).collect();
        (given, page.strays(), page.given())
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let (given, strays, count) = thread.spawn(read).unwrap().join().unwrap();
    assert_eq!(given, [Position::new("s".into(), (AGGREGATES + 1).into())]);
    assert_eq!((u128::from(strays), count), (AGGREGATES, 1));
}

#[test]
fn an_explicit_hash_key_decides_before_the_partition_key_whose_record_is_a_stray() {
    let of_key = crate::HashKey::of_partition_key(&key("k"));
    let range = |start, end| Some(HashKeyRange { start, end });
    let strays = |range| {
        let mut page = UserRecords::new("s".into(), vec![stray(1)], None, false);
        page = page.within(range, false);
        assert_eq!(page.by_ref().count(), 1);
        page.strays()
    };
    assert_eq!(strays(range(of_key, of_key)), 1);
    assert_eq!(strays(range(crate::HashKey::MAX, crate::HashKey::MAX)), 0);
    assert_eq!(strays(None), 0);
}

#[test]
fn a_kept_aggregate_that_was_finished_in_part_is_given_out_again() {
    let kept = |users: usize, sub_sequence_number| {
        let finished = Finished {
            sequence_number: 1.into(),
            sub_sequence_number,
        };
        let records = vec![stored(1, users), stored(2, 3)];
        let records = UserRecords::new("s".into(), records, Some(finished), true);
        let given: Vec<_> = records
            .map(|record| record.position.sequence_number)
            .collect();
        given
    };
    let both: [SequenceNumber; 2] = [1.into(), 2.into()];
    assert_eq!(kept(10, 0), both);
    assert_eq!(kept(10, 2), both);
    assert_eq!(kept(10, 8), both);
    assert_eq!(kept(10, 9), both[1..]);
    assert_eq!(kept(1, 0), both[1..]);
    assert_eq!(kept(0, 0), both[1..], "no aggregate");
}

#[test]
fn aggregates_are_kept_whole_on_request() {
    let records = vec![stored(1, 3)];
    let kept: Vec<_> = UserRecords::new("s".into(), records, None, true).collect();
    assert_eq!((kept.len(), &kept[0].encoded.data), (1, &stored(1, 3).data));
}
