//! Files that are cut or spoilt.

use serde_json::json;

use super::*;
use crate::local::operations::put_records::PutRecords;

const CALLS: usize = 12;
/// Bytes between two cuts; odd, so that cuts with and without zeros take turns.
const STEP: usize = 211;

/// A store with some calls' records, closed, and its journal.
async fn written(clock: &Clock) -> (Scratch, PathBuf, Everything) {
    let scratch = Scratch::new();
    let kinesis = start(&scratch.0, clock).await.unwrap();
    kinesis.stream::<Bytes>(STREAM, 2).await.unwrap();
    for call_index in 0..CALLS {
        let entry = |key: usize| json!({ "PartitionKey": (call_index * 5 + key).to_string(), "Data": "aGk=" });
        let entries: Vec<_> = (0..5).map(entry).collect();
        let request = json!({ "StreamName": STREAM, "Records": entries });
        call::<PutRecords>(&kinesis, request).await.unwrap();
    }
    let all = everything(&kinesis);
    drop(kinesis);
    let journal = journal(&scratch.0);
    (scratch, journal, all)
}

fn journal(directory: &Path) -> PathBuf {
    let mut files = files(directory).into_iter();
    files
        .find(|file| file.extension().is_some_and(|end| end == "jnl"))
        .unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect();
    files.sort();
    files
}

/// A copy of a directory; the zeros at the end of its journal, room that is not used, are left out.
fn copy(from: &Path, change: impl Fn(&Path, &mut Vec<u8>)) -> Scratch {
    let scratch = Scratch::new();
    for file in files(from) {
        let mut bytes = fs::read(&file).unwrap();
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        if file.extension().is_some_and(|end| end == "jnl") {
            bytes.truncate(used);
        }
        change(&file, &mut bytes);
        let target = scratch.0.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
    scratch
}

#[tokio::test(start_paused = true)]
async fn an_answered_put_is_in_the_journal_when_its_answer_comes() {
    let (scratch, clock) = (Scratch::new(), clock());
    let kinesis = start(&scratch.0, &clock).await.unwrap();
    kinesis.stream::<Bytes>(STREAM, 1).await.unwrap();
    let journal = journal(&scratch.0);
    for index in 0..50 {
        let key = format!("the key of put {index};");
        let entry = json!({ "PartitionKey": key, "Data": "" });
        let request = json!({ "StreamName": STREAM, "Records": [entry] });
        call::<PutRecords>(&kinesis, request).await.unwrap();
        let mut start = vec![0; 64 * 1024];
        let mut file = fs::File::open(&journal).unwrap();
        std::io::Read::read_exact(&mut file, &mut start).unwrap();
        let is_there = start.windows(key.len()).any(|part| part == key.as_bytes());
        assert!(is_there, "{key}");
    }
}

/// Whether each shard has a beginning of what it had.
fn is_beginning(part: &Everything, whole: &Everything) -> bool {
    let Some((_, shards)) = part.streams.first() else {
        return true;
    };
    let whole = &whole.streams[0].1;
    shards
        .iter()
        .all(|(index, part)| whole[index].3.starts_with(&part.3))
}

#[tokio::test(start_paused = true)]
async fn a_tail_cut_at_any_byte_leaves_a_beginning_and_room_for_more() {
    let clock = clock();
    let (scratch, journal, all) = written(&clock).await;
    let used = fs::read(&journal).unwrap();
    let used = used.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut found = std::collections::BTreeSet::new();
    // A new place in each run of the loop, so that all kinds of bytes are cut: lengths, keys, data, sums.
    for length in (0..used).step_by(STEP).chain(used - 2..used) {
        // The room that a journal has in advance reads as zeros.
        let zeros = 4096 * (length % 2);
        let cut = copy(&scratch.0, |file, bytes| {
            if file == journal {
                bytes.truncate(length);
                bytes.resize(length + zeros, 0);
            }
        });
        let kinesis = start(&cut.0, &clock).await.unwrap();
        let part = everything(&kinesis);
        assert!(is_beginning(&part, &all), "cut at {length}");
        let shards = part.streams.first().map(|(_, shards)| shards);
        found.insert(shards.map_or(0, |shards| shards.values().map(|shard| shard.3.len()).sum()));
        kinesis.stream::<Bytes>(STREAM, 2).await.unwrap();
        let more = everything(&kinesis);
        drop(kinesis);
        let kinesis = start(&cut.0, &clock).await.unwrap();
        assert_eq!(everything(&kinesis), more, "cut at {length}");
    }
    assert!(found.len() > CALLS / 2, "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn spoilt_files_are_told_by_an_error_and_nothing_wrong_is_served() {
    let clock = clock();
    let (scratch, _, all) = written(&clock).await;
    let mut told = 0;
    for file in files(&scratch.0) {
        for place in 0..3 {
            let spoilt = copy(&scratch.0, |path, bytes| {
                let at = bytes.len() * place / 3;
                if path == file
                    && let Some(byte) = bytes.get_mut(at)
                {
                    *byte ^= 0x55;
                }
            });
            match start(&spoilt.0, &clock).await {
                Ok(kinesis) => assert!(is_beginning(&everything(&kinesis), &all)),
                Err(error) => {
                    told += 1;
                    let text = error.to_string();
                    assert!(text.contains(&*spoilt.0.to_string_lossy()), "{text}");
                }
            }
        }
    }
    assert!(told > 0);
}
