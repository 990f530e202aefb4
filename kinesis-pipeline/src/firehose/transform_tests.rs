use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::firehose::{KinesisMetadata, Outcome, OutputRecord};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests-data/firehose.json")).unwrap()
}

fn event(records: &[(&str, &str)]) -> Event<'static> {
    let record = |(id, data): &(&str, &str)| InputRecord::new((*id).to_owned(), data.as_bytes());
    Event::of(records.iter().map(record).collect())
}

/// Returns result and data by id. Each id must occur once.
fn answers(response: &Response) -> BTreeMap<String, (Outcome, String)> {
    let records = OutputRecord::parse_all(response.as_json()).unwrap();
    let count = records.len();
    let answers: BTreeMap<_, _> = records
        .into_iter()
        .map(|record| {
            let data = String::from_utf8_lossy(&record.bytes().unwrap()).into_owned();
            (record.record_id.into_owned(), (record.result, data))
        })
        .collect();
    assert_eq!(answers.len(), count, "an id twice");
    answers
}

fn answer(response: &Response, id: &str) -> (Outcome, String) {
    answers(response)[id].clone()
}

/// A function from AWS's workshop.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a transform gives the record away"
)]
fn filter(entry: String) -> Result<Verdict<String>, serde_json::Error> {
    let states: BTreeMap<String, String> = serde_json::from_str(&entry)?;
    Ok(match states.values().next().map(String::as_str) {
        Some("NY") => Verdict::Keep(format!("New York State found !! for entry: {entry}")),
        Some("AK" | "CA") => Verdict::Drop,
        _ => Verdict::Fail("not a state of the US"),
    })
}

#[test]
fn the_workshop_is_answered_as_its_vectors_say() {
    for case in vectors()["workshop"]["cases"].as_array().unwrap() {
        let entry = case["entry"].as_str().unwrap();
        let transform = Transform::new().new_line(NewLine::AsIs);
        let response = transform.run(event(&[("1", entry)]), filter);
        let json: Value = serde_json::from_slice(response.as_json()).unwrap();
        assert_eq!(json["records"][0]["result"], case["result"]);
        if case["data"].is_string() {
            assert_eq!(json["records"][0]["data"], case["data"]);
        }
        if case["result"] != "Ok" {
            assert_eq!(answer(&response, "1").1, entry, "the data is kept");
        }
    }
}

#[test]
fn the_squares_of_the_vectors() {
    let squares = &vectors()["squares"];
    let response = transform(
        event(&[("1", &squares["in"].to_string())]),
        |record: Value| {
            let fields = record.as_object().expect("an object");
            let square = |value: &Value| value.as_i64().map(|number| number * number);
            let squares = fields
                .iter()
                .map(|(name, value)| (name.clone(), json!(square(value))));
            Verdict::Keep(Value::Object(squares.collect()))
        },
    );
    let (result, data) = answer(&response, "1");
    assert_eq!(result.as_str(), squares["result"]);
    assert!(data.ends_with('\n'));
    assert_eq!(
        serde_json::from_str::<Value>(&data).unwrap(),
        squares["out"]
    );
}

#[test]
fn an_error_a_panic_and_bad_data_fail_one_record_each() {
    let json = br#"{"records":[
        {"recordId":"base64","data":"?"},
        {"recordId":"none"},
        {"recordId":"type","data":"WzFd"},
        {"recordId":"panic","data":"MQ=="},
        {"recordId":"refuse","data":"Mg=="},
        {"recordId":"good","data":"Mw=="}
    ]}"#;
    let mut calls = 0;
    let transform = Transform::<Value>::new();
    let response = transform.run(Event::parse(json).unwrap(), |record: Value| {
        calls += 1;
        match record.as_u64() {
            Some(1) => panic!("oh no {record}"),
            Some(2) => Ok(Verdict::Fail("even")),
            None => Err("not a number"),
            Some(_) => Ok(Verdict::Keep(record)),
        }
    });
    assert_eq!(calls, 4);
    let reasons: Vec<_> = response
        .failures()
        .iter()
        .map(|failure| &failure.reason)
        .collect();
    assert!(
        matches!(
            reasons[..],
            [
                FailureReason::NotBase64,
                FailureReason::NoData,
                FailureReason::Function { .. },
                FailureReason::Panicked { message },
                FailureReason::Refused("even"),
            ] if message == "oh no 1"
        ),
        "{reasons:?}"
    );
    assert_eq!(answer(&response, "good"), (Outcome::Ok, "3\n".into()));
    assert_eq!(
        answer(&response, "panic"),
        (Outcome::ProcessingFailed, "1".into())
    );
    assert_eq!(answers(&response).len(), 6);
}

