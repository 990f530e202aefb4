//! Files of each form, and the records that come of them.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use kinesis_pipeline_load::{Format, Input, Loader, Untyped};
use serde_json::Value;

use crate::support::{Airport, Dir, Row, all, data, rows_of, stream, table};

#[tokio::test]
async fn every_airport_is_loaded_once_and_the_airports_of_a_state_keep_their_order() {
    let stream = stream::<Airport>(4).await;
    let report = Loader::new(&stream)
        .load(data("airports.tsv"))
        .await
        .unwrap();
    let lines = fs::read_to_string(data("airports.tsv"))
        .unwrap()
        .lines()
        .count() as u64
        - 1;
    assert_eq!(
        (report.rows, report.records, report.rejected),
        (lines, lines, 0)
    );
    assert_eq!(report.shards.values().sum::<u64>(), lines);

    let shards = all(&stream).await;
    assert_eq!(shards.len(), 4);
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut homes: BTreeMap<String, String> = BTreeMap::new();
    for (shard, airports) in shards {
        assert_eq!(report.shards[&shard], airports.len() as u64);
        for airport in airports {
            let home = homes
                .entry(airport.state.clone())
                .or_insert_with(|| shard.clone());
            assert_eq!(*home, shard, "{}", airport.state);
            states.entry(airport.state).or_default().push(airport.iata);
        }
    }
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in fs::read_to_string(data("airports.tsv"))
        .unwrap()
        .lines()
        .skip(1)
    {
        let cells: Vec<_> = line.split('\t').collect();
        // The file has `NA` for a state; `NULL` stands in none.
        expected
            .entry(cells[3].to_owned())
            .or_default()
            .push(cells[0].to_owned());
    }
    assert_eq!(states, expected);
}

#[tokio::test]
async fn earthquakes_are_put_as_they_are_under_a_field_of_theirs() {
    let stream = stream::<Value>(4).await;
    let table = Untyped::new("earthquakes").key("network");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/earthquakes.jsonl");
    let report = Loader::untyped(&stream, table)
        .load(path.clone())
        .await
        .unwrap();
    assert_eq!(report.records, 1707);
    let mut read: Vec<String> = Vec::new();
    for quakes in all(&stream.with_record_type::<String>())
        .await
        .into_values()
    {
        read.extend(quakes);
    }
    read.sort();
    let text = fs::read_to_string(path).unwrap();
    let mut expected: Vec<_> = text.lines().map(str::to_owned).collect();
    expected.sort();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn untyped_rows_become_objects_nested_by_dots() {
    let stream = stream::<Value>(1).await;
    let table = Untyped::new("points").key("id");
    let input = Input::reader("p", &b"id,at.lat,at.lon,zip\n1,2.5,-3,00501\n"[..]);
    let loader = Loader::untyped(&stream, table).format(Format::CSV);
    loader.load(input).await.unwrap();
    let records: Vec<_> = all(&stream.with_record_type::<String>())
        .await
        .into_values()
        .flatten()
        .collect();
    assert_eq!(
        records,
        [r#"{"id":1,"at":{"lat":2.5,"lon":-3},"zip":"00501"}"#]
    );
}

#[tokio::test]
async fn compressed_files_and_many_files_are_read_one_after_the_other() {
    let dir = Dir::new("compressed");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(table(0..1000).as_bytes()).unwrap();
    let zstd = zstd::encode_all(table(1000..2000).as_bytes(), 1).unwrap();
    let files = [
        dir.file("a.tsv.gz", gzip.finish().unwrap()),
        dir.file("b.tsv.zst", zstd),
        dir.file("c.csv", table(2000..3000).replace('\t', ",")),
    ];
    let stream = stream::<Row>(2).await;
    let report = Loader::new(&stream)
        .load(Input::files(files))
        .await
        .unwrap();
    assert_eq!(report.records, 3000);
    let mut numbers: Vec<_> = rows_of(&stream)
        .await
        .iter()
        .map(|row| row.number)
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..3000));
}

#[tokio::test]
async fn ids_are_the_hash_of_the_file_and_the_line() {
    let dir = Dir::new("ids");
    let input = dir.file("a.tsv", "key\tnumber\na\t1\n\nb\t2\n");
    let stream = stream::<Row>(1).await;
    Loader::new(&stream).ids(true).load(input).await.unwrap();
    let texts: Vec<String> = all(&stream.with_record_type::<String>())
        .await
        .into_values()
        .flatten()
        .collect();
    let ids: Vec<String> = texts
        .iter()
        .map(|text| {
            let value: Value = serde_json::from_str(text).unwrap();
            value["_meta"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let (hash, _) = ids[0].split_once(':').unwrap();
    assert_eq!(hash.len(), 16);
    assert_eq!(ids, [format!("{hash}:2"), format!("{hash}:4")]);
}

#[tokio::test]
async fn a_header_alone_is_a_load_of_nothing() {
    let stream = stream::<Row>(1).await;
    let report = Loader::new(&stream)
        .load(Input::reader("h", &b"key\tnumber\n"[..]))
        .await
        .unwrap();
    assert_eq!((report.rows, report.records), (0, 0));
}
