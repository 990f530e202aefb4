use bytes::Bytes;
use ciborium::{Value, cbor};
use proptest::prelude::*;

use super::*;
use crate::service::{PAGE_RECORDS_MAX, RecordPage};

fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn record(number: usize, data: &[u8]) -> Value {
    cbor!({
        "SequenceNumber" => number.to_string(),
        "Data" => Value::Bytes(data.to_vec()),
        "PartitionKey" => "k",
        "ApproximateArrivalTimestamp" => 1_433_969_276_172_u64,
    })
    .unwrap()
}

fn body(datas: &[Vec<u8>]) -> Vec<u8> {
    let numbers = 1_usize..;
    let records = numbers
        .zip(datas)
        .map(|(number, data)| record(number, data));
    let records = Value::Array(records.collect());
    let members = cbor!({
        "MillisBehindLatest" => 7, "Records" => records, "NextShardIterator" => "next",
    });
    bytes(&members.unwrap())
}

/// Cuts a body into parts of these sizes, again and again.
fn cut<'b>(mut body: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let mut parts = Vec::new();
    for size in sizes.iter().cycle() {
        let (part, rest) = body.split_at((*size).min(body.len()));
        parts.push(part);
        body = rest;
        if body.is_empty() {
            break;
        }
    }
    parts
}

proptest! {
    #[test]
    fn a_page_is_the_same_in_parts_of_any_size(
        bytes in prop::collection::vec(0_usize..20_000, 0..20),
        sizes in prop::collection::vec(1_usize..30_000, 1..20),
    ) {
        let datas: Vec<_> = (1..).zip(&bytes).map(|(byte, bytes)| vec![byte; *bytes]).collect();
        let body = body(&datas);
        let page = read(&cut(&body, &sizes)).unwrap().unwrap();
        let read_datas: Vec<_> = page.records.iter().map(|record| record.data.clone()).collect();
        prop_assert_eq!(read_datas, datas.into_iter().map(Bytes::from).collect::<Vec<_>>());
        prop_assert!(page.next_iterator.is_some() && page.behind_latest.is_some());
    }

    #[test]
    fn no_parts_make_it_panic_and_they_are_read_as_the_whole(body: Vec<u8>, size in 1_usize..9) {
        let (whole, parts) = (read(&[&body]), read(&cut(&body, &[size])));
        prop_assert_eq!(whole.is_ok(), parts.is_ok());
        prop_assert_eq!(whole.err(), parts.err());
    }
}

#[test]
fn a_body_of_single_bytes_is_read_and_its_faults_are_where_they_were() {
    let whole = body(&[vec![1; 9], vec![2; 300], Vec::new()]);
    let page = read(&cut(&whole, &[1])).unwrap().unwrap();
    assert_eq!(page.records.len(), 3);
    for end in 0..whole.len() {
        let (cut_off, in_parts) = (&whole[..end], read(&cut(&whole[..end], &[1, 2])));
        assert_eq!(
            in_parts.unwrap_err(),
            read(&[cut_off]).unwrap_err(),
            "{end}"
        );
    }
    for at in 0..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 0xE0;
        let (in_one, in_parts) = (read(&[&broken]), read(&cut(&broken, &[1, 5])));
        assert_eq!(in_one.as_ref().err(), in_parts.as_ref().err(), "{at}");
        assert_eq!(format!("{in_one:?}"), format!("{in_parts:?}"), "{at}");
    }
    let mut longer = whole;
    longer.push(0);
    assert!(read(&cut(&longer, &[7])).is_err());
}

/// Writes bytes as `count` chunks of three.
fn chunked(count: usize) -> Vec<u8> {
    let mut chunks = vec![0x5F];
    (0..count).for_each(|_| chunks.extend_from_slice(b"\x43abc"));
    chunks.push(0xFF);
    chunks
}

/// Returns bodies with one value that is large: data, data in chunks, and a member that is not known.
fn large_bodies() -> [Vec<u8>; 3] {
    let number = b"\x6ESequenceNumber\x611".as_slice();
    let chunks = chunked(70_000);
    let in_chunks = [b"\xA1\x67Records\x81\xA2", number, b"\x64Data", &chunks].concat();
    let unknown = cbor!({"New" => vec![7_u8; 300_000], "Records" => []});
    [
        body(&[vec![1; 300_000], vec![2; 300]]),
        in_chunks,
        bytes(&unknown.unwrap()),
    ]
}

#[test]
fn the_work_is_linear_in_the_size_of_the_body_however_small_its_parts_are() {
    for body in large_bodies() {
        for size in [1, 7, 1_000, 16 * 1_024, 100_000, body.len()] {
            let mut reader = Parts::new(body.len());
            let parts = cut(&body, &[size]);
            parts.iter().for_each(|part| reader.push(part));
            let tried = reader.tried_bytes;
            assert!(tried <= 3 * body.len(), "{tried} bytes in parts of {size}");
            let page = Box::new(reader).end().unwrap().unwrap();
            assert_eq!(
                format!("{page:?}"),
                format!("{:?}", read(&[&body]).unwrap().unwrap())
            );
        }
    }
}

#[test]
fn a_page_that_is_not_whole_is_no_page() {
    let mut page = PageReader::<Items>::new(0);
    let whole = body(&[vec![1; 9]]);
    let mut scanner = Scanner::new(&whole);
    for _ in 0..4 {
        assert!(!page.is_whole());
        page.step(&mut scanner).unwrap();
    }
    assert!(page.finish().is_err());
}

/// Returns the number of pieces of memory that the data of a page's records is in.
fn allocations(page: &RecordPage) -> usize {
    let datas = page.records.iter().map(|record| &record.data);
    let ends = datas
        .clone()
        .map(|data| data.as_ptr().wrapping_add(data.len()));
    let breaks = ends
        .zip(datas.skip(1))
        .filter(|(end, next)| *end != next.as_ptr());
    breaks.count() + 1
}

#[test]
fn records_share_as_much_memory_in_parts_as_in_one_part() {
    let body = body(&vec![vec![1; 700]; 500]);
    let whole = allocations(&read(&[&body]).unwrap().unwrap());
    assert!(whole < 20, "{whole} allocations");
    for size in [1, 500, 5_000, 16 * 1_024, 100_000] {
        let page = read(&cut(&body, &[size])).unwrap().unwrap();
        assert_eq!(allocations(&page), whole, "in parts of {size}");
    }
}

#[test]
fn a_size_that_is_not_true_makes_room_for_one_page_at_most() {
    let body = body(&vec![vec![1; 3]; 30]);
    for body_bytes in [0, 1, body.len(), usize::MAX] {
        let mut reader = Box::new(Parts::new(body_bytes));
        body.chunks(100).for_each(|part| reader.push(part));
        let records = reader.end().unwrap().unwrap().records;
        assert_eq!(records.len(), 30);
        let room = records.capacity();
        assert!(room <= PAGE_RECORDS_MAX as usize, "{room}");
    }
}