#[test]
fn one_record_becomes_many_or_none() {
    let response = transform(event(&[("1", "a b"), ("2", " ")]), |line: String| {
        Verdict::KeepAll(line.split_whitespace().map(str::to_owned).collect())
    });
    assert_eq!(answer(&response, "1"), (Outcome::Ok, "a\nb\n".into()));
    assert_eq!(answer(&response, "2").0, Outcome::Dropped);
    assert_eq!((response.kept(), response.dropped()), (1, 1));
}

#[test]
fn a_new_line_is_added_only_where_none_is() {
    let response = transform(
        event(&[("1", "a"), ("2", "b\n"), ("3", "")]),
        |line: String| Verdict::Keep(line),
    );
    assert_eq!(answer(&response, "1").1, "a\n");
    assert_eq!(answer(&response, "2").1, "b\n");
    assert_eq!(answer(&response, "3").1, "");
}

#[test]
fn partition_keys_are_written_and_must_be_the_same_for_all_of_a_record() {
    let transform = Transform::new().partition_keys(|line: &String| [("first", line[..1].into())]);
    let response = transform.run(event(&[("1", "ab ac"), ("2", "ab bc")]), |line: String| {
        Verdict::KeepAll(line.split_whitespace().map(str::to_owned).collect())
    });
    let records = OutputRecord::parse_all(response.as_json()).unwrap();
    assert_eq!(records[0].partition_keys().unwrap()["first"], "a");
    assert!(matches!(
        response.failures()[0].reason,
        FailureReason::DifferentPartitionKeys
    ));
}

#[test]
fn an_id_that_comes_twice_is_answered_once() {
    let records = [("2", "a"), ("1", "b"), ("2", "a"), ("1", "c"), ("3", "d")];
    let response = transform(event(&records), |line: String| Verdict::Keep(line));
    let answers = answers(&response);
    assert_eq!(answers["2"], (Outcome::Ok, "a\n".into()));
    assert_eq!(answers["1"], (Outcome::ProcessingFailed, "b".into()));
    assert_eq!(answers["3"].0, Outcome::Ok);
}

#[test]
fn no_records_are_an_empty_response() {
    let response = transform(event(&[]), |line: String| Verdict::Keep(line));
    assert_eq!(response.as_json(), br#"{"records":[]}"#);
}

#[test]
fn a_response_serializes_as_its_json() {
    let response = transform(event(&[("1", "a")]), |line: String| Verdict::Keep(line));
    assert_eq!(serde_json::to_vec(&response).unwrap(), response.as_json());
}

/// Returns ten thousand records that grow to a response of 12 MB.
fn growing() -> (Event<'static>, impl FnMut(String) -> Verdict<String>) {
    let record = |index| InputRecord::new(format!("id-{index:05}"), b"x");
    let event = Event::of((0..10_000).map(record).collect());
    (event, |line: String| Verdict::Keep(line.repeat(900)))
}

#[test]
fn what_does_not_fit_fails_and_the_rest_is_kept() {
    let (event, grow) = growing();
    let response = transform(&event, grow);
    assert!(response.as_json().len() <= RESPONSE_BYTES_MAX);
    // Another record would not have fitted.
    assert!(response.as_json().len() > RESPONSE_BYTES_MAX - 2_000);
    assert_eq!(answers(&response).len(), 10_000);
    assert!(response.kept() > 4_000, "{}", response.kept());
    assert_eq!(response.kept() + response.failures().len(), 10_000);
    assert!(matches!(
        response.failures()[0].reason,
        FailureReason::TooLarge { answer_bytes } if answer_bytes > 1_200
    ));
}

#[test]
fn a_response_may_be_as_large_as_the_limit_and_no_larger() {
    let event = event(&[("1", "abc"), ("2", "d")]);
    let run = |bytes_max| {
        Transform::new()
            .response_bytes_max(bytes_max)
            .run(&event, |line: String| Verdict::Keep(line.repeat(99)))
    };
    // The budget counts one comma too many, and reserves a failed answer for each record.
    let whole = run(RESPONSE_BYTES_MAX);
    assert_eq!(run(whole.as_json().len() + 1).kept(), 2);
    assert!(run(whole.as_json().len() - 1).kept() < 2);
}

#[test]
fn what_does_not_fit_is_put_again_and_answered_as_dropped() {
    let (mut event, grow) = growing();
    let last = event.records.pop().unwrap();
    event
        .records
        .push(last.from_kinesis(KinesisMetadata::under("key")));
    let again = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&again);
    let transform = Transform::new().reingest(move |records| {
        seen.lock().unwrap().extend(records);
        Ok(())
    });
    let response = transform.run(&event, grow);
    let again = again.lock().unwrap();
    assert_eq!(response.reingested(), again.len());
    assert_eq!(response.kept() + again.len(), 10_000);
    assert!(response.failures().is_empty());
    assert_eq!(again.last().unwrap().data, "x");
    assert_eq!(again.last().unwrap().partition_key.as_deref(), Some("key"));
    assert_eq!(answer(&response, &again[0].record_id).0, Outcome::Dropped);
    assert_eq!(answers(&response).len(), 10_000);
}

