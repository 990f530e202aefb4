use std::time::Duration;

use base64_simd::STANDARD;
use ciborium::{Value, cbor};
use proptest::{prelude::*, sample::Index};

use super::{
    super::{MILLIS_MAX, json},
    *,
};
use crate::{
    cbor::{BREAK, OPEN_ARRAY, OPEN_MAP},
    service::{PAGE_RECORDS_MAX, RecordPage},
};

/// A record of a page: number, data, key, milliseconds of its arrival, encryption.
type Facts = (u64, Vec<u8>, String, u64, Option<&'static str>);

/// A smaller number of milliseconds is read as seconds.
const MILLIS_MIN: u64 = 100_000_000_000;

fn facts() -> impl Strategy<Value = Facts> {
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..20_000_usize).prop_map(|(byte, bytes)| vec![byte; bytes]),
    ];
    let encryption = prop::sample::select(vec![None, Some("NONE"), Some("KMS")]);
    (
        1_u64..,
        data,
        "\\PC{1,20}",
        MILLIS_MIN..=MILLIS_MAX,
        encryption,
    )
}

fn record((number, data, key, millis, encryption): &Facts) -> Value {
    cbor!({
        "SequenceNumber" => number.to_string(),
        "Data" => Value::Bytes(data.clone()),
        "PartitionKey" => key,
        "ApproximateArrivalTimestamp" => millis,
        "EncryptionType" => encryption,
    })
    .unwrap()
}

fn child(number: usize) -> Value {
    cbor!({
        "ShardId" => format!("shardId-{number}"), "ParentShards" => ["shardId-0", "shardId-1"],
        "HashKeyRange" => {"StartingHashKey" => "0", "EndingHashKey" => number.to_string()},
    })
    .unwrap()
}

fn page(records: &[Facts], children: usize) -> Value {
    let records = Value::Array(records.iter().map(record).collect());
    let children = Value::Array((0..children).map(child).collect());
    let members = cbor!({
        "MillisBehindLatest" => 7, "Records" => records, "NextShardIterator" => "next",
        "ChildShards" => children,
    });
    members.unwrap()
}

/// Writes a value as the service does: its maps and arrays have an end, and no length.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Map(members) => {
            out.push(OPEN_MAP);
            for (name, value) in members {
                write(name, out);
                write(value, out);
            }
            out.push(BREAK);
        }
        Value::Array(elements) => {
            out.push(OPEN_ARRAY);
            for element in elements {
                write(element, out);
            }
            out.push(BREAK);
        }
        other => ciborium::into_writer(other, out).unwrap(),
    }
}

fn bytes(value: &Value, is_open: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if is_open {
        write(value, &mut bytes);
    } else {
        ciborium::into_writer(value, &mut bytes).unwrap();
    }
    bytes
}

/// Converts a page to JSON, in which data is base64 and a time is in seconds.
fn in_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Map(members) => {
            let member = |(name, value): &(Value, Value)| {
                let name = name.as_text().unwrap();
                let seconds = |millis: u64| Duration::from_millis(millis).as_secs_f64().into();
                let value = match value.as_integer() {
                    Some(millis) if name.ends_with("Timestamp") => {
                        seconds(millis.try_into().unwrap())
                    }
                    _ => in_json(value),
                };
                (name.to_owned(), value)
            };
            members.iter().map(member).collect()
        }
        Value::Array(elements) => elements.iter().map(in_json).collect(),
        Value::Bytes(bytes) => STANDARD.encode_to_string(bytes).into(),
        other => other.deserialized().unwrap(),
    }
}

/// Returns a body with one record of each of these data.
fn body(datas: &[Vec<u8>]) -> Vec<u8> {
    let facts = |(number, data): (u64, &Vec<u8>)| (number, data.clone(), "k".to_owned(), 5, None);
    let records: Vec<_> = (1..).zip(datas).map(facts).collect();
    bytes(&page(&records, 0), true)
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

/// Returns all that a reader makes of these parts.
fn outcome(parts: &[&[u8]]) -> String {
    format!("{:?}", read(parts))
}

proptest! {
    #[test]
    fn a_page_is_the_same_in_parts_in_one_part_and_in_json(
        records in prop::collection::vec(facts(), 0..20),
        children in 0_usize..3,
        is_open: bool,
        sizes in prop::collection::vec(1_usize..30_000, 1..20),
    ) {
        let page = page(&records, children);
        let (body, json) = (bytes(&page, is_open), in_json(&page).to_string());
        let parts = read(&cut(&body, &sizes)).unwrap();
        let datas = parts.as_ref().unwrap().records.iter().map(|record| &record.data[..]);
        prop_assert!(datas.eq(records.iter().map(|(_, data, ..)| &data[..])));
        let parts = format!("{:?}", Ok::<_, Malformed>(parts));
        prop_assert_eq!(&parts, &outcome(&[&body]));
        prop_assert_eq!(parts, format!("{:?}", json::answer(json.as_bytes())));
    }

    #[test]
    fn a_broken_page_has_the_same_fault_in_any_parts(
        faults in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        is_open: bool,
        sizes in prop::collection::vec(1_usize..5_000, 1..20),
    ) {
        let records = vec![(17, vec![9; 10], "key".to_owned(), 1_433_969_276_172, Some("KMS")); 120];
        let mut body = bytes(&page(&records, 2), is_open);
        for (index, byte) in faults {
            let at = index.index(body.len());
            body[at] = byte;
        }
        prop_assert_eq!(outcome(&cut(&body, &sizes)), outcome(&[&body]));
    }
}

#[test]
fn an_empty_part_is_nothing_and_a_tag_may_be_cut() {
    let page = body(&[vec![1; 9]]);
    let tagged = [b"\xD9\xD9\xF7", &page[..]].concat();
    for parts in [
        vec![b"".as_slice(), &page, b""],
        vec![&tagged],
        vec![b"\xD9", b"", b"\xD9\xF7", &page],
        cut(&tagged, &[1]),
    ] {
        assert_eq!(outcome(&parts), outcome(&[&page]), "{parts:?}");
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
        bytes(&unknown.unwrap(), false),
    ]
}

#[test]
fn the_work_is_linear_in_the_size_of_the_body_however_small_its_parts_are() {
    for body in large_bodies() {
        for size in [1, 7, 1_000, 16 * 1_024, 100_000, body.len()] {
            let mut reader = Parts::new(body.len());
            let parts = cut(&body, &[size]);
            for part in parts {
                reader.push(part);
            }
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
