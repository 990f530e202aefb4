//! Tests of redrives: letters that are put back, and records that fail again.

use std::{
    io::{self, BufReader, Read},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{DeadLetter, Redrive, RedriveError, RedriveReport, StreamDeadLetters, dead_letters_to};
use crate::{
    Batch, BoxError, Clock, EncodedRecord, ErrorPolicy, HashKey, KinesisStream, LocalKinesis,
    MemoryLeases, PartitionKey, Position, StartAt, Until,
};

async fn local() -> LocalKinesis {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    LocalKinesis::builder().clock(clock).start().await.unwrap()
}

fn letter(number: u128, key: &str, data: &'static [u8]) -> DeadLetter {
    DeadLetter {
        stream: "test".into(),
        position: Position::new("shardId-000000000000".into(), number.into()),
        partition_key: PartitionKey::new(key).unwrap(),
        explicit_hash_key: None,
        arrived_at: SystemTime::UNIX_EPOCH,
        error: "as processors do".into(),
        attempts: 3,
        redrives: 0,
        data: Bytes::from_static(data),
    }
}

async fn stored(stream: &KinesisStream<EncodedRecord>) -> Vec<EncodedRecord> {
    let reader = stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    let mut stored = Vec::new();
    while let Some(record) = records.next().await {
        let mut record = record.unwrap().data;
        record.explicit_hash_key = None;
        stored.push(record);
    }
    stored
}

/// Returns the report of a redrive that reached the end of its letters and skipped none.
fn report(put: u64, spent: u64, of_other_streams: u64) -> RedriveReport {
    RedriveReport {
        put,
        spent,
        of_other_streams,
        letters: put + spent + of_other_streams,
        is_stopped: false,
    }
}

#[tokio::test(start_paused = true)]
async fn records_go_back_under_their_keys_with_the_bytes_as_they_were() {
    let local = local().await;
    let stream: KinesisStream<EncodedRecord> = local.stream("test", 4).await.unwrap();
    let mut letters = [
        letter(1, "a", b"1"),
        letter(2, "b", b"\xff\x00\xf3\x89\x9a\xc2"),
        letter(3, "a", b"2"),
        letter(4, "a", b""),
    ];
    let hash_key = HashKey::new(u128::MAX);
    letters[1].explicit_hash_key = Some(hash_key);
    let lines: Vec<_> = letters.iter().map(DeadLetter::to_json).collect();
    let text = lines.join("\n\n") + "\n";
    let redrive = Redrive::into_stream(&stream);
    let done = redrive.from_reader(io::Cursor::new(text)).await.unwrap();
    assert_eq!(done, report(4, 0, 0));
    let stored = stored(&stream).await;
    let of_key = |key: &str| {
        let of_key = stored.iter().filter(|record| record.partition_key == key);
        of_key.map(|record| record.data.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of_key("a"), ["1", "2", ""], "in their order");
    assert_eq!(of_key("b"), [&b"\xff\x00\xf3\x89\x9a\xc2"[..]]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_can_never_be_processed_does_not_go_round_for_ever() {
    let local = local().await;
    let stream: KinesisStream<Bytes> = local.stream("test", 1).await.unwrap();
    let letters: KinesisStream<Bytes> = local.stream("letters", 1).await.unwrap();
    stream.put(&Bytes::from("bad")).await.unwrap();
    let policy = ErrorPolicy::retry().attempts_max(1);
    let policy = policy.then_dead_letter(StreamDeadLetters::new(&letters));
    let builder = stream.worker("app").leases(MemoryLeases::new());
    let worker = builder.start(StartAt::TrimHorizon).on_error(policy);
    let given = Arc::new(Mutex::new(Vec::new()));
    let log = given.clone();
    let run = tokio::spawn(
        worker
            .build()
            .unwrap()
            .run_batches(move |batch: Batch<Bytes>| {
                log.lock()
                    .unwrap()
                    .extend(batch.into_iter().map(|record| record.data));
                std::future::ready(Err::<(), BoxError>("as processors do".into()))
            }),
    );
    let mut done = 0;
    let spent = Arc::new(Mutex::new(Vec::new()));
    for round in 0..5 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let kept = spent.clone();
        let redrive = Redrive::into_stream(&stream).redrives_max(2).skip(done);
        let redrive = redrive.spent_to(dead_letters_to(move |letters| {
            kept.lock().unwrap().extend(letters);
            std::future::ready(Ok(()))
        }));
        let report = redrive.from_stream(&letters).await.unwrap();
        let is_put = round < 2;
        assert_eq!(
            (report.put, report.spent),
            (u64::from(is_put), u64::from(round == 2)),
            "{round}"
        );
        done += report.put + report.spent;
    }
    run.abort();
    assert_eq!(*given.lock().unwrap(), ["bad", "bad", "bad"]);
    let spent = spent.lock().unwrap();
    assert_eq!(
        (spent.len(), spent[0].redrives, &spent[0].data[..]),
        (1, 2, &b"bad"[..])
    );
}

#[tokio::test(start_paused = true)]
async fn letters_of_other_streams_and_a_stream_of_its_own_letters_are_refused() {
    let local = local().await;
    let stream: KinesisStream<EncodedRecord> = local.stream("test", 1).await.unwrap();
    let mut other = letter(1, "a", b"1");
    other.stream = "other".into();
    let redrive = || Redrive::into_stream(&stream);
    let letters = || [other.clone(), letter(2, "a", b"2")];
    assert_eq!(
        redrive().from_letters(letters()).await.unwrap(),
        report(1, 0, 1)
    );
    let any = redrive().of_any_stream();
    assert_eq!(any.from_letters(letters()).await.unwrap(), report(2, 0, 0));
    let error = redrive().from_stream(&stream).await.unwrap_err();
    assert!(matches!(error, RedriveError::SameStream { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_error_names_the_letter_that_a_later_redrive_goes_on_at() {
    struct Broken(io::Cursor<Vec<u8>>);
    impl Read for Broken {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::Error::other("the disk is gone")),
                bytes => Ok(bytes),
            }
        }
    }
    let local = local().await;
    let stream: KinesisStream<EncodedRecord> = local.stream("test", 1).await.unwrap();
    let redrive = || Redrive::into_stream(&stream);
    let good = letter(1, "a", b"1").to_json();
    let text = format!("{good}\nnonsense\n{good}\n");
    let error = redrive()
        .from_reader(io::Cursor::new(text.clone()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RedriveError::Envelope { number: 2, .. }),
        "{error}"
    );
    assert_eq!(
        stored(&stream).await.len(),
        1,
        "the letter before it is put back"
    );
    let broken = BufReader::new(Broken(io::Cursor::new(
        format!("{good}\n{good}\n").into_bytes(),
    )));
    let error = redrive().skip(1).from_reader(broken).await.unwrap_err();
    assert_eq!(error.number(), Some(3), "{error}");
    assert_eq!(stored(&stream).await.len(), 2);
    let error = redrive().from_file("/no/such/file").await.unwrap_err();
    assert!(matches!(error, RedriveError::Open { .. }) && error.number().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_is_stopped_stores_what_it_puts_and_says_where_to_go_on() {
    let local = local().await;
    let stream: KinesisStream<EncodedRecord> = local.stream("test", 1).await.unwrap();
    let redrive = Redrive::into_stream(&stream);
    let handle = redrive.handle();
    let (stop, watched) = (handle.clone(), handle.clone());
    let letters = (1..=1_200).map(move |number| {
        if number == 700 {
            assert_eq!(watched.report().letters, 500, "the first batch is stored");
            stop.stop();
        }
        letter(number, "a", b"1")
    });
    let done = redrive.from_letters(letters).await.unwrap();
    assert!(done.is_stopped);
    assert_eq!((done.put, done.letters), (1_000, 1_000));
    assert_eq!(stored(&stream).await.len(), 1_000);
    assert_eq!(handle.report().put, done.put);
    let rest = (1..=1_200).map(|number| letter(number, "a", b"1"));
    let rest = Redrive::into_stream(&stream)
        .skip(done.letters)
        .from_letters(rest);
    let rest = rest.await.unwrap();
    assert!(!rest.is_stopped);
    assert_eq!((rest.put, rest.letters), (200, 1_200));
}

#[tokio::test(start_paused = true)]
async fn a_redrive_is_stopped_while_it_waits_for_a_reader() {
    struct Silent(std::sync::mpsc::Receiver<()>);
    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            // Blocks until the test ends.
            let _ = self.0.recv();
            Ok(0)
        }
    }
    let local = local().await;
    let stream: KinesisStream<EncodedRecord> = local.stream("test", 1).await.unwrap();
    let redrive = Redrive::into_stream(&stream);
    let handle = redrive.handle();
    let (silence, silent) = std::sync::mpsc::channel();
    let run = redrive.from_reader(BufReader::new(Silent(silent)));
    let stop = async {
        tokio::task::yield_now().await;
        handle.stop();
    };
    let (done, ()) = tokio::join!(run, stop);
    let done = done.unwrap();
    assert!(done.is_stopped);
    assert_eq!(done.letters, 0);
    drop(silence);
}
