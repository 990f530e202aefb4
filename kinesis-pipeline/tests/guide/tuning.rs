//! Compares the tables of defaults with the `Debug` output of the builders.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use kinesis_pipeline::{
    Clock, ErrorPolicy, KinesisStream, LocalKinesis, PutOptions, StartAt, local::Fault,
};
use tokio::time::Instant;

use crate::table;

const PAGE: &str = include_str!("../../src/guide/tuning.md");

type Fields = BTreeMap<String, String>;

async fn stream() -> KinesisStream<Bytes> {
    let local = LocalKinesis::start().await.expect("it starts");
    local.stream("readings", 1).await.expect("a new stream")
}

/// Returns the fields of a struct from its `Debug` form.
fn fields(debug: &str) -> Fields {
    let (_, inside) = debug.split_once('{').expect("a struct with fields");
    let inside = inside.trim().trim_end_matches('}');
    let (mut fields, mut depth, mut start) = (Fields::new(), 0, 0);
    let mut add = |text: &str| {
        if let Some((name, value)) = text.trim().split_once(": ") {
            fields.insert(name.to_owned(), value.trim().to_owned());
        }
    };
    for (at, char) in inside.char_indices() {
        match char {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                add(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    add(&inside[start..]);
    fields
}

/// Returns a value in the form of the tables: with its unit, and with commas between thousands.
fn written(name: &str, value: &str) -> String {
    let value = value.trim_matches('"');
    match value {
        "true" => return "yes".to_owned(),
        "false" => return "no".to_owned(),
        _ => {}
    }
    if value == usize::MAX.to_string() {
        return "no limit".to_owned();
    }
    if let Some(duration) = duration(value) {
        return duration;
    }
    match value.parse::<u64>() {
        Ok(bytes) if name.contains("bytes") => match (bytes / 1024, bytes / 1024 / 1024) {
            (_, mib) if mib > 0 && bytes % (1024 * 1024) == 0 => format!("{mib} MiB"),
            (kib, _) => format!("{kib} KiB"),
        },
        Ok(number) if !value.starts_with('0') || value == "0" => thousands(number),
        _ => value.to_owned(),
    }
}

fn duration(value: &str) -> Option<String> {
    if let Some(millis) = value.strip_suffix("ms") {
        return Some(format!("{millis} ms"));
    }
    let seconds = match value.strip_suffix("ns") {
        Some(nanos) => nanos.parse().ok().filter(|nanos| *nanos == 0)?,
        None => value.strip_suffix('s')?.parse::<u64>().ok()?,
    };
    Some(match seconds {
        120.. if seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    })
}

fn thousands(number: u64) -> String {
    match number {
        1_000.. => format!("{},{:03}", thousands(number / 1_000), number % 1_000),
        _ => number.to_string(),
    }
}

/// Returns the name in a cell. Long names have marks where a narrow screen may break them.
fn setting(cell: &str) -> String {
    let name = cell.replace("<wbr>", "");
    let name = name
        .trim_start_matches("<code>")
        .trim_end_matches("</code>");
    name.trim_matches('`').to_owned()
}

/// Checks a column of a table. `names` has the settings whose field has another name, and `untold` the fields that are
/// not settings. A dash in the table means that the setting does not exist there.
fn compare(
    heading: &str,
    column: usize,
    mut found: Fields,
    names: &[(&str, &str)],
    untold: &[&str],
) {
    for name in untold {
        assert!(
            found.remove(*name).is_some(),
            "{heading}: there is no field {name}"
        );
    }
    for row in table(PAGE, heading) {
        let setting = setting(row[0]);
        let setting = setting.as_str();
        let renamed = names.iter().find(|(name, _)| *name == setting);
        let field = renamed.map_or(setting, |(_, field)| field);
        let value = found.remove(field);
        if row[column] == "-" {
            continue;
        }
        let value = value.unwrap_or_else(|| panic!("{heading}: {setting} is no field {field}"));
        assert_eq!(
            row[column],
            written(field, &value),
            "{heading}: the default of {setting}"
        );
    }
    assert!(
        found.is_empty(),
        "{heading}: settings without a row: {found:?}"
    );
}

/// Replaces the two fields of the back-off by one, as the table has one row for them.
fn with_backoff(mut found: Fields) -> Fields {
    let mut take = |name: &str| written(name, &found.remove(name).expect("a back-off"));
    let both = format!("{} to {}", take("backoff_min"), take("backoff_max"));
    found.insert("backoff".to_owned(), both);
    found
}

const PUT_NAMES: [(&str, &str); 4] = [
    ("linger", "linger_max"),
    ("ignore_limits", "ignores_limits"),
    ("whole_aggregates_again", "put_again"),
    ("close_timeout", "close_timeout"),
];

#[test]
fn the_table_of_puts_has_the_defaults_of_put_options() {
    let found = with_backoff(fields(&format!("{:?}", PutOptions::new())));
    compare(
        "Puts",
        1,
        found,
        &PUT_NAMES,
        &["eager", "placed", "request_bytes_max"],
    );
}

#[tokio::test(start_paused = true)]
async fn the_table_of_puts_has_the_defaults_of_the_producer() {
    let stream = stream().await;
    let builder = format!("{:?}", stream.producer());
    let options = fields(&builder)["options"].clone();
    let mut found = with_backoff(fields(&options));
    let again = found.insert("put_again".to_owned(), "false".to_owned());
    assert_eq!(again.as_deref(), Some("Strays"), "not the whole aggregate");
    // The builder does not show this value, so it is measured.
    let waited = format!("{:?}", time_of_close().await);
    found.insert("close_timeout".to_owned(), waited);
    compare(
        "Puts",
        2,
        found,
        &PUT_NAMES,
        &["eager", "placed", "request_bytes_max"],
    );
}

/// Returns the time that `close` waits for a request that does not end.
async fn time_of_close() -> Duration {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH);
    let local = LocalKinesis::builder()
        .clock(clock)
        .start()
        .await
        .expect("it starts");
    let stream = local
        .stream::<Bytes>("slow", 1)
        .await
        .expect("a new stream");
    let slow = Fault::delay(Duration::from_hours(1))
        .on("PutRecords")
        .always();
    local.faults().add(slow).expect("a fault");
    let producer = stream.producer().build().expect("the defaults are valid");
    let pending = producer.put(&"a".into()).await.expect("there is room");
    #[expect(clippy::disallowed_methods, reason = "the paused clock of the test")]
    let begun = Instant::now();
    producer
        .close()
        .await
        .expect_err("the record is on its way");
    drop(pending);
    begun.elapsed()
}

#[tokio::test]
async fn the_table_of_readers_has_the_defaults() {
    let reader = format!("{:?}", stream().await.reader());
    let found = fields(&fields(&reader)["options"]);
    let names = [
        ("multi_stream", "is_multi_stream"),
        ("keep_aggregates", "keeps_aggregates"),
        ("drop_strays", "drops_strays"),
        ("fall_back_to_polling", "falls_back"),
        ("ignore_limits", "ignores_limits"),
    ];
    let untold = ["saver", "ranges", "is_leased", "poll_budget"];
    compare("Readers", 1, found, &names, &untold);
}

#[tokio::test]
async fn the_table_of_workers_has_the_defaults() {
    let worker = format!("{:?}", stream().await.worker("billing"));
    let mut found = fields(&fields(&worker)["settings"]);
    let batch = fields(&found.remove("batch").expect("the limits of a batch"));
    let reader = fields(&found.remove("reader").expect("the reader"));
    found.extend(
        batch
            .into_iter()
            .map(|(name, value)| (format!("batch_{name}"), value)),
    );
    for name in [
        "poll_interval",
        "poll_interval_max",
        "prefetch_bytes_max",
        "on_trimmed",
        "fan_out",
    ] {
        found.insert(name.to_owned(), reader[name].clone());
    }
    let policy = found.insert("on_error".to_owned(), "retry".to_owned());
    assert_eq!(policy, Some(format!("{:?}", ErrorPolicy::retry())));
    let names = [
        ("concurrency", "lanes"),
        ("multi_stream", "is_multi_stream"),
    ];
    compare("Workers", 1, found, &names, &["app", "me", "initial"]);
    assert_eq!(
        StartAt::default(),
        StartAt::Latest,
        "as the page on KCL says"
    );
}

#[test]
fn the_table_of_error_policies_has_the_defaults() {
    let found = fields(&format!("{:?}", ErrorPolicy::default()));
    compare(
        "Error policies",
        1,
        found,
        &[("bisect", "bisects")],
        &["then"],
    );
}

#[test]
fn the_table_of_the_embedded_kinesis_has_the_defaults() {
    let builder = fields(&format!("{:?}", LocalKinesis::builder()));
    let found = fields(&builder["settings"]);
    compare("The embedded Kinesis", 1, found, &[], &[]);
}

#[test]
fn a_default_that_the_table_does_not_have_is_found() {
    let other = format!("{:?}", PutOptions::new().attempts_max(11));
    let found = with_backoff(fields(&other));
    let compared = std::panic::catch_unwind(|| {
        compare(
            "Puts",
            1,
            found,
            &PUT_NAMES,
            &["eager", "placed", "request_bytes_max"],
        );
    });
    assert!(compared.is_err());
}