#[test]
fn what_cannot_be_put_again_fails() {
    for panics in [false, true] {
        let transform = Transform::new().response_bytes_max(0).reingest(move |_| {
            assert!(!panics, "gone");
            Err("the stream is gone".into())
        });
        let response = transform.run(event(&[("1", "a")]), |line: String| Verdict::Keep(line));
        assert!(matches!(
            response.failures()[0].reason,
            FailureReason::NotReingested { .. }
        ));
        assert_eq!(answer(&response, "1").0, Outcome::ProcessingFailed);
    }
}

#[test]
fn dropped_data_never_takes_the_room_of_kept_data() {
    let large = "x".repeat(4_000_000);
    let kept = format!("keep{}", &large[..2_000_000]);
    let event = event(&[("1", &large), ("2", &kept)]);
    let response = transform(&event, |line: String| {
        if line.starts_with("keep") {
            Verdict::Keep(line)
        } else {
            Verdict::Drop
        }
    });
    assert_eq!(answer(&response, "1"), (Outcome::Dropped, String::new()));
    assert_eq!(response.kept(), 1);
}

#[tokio::test(start_paused = true)]
async fn async_records_are_in_flight_together_up_to_the_bound() {
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let event = Event::of(
        (0..20)
            .map(|id| InputRecord::new(format!("{id:02}"), b"x"))
            .collect(),
    );
    let transform = Transform::new().concurrency(4);
    let start = Clock::system().instant();
    let response = transform
        .run_async(&event, async |line: String| {
            most.fetch_max(
                running.fetch_add(1, Ordering::Relaxed) + 1,
                Ordering::Relaxed,
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
            running.fetch_sub(1, Ordering::Relaxed);
            Verdict::Keep(line)
        })
        .await;
    assert_eq!(response.kept(), 20);
    assert_eq!(most.into_inner(), 4);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn async_failures_and_panics_fail_one_record_each() {
    let event = event(&[("1", "a"), ("2", "b"), ("3", "c"), ("4", "d"), ("4", "e")]);
    let transform = Transform::<String>::new();
    let response = transform
        .run_async(event, async |line: String| {
            tokio::task::yield_now().await;
            assert_ne!(line, "b");
            if line == "c" {
                Err("no c")
            } else {
                Ok(Verdict::Keep(line))
            }
        })
        .await;
    let answers = answers(&response);
    assert_eq!(answers["1"], (Outcome::Ok, "a\n".into()));
    assert_eq!(response.failures().len(), 3);
    assert_eq!(answers.len(), 4);
}

#[tokio::test]
async fn async_overflow_waits_for_the_put() {
    for fails in [false, true] {
        let transform = Transform::new().response_bytes_max(0).reingest_async(
            move |records: Vec<OverflowRecord>| async move {
                tokio::task::yield_now().await;
                assert_eq!(records.len(), 1);
                if fails { Err("gone".into()) } else { Ok(()) }
            },
        );
        let run = transform.run_async(event(&[("1", "a")]), async |line: String| {
            Verdict::Keep(line)
        });
        let response = run.await;
        assert_eq!(
            (response.reingested(), response.failures().len()),
            if fails { (0, 1) } else { (1, 0) }
        );
    }
}

#[test]
fn the_future_of_a_run_can_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let transform = Transform::<String>::new();
    let event = event(&[]);
    drop(is_send(transform.run_async(&event, |line: String| {
        std::future::ready(Verdict::Keep(line))
    })));
}

proptest! {
    #[test]
    fn every_id_is_answered_once_within_the_limit(
        records in vec(("[a-e\"]{1,2}", "\\PC{0,60}"), 0..30),
        bytes_max in 0_usize..6_000,
        seed: u8,
    ) {
        let inputs = records.iter().map(|(id, data)| InputRecord::new(&**id, data.as_bytes()));
        let event = Event::of(inputs.collect());
        let transform = Transform::new().response_bytes_max(bytes_max);
        let response = transform.run(&event, |line: String| {
            match (line.len() + usize::from(seed)) % 5 {
                0 => Verdict::Drop,
                1 => Verdict::Fail("one"),
                2 => Verdict::KeepAll(vec![line; 3]),
                _ => Verdict::Keep(line),
            }
        });
        let answered: Vec<_> = answers(&response).into_keys().collect();
        let mut ids: Vec<_> = records.iter().map(|(id, _)| id.clone()).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(&answered, &ids);
        let least: usize = event.records.iter().map(|r| crate::firehose::output::least_bytes(r.id())).sum();
        prop_assert!(response.as_json().len() <= bytes_max.max(least + 14));
    }
}
