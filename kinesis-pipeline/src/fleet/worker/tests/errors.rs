//! Tests of records that a processor fails on: retries, skips, dead letters, stops.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use super::basics::{APP, stream_of};
use crate::{
    Batch, BoxError, Checkpointing, DeadLetter, DecodeError, EncodeError, EncodedRecord,
    ErrorPolicy, KeyError, KinesisRecord, KinesisStream, LeaseStore as _, MemoryLeases,
    PartitionKey, StartAt, StreamDeadLetters, WorkerError, dead_letters_to, record::EncodeContext,
};

/// A record of one text. The text `garbage` cannot be decoded.
#[derive(Clone, Debug, PartialEq)]
struct Text(String);

impl KinesisRecord for Text {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        PartitionKey::new("k")
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        match std::str::from_utf8(&stored.data) {
            Ok(text) if text != "garbage" => Ok(Self(text.to_owned())),
            _ => Err(DecodeError::new("text", stored.data.len(), "it is garbage")),
        }
    }
}

type Log = Arc<Mutex<Vec<String>>>;

/// Returns a processor that notes and acks its records. It fails for batches with `bad`, and panics for those with
/// `panic`.
fn processor(
    log: &Log,
) -> impl FnMut(Batch<Text>) -> std::future::Ready<Result<(), BoxError>> + Clone + Send + 'static {
    let log = log.clone();
    move |mut batch| {
        let texts: Vec<_> = batch
            .records
            .iter()
            .map(|record| record.data.0.clone())
            .collect();
        let is_blind = {
            let log = log.lock().unwrap();
            let is_ever = log.iter().any(|batch| batch.contains("always blind"));
            is_ever || texts.iter().any(|text| text.contains("blind"))
        };
        let garbage = if is_blind {
            String::new()
        } else {
            "?".repeat(batch.take_undecodable().len())
        };
        log.lock().unwrap().push(texts.join(",") + &garbage);
        assert!(!texts.iter().any(|text| text == "panic"), "a panic");
        let is_bad = texts.iter().any(|text| text == "bad");
        std::future::ready(if is_bad {
            Err("it is bad".into())
        } else {
            batch.iter().for_each(crate::Record::ack);
            Ok(())
        })
    }
}

struct Outcome {
    given: Vec<String>,
    letters: Vec<DeadLetter>,
    result: Option<Result<(), WorkerError>>,
    is_all_finished: bool,
}

