//! A benchmark of an identity transform of a Firehose event of 6 MB, beside `serde_json` and base64 without this
//! library.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-benches --bench firehose
//! ```

use std::{hint::black_box, time::Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use kinesis_pipeline::firehose::{self, Event, InputRecord, NewLine, Transform, Verdict};
use kinesis_pipeline_benches::rate;
use serde::{Deserialize, Serialize};

/// The runs of each path in a round. Rounds alternate the paths, so that both have the same conditions.
const RUNS: usize = 15;
const ROUNDS: usize = 5;

fn main() {
    println!(
        "MB/s of event           serde_json + base64    transform  ratio    new line added  ratio"
    );
    for (records, record_bytes) in [(500, 9_000), (10_000, 300)] {
        let json = event(records, record_bytes);
        let mut figures = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (figures, path) in figures.iter_mut().zip([by_hand, as_is, with_new_line]) {
                figures.extend((0..RUNS).map(|_| megabytes_a_second(path, &json)));
            }
        }
        let [by_hand, as_is, new_line] = figures.map(best);
        println!(
            "{records:>6} x {record_bytes:>5} bytes {by_hand:>18.0} {as_is:>15.0} {:>6.2} {new_line:>17.0} {:>6.2}",
            as_is / by_hand,
            new_line / by_hand,
        );
    }
}

/// Returns the best figure, as other load on the machine only makes runs slower.
fn best(figures: Vec<f64>) -> f64 {
    figures.into_iter().fold(0.0, f64::max)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn megabytes_a_second(path: fn(&[u8]) -> Vec<u8>, json: &[u8]) -> f64 {
    let start = Instant::now();
    black_box(path(black_box(json)));
    rate(json.len(), start.elapsed()) / 1e6
}

/// Returns an event with ids in Firehose's form.
fn event(records: usize, record_bytes: usize) -> Vec<u8> {
    let record = |index: usize| {
        let noise = |at: usize| u8::try_from((at * 7 + index) % 251).expect("below 256");
        let data: Vec<u8> = (0..record_bytes).map(noise).collect();
        let id = format!("49546986683135544286507457936321625675700192{index:08}000000");
        InputRecord::new(id, &data)
    };
    Event::of((0..records).map(record).collect()).to_json()
}

fn as_is(json: &[u8]) -> Vec<u8> {
    let event = Event::parse(json).expect("an event");
    let transform = Transform::new().new_line(NewLine::AsIs);
    let response = transform.run(event, |record: Bytes| Verdict::Keep(record));
    response.into_json()
}

fn with_new_line(json: &[u8]) -> Vec<u8> {
    let event = Event::parse(json).expect("an event");
    firehose::transform(event, |record: Bytes| Verdict::Keep(record)).into_json()
}

/// Transforms an event without this library.
fn by_hand(json: &[u8]) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Event {
        records: Vec<Input>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        record_id: String,
        data: String,
    }
    #[derive(Serialize)]
    struct Response {
        records: Vec<Output>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Output {
        record_id: String,
        result: &'static str,
        data: String,
    }
    let event: Event = serde_json::from_slice(json).expect("an event");
    let answer = |input: Input| {
        let data = BASE64_STANDARD.decode(input.data).expect("base64");
        Output {
            record_id: input.record_id,
            result: "Ok",
            data: BASE64_STANDARD.encode(data),
        }
    };
    let records = event.records.into_iter().map(answer).collect();
    serde_json::to_vec(&Response { records }).expect("a response")
}