async fn run(texts: &[&str], policy: ErrorPolicy, checkpointing: Checkpointing) -> Outcome {
    let stream: KinesisStream<Text> = stream_of(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let texts: Vec<_> = texts.iter().map(|text| Text((*text).to_owned())).collect();
    for text in &texts {
        stream.put(text).await.unwrap();
    }
    let last = stream.put(&Text("last".to_owned())).await.unwrap();
    let letters: Arc<Mutex<Vec<DeadLetter>>> = Arc::default();
    let kept = letters.clone();
    let policy = match policy.then {
        Some(super::super::policy::OnFailure::DeadLetter(_)) => {
            policy.then_dead_letter(dead_letters_to(move |letters| {
                kept.lock().unwrap().extend(letters);
                std::future::ready(Ok(()))
            }))
        }
        _ => policy,
    };
    let builder = stream
        .worker(APP)
        .leases(store.clone())
        .start(StartAt::TrimHorizon);
    let worker = builder
        .batch_wait_max(Duration::from_secs(5))
        .on_error(policy)
        .checkpointing(checkpointing)
        .build()
        .unwrap();
    let handle = worker.handle();
    let run = tokio::spawn(worker.run_batches(processor(&log)));
    tokio::time::sleep(Duration::from_mins(3)).await;
    let result = run.is_finished().then_some(());
    handle.stop();
    let ended = run.await.unwrap().map(|_| ());
    let lease = store.list(APP).await.unwrap().remove(0);
    let letters = std::mem::take(&mut *letters.lock().unwrap());
    let mut datas = letters.iter().map(|letter| &letter.data);
    assert!(datas.all(Bytes::is_unique), "letters keep no neighbours");
    Outcome {
        given: std::mem::take(&mut *log.lock().unwrap()),
        letters,
        result: result.map(|()| ended),
        is_all_finished: lease.checkpoint == crate::LeaseCheckpoint::after(&last.position()),
    }
}

fn quick() -> ErrorPolicy {
    ErrorPolicy::retry().attempts_max(2)
}

/// Returns a policy with dead letters. `run` recognizes it and collects the letters.
fn lettered() -> ErrorPolicy {
    quick().then_dead_letter(dead_letters_to(|_| std::future::ready(Ok(()))))
}

#[tokio::test(start_paused = true)]
async fn by_default_a_batch_is_given_out_again_until_it_is_processed() {
    let outcome = run(
        &["1", "bad"],
        ErrorPolicy::default(),
        Checkpointing::Automatic,
    )
    .await;
    assert!(outcome.given.len() > 5 && outcome.given.iter().all(|batch| batch == "1,bad,last"));
    assert!(
        outcome.result.is_none() && !outcome.is_all_finished,
        "nothing is passed over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_stops_ends_the_worker_with_the_error() {
    let outcome = run(&["bad"], quick().then_stop(), Checkpointing::Automatic).await;
    assert_eq!(outcome.given, ["bad,last"; 2]);
    let error = outcome.result.unwrap().unwrap_err();
    assert!(matches!(error, WorkerError::Processor { .. }), "{error}");
    assert!(!outcome.is_all_finished);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_bisects_skips_only_what_fails_alone() {
    let policy = quick().bisect().then_skip();
    let outcome = run(&["1", "bad", "2"], policy, Checkpointing::Automatic).await;
    let expected = [
        "1,bad,2,last",
        "1,bad,2,last",
        "1,bad",
        "1,bad",
        "1",
        "bad",
        "bad",
        "2,last",
    ];
    assert_eq!(outcome.given, expected);
    assert!(outcome.is_all_finished);
}

#[tokio::test(start_paused = true)]
async fn errors_panics_and_garbage_become_letters_with_the_bytes_as_they_were() {
    let policy = lettered().bisect();
    let texts = ["bad", "1", "garbage", "panic"];
    let outcome = run(&texts, policy, Checkpointing::Automatic).await;
    assert!(outcome.is_all_finished, "{:?}", outcome.given);
    let mut letters = outcome.letters;
    letters.sort_by(|a, b| a.position.cmp(&b.position));
    let of = |letter: &DeadLetter| (letter.data.clone(), letter.attempts, letter.error.clone());
    let letters: Vec<_> = letters.iter().map(of).collect();
    assert_eq!(letters[0], (Bytes::from("bad"), 2, "it is bad".to_owned()));
    assert_eq!((&letters[1].0, letters[1].1), (&Bytes::from("garbage"), 0));
    assert_eq!((&letters[2].0, letters[2].1), (&Bytes::from("panic"), 2));
    assert!(letters[2].2.contains("a panic"), "{letters:?}");
    assert_eq!(letters.len(), 3, "once each");
}

#[tokio::test(start_paused = true)]
async fn garbage_that_the_processor_takes_holds_nothing_up() {
    let outcome = run(
        &["1", "garbage"],
        ErrorPolicy::default(),
        Checkpointing::Automatic,
    )
    .await;
    assert_eq!(outcome.given, ["1", "?", "last"]);
    assert!(outcome.is_all_finished);
}

#[tokio::test(start_paused = true)]
async fn garbage_that_the_processor_does_not_take_comes_again_before_what_follows_it() {
    for checkpointing in [Checkpointing::Automatic, Checkpointing::Ack] {
        let texts = ["blind", "garbage", "1", "garbage"];
        let outcome = run(&texts, ErrorPolicy::default(), checkpointing).await;
        assert_eq!(outcome.given, ["blind", "?", "1", "?", "last"]);
        assert!(outcome.is_all_finished, "{checkpointing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_that_is_never_taken_holds_the_shard_up_or_ends_the_worker_and_is_not_passed_over()
{
    let texts = ["always blind", "garbage"];
    for checkpointing in [Checkpointing::Automatic, Checkpointing::Ack] {
        let outcome = run(&texts, ErrorPolicy::default(), checkpointing).await;
        assert!(outcome.given.len() > 5 && outcome.given[1..].iter().all(String::is_empty));
        assert!(outcome.result.is_none() && !outcome.is_all_finished);
    }
    let outcome = run(&texts, quick(), Checkpointing::Automatic).await;
    assert_eq!(outcome.given, ["always blind", "", ""]);
    assert!(!outcome.is_all_finished);
    let error = outcome.result.unwrap().unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("left 1 record(s)"), "{source}");
    assert!(source.contains("shardId-000000000000:"), "{source}");
}

/// A processor that checkpoints each batch by its last position, as one that keeps its own positions does.
struct ByLastPosition {
    takes: bool,
}

impl crate::Processor for ByLastPosition {
    type Record = Text;

    async fn process(
        &mut self,
        mut batch: Batch<Text>,
        checkpointer: &crate::Checkpointer,
    ) -> Result<(), BoxError> {
        if self.takes {
            batch.take_undecodable();
        }
        if let Some(last) = batch.last_position() {
            checkpointer.checkpoint(last).await?;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_last_position_does_not_pass_over_garbage_that_is_not_taken() {
    for takes in [false, true] {
        let stream: KinesisStream<Text> = stream_of(1).await;
        let mut positions = Vec::new();
        for text in ["1", "garbage", "2"] {
            let stored = stream.put(&Text(text.to_owned())).await.unwrap();
            positions.push(stored.position());
        }
        let store = MemoryLeases::new();
        let builder = stream.worker(APP).leases(store.clone());
        let builder = builder.start(StartAt::TrimHorizon);
        let builder = builder.batch_wait_max(Duration::from_secs(5));
        let worker = builder.checkpointing(Checkpointing::Manual).build();
        let run = tokio::spawn(worker.unwrap().run(move |_| ByLastPosition { takes }));
        tokio::time::sleep(Duration::from_mins(1)).await;
        let lease = store.list(APP).await.unwrap().remove(0);
        let expected = &positions[if takes { 2 } else { 0 }];
        assert_eq!(lease.checkpoint, crate::LeaseCheckpoint::after(expected));
        run.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn letters_that_cannot_be_put_hold_the_shard_up() {
    let refusals = Mutex::new(3);
    let policy = quick().then_dead_letter(dead_letters_to(move |_| {
        let mut left = refusals.lock().unwrap();
        let is_refused = *left > 0;
        *left -= i32::from(is_refused);
        std::future::ready(if is_refused {
            Err("the disk is full".into())
        } else {
            Ok(())
        })
    }));
    let stream: KinesisStream<Text> = stream_of(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let last = stream.put(&Text("bad".to_owned())).await.unwrap();
    let builder = stream
        .worker(APP)
        .leases(store.clone())
        .start(StartAt::TrimHorizon);
    let builder = builder.checkpoint_interval(Duration::ZERO).on_error(policy);
    let run = tokio::spawn(builder.build().unwrap().run_batches(processor(&log)));
    let expected = crate::LeaseCheckpoint::after(&last.position());
    let checkpoint = || store.get(APP, &last.shard_id).map(|lease| lease.checkpoint);
    // The first three retries come after 50, 100 and 200 ms at least.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_ne!(checkpoint(), Some(expected.clone()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(checkpoint(), Some(expected));
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn letters_in_a_stream_stand_under_the_key_of_their_record() {
    let stream: KinesisStream<Text> = stream_of(1).await;
    let letters: KinesisStream<EncodedRecord> = stream_of(2).await;
    stream.put(&Text("bad".to_owned())).await.unwrap();
    let policy = quick().then_dead_letter(StreamDeadLetters::new(&letters));
    let builder = stream.worker(APP).leases(MemoryLeases::new());
    let builder = builder.start(StartAt::TrimHorizon).on_error(policy);
    let run = tokio::spawn(
        builder
            .build()
            .unwrap()
            .run_batches(processor(&Log::default())),
    );
    let mut records = letters.iter_from_all().await.unwrap();
    let record = records.next().await.unwrap().unwrap();
    assert_eq!(record.partition_key, "k");
    let json = std::str::from_utf8(&record.data.data).unwrap();
    let letter = DeadLetter::from_json(json).unwrap();
    assert_eq!((&*letter.stream, &letter.data[..]), ("test", &b"bad"[..]));
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_in_a_processor_is_an_error_of_it() {
    struct Panicking(Log);
    impl Panicking {
        fn note(&self, text: &str) {
            let mut log = self.0.lock().unwrap();
            log.push(text.to_owned());
            let is_first = log.iter().filter(|line| *line == text).count() == 1;
            drop(log);
            assert!(!is_first, "the first call panics");
        }
    }
    // The trait's methods are written without `async`, so that the panic comes before there is a future.
    impl crate::Processor for Panicking {
        type Record = Text;
        fn initialize(
            &mut self,
            _: &crate::ShardStart,
            _: &crate::Checkpointer,
        ) -> impl Future<Output = Result<(), BoxError>> + Send {
            self.note("initialize");
            std::future::ready(Ok(()))
        }
        fn process(
            &mut self,
            _: Batch<Text>,
            _: &crate::Checkpointer,
        ) -> impl Future<Output = Result<(), BoxError>> + Send {
            self.note("process");
            std::future::ready(Ok(()))
        }
        fn shutdown_requested(
            &mut self,
            _: &crate::Checkpointer,
        ) -> impl Future<Output = Result<(), BoxError>> + Send {
            self.note("shutdown_requested");
            std::future::ready(Ok(()))
        }
    }
    let stream: KinesisStream<Text> = stream_of(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let receipt = stream.put(&Text("1".to_owned())).await.unwrap();
    let builder = stream.worker(APP).leases(store.clone());
    let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
    let (handle, kept) = (worker.handle(), log.clone());
    let run = tokio::spawn(worker.run(move |_| Panicking(kept.clone())));
    tokio::time::sleep(Duration::from_secs(30)).await;
    handle.stop();
    assert_eq!(
        run.await.unwrap().unwrap().released,
        std::slice::from_ref(&receipt.shard_id)
    );
    let expected = [
        "initialize",
        "initialize",
        "process",
        "process",
        "shutdown_requested",
    ];
    assert_eq!(*log.lock().unwrap(), expected);
    let lease = store.get(APP, &receipt.shard_id).unwrap();
    assert_eq!(
        lease.checkpoint,
        crate::LeaseCheckpoint::after(&receipt.position())
    );
}
