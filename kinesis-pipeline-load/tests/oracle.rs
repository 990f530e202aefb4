//! data-migrator 0.6.2 as an oracle: one file, its messages and ours.
//!
//! ```text
//! pip install data-migrator==0.6.2 boto3
//! DATA_MIGRATOR_PYTHON=python3 cargo test -p kinesis-pipeline-load --test oracle -- --ignored
//! ```
//!
//! What deviates, and why:
//!
//! | data-migrator | ours | reason |
//! |---|---|---|
//! | `json.dumps`: a space after `,` and `:`, `\u00e9` for `é` | compact, UTF-8 | fewer bytes; the same JSON |
//! | a UUID of its own in every run | the same | compared by its version |
//! | any text that begins with y, t or 1 is true, any other false | ten words, anything else is an error | `tomato` is no truth |
//! | `int` takes `1_000` and other digits than 0 to 9 | an error | no database writes them |
//! | a row of too few or too many cells passes if all positions are there | an error | the columns may have shifted |
//! | a row that is not valid is dropped unless `fail_not_validated` | an error unless `drop_not_validated` | nothing is lost silently |
//! | a blank line ends the program | is skipped | a file often ends in one |
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::{fs, path::Path, process::Command};

use kinesis_pipeline::{
    KinesisRecord, KinesisStream, LocalKinesis,
    record::{
        EncodeContext,
        row::{FromRow, Row},
    },
};
use kinesis_pipeline_load::Loader;
use proptest::{
    collection,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

const ROWS: usize = 2_000;

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(metadata = meta)]
struct TrialModel {
    #[kinesis(pos = 1, uuid)]
    uuid: Option<Uuid>,
    #[kinesis(pos = 2)]
    value: i64,
    #[kinesis(pos = 2)]
    maybe: Option<i64>,
    #[kinesis(pos = 3)]
    name: String,
    #[kinesis(pos = 4, max_length = 5)]
    note: Option<String>,
    #[kinesis(pos = 5)]
    flag: bool,
    #[kinesis(parse = Row::len)]
    cells: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    event_type: &'static str,
}

fn meta(_: &TrialModel, _: &EncodeContext) -> Meta {
    Meta {
        event_type: "model.create",
    }
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(drop_if_none = note, drop_non_unique, drop_not_validated)]
struct Drops {
    #[kinesis(pos = 0, unique)]
    id: i64,
    #[kinesis(pos = 4)]
    note: Option<String>,
    #[kinesis(pos = 3, validate = has_no_x)]
    name: String,
    #[kinesis(pos = 3, default = "home", replace = "<{}>")]
    place: String,
}

fn has_no_x(text: &str) -> bool {
    !text.contains('x')
}

/// A cell as a database writes it, in quotes where it must be.
fn quoted(text: &str) -> String {
    if text.contains(['\t', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn row() -> impl Strategy<Value = String> {
    let text = || {
        prop_oneof![
            4 => "[ a-zA-Zéx0-9,;'-]{0,12}",
            1 => "[a-z\t\"\n]{1,8}",
            1 => Just("NULL".to_owned()),
        ]
    };
    let number = prop_oneof![
        4 => any::<i32>().prop_map(|number| number.to_string()),
        1 => any::<i16>().prop_map(|number| format!(" {number} ")),
        1 => Just("NULL".to_owned()),
    ];
    let uuid = prop_oneof![Just("NULL"), Just("old")];
    let flag = prop_oneof![
        Just("yes"),
        Just("y"),
        Just("true"),
        Just("T"),
        Just("1"),
        Just("NULL"),
        Just("no"),
        Just("N"),
        Just("False"),
        Just("f"),
        Just("0")
    ];
    (0..500_u32, uuid, number, text(), text(), flag).prop_map(
        |(id, uuid, number, name, note, flag)| {
            let cells = [
                &id.to_string(),
                uuid,
                &number,
                &quoted(&name),
                &quoted(&note),
                flag,
            ];
            cells.join("\t")
        },
    )
}

fn table() -> String {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let rows = collection::vec(row(), ROWS)
        .new_tree(&mut runner)
        .unwrap()
        .current();
    format!(
        "id\told_uuid\tvalue\tname\tnote\tflag\n{}\n",
        rows.join("\n")
    )
}

async fn ours<M: FromRow + 'static>(path: &Path) -> Vec<String> {
    let local = LocalKinesis::start().await.unwrap();
    let stream: KinesisStream<M> = local.stream("oracle", 1).await.unwrap();
    let loader = Loader::new(&stream).trial(true).samples(ROWS);
    let report = loader.load(path).await.unwrap();
    report
        .samples
        .into_iter()
        .map(|sample| sample.data)
        .collect()
}

fn theirs(python: &str, path: &Path, model: &str) -> Vec<String> {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/foreign/tutorial_messages.py");
    let output = Command::new(python)
        .arg(script)
        .arg(path)
        .arg(model)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The message without what differs in every run.
fn comparable(text: &str) -> (Vec<String>, Value) {
    let mut value: Value = serde_json::from_str(text).unwrap();
    // The order of the fields is part of the message.
    let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    names.sort_by_key(|name| text.find(&format!("\"{name}\":")));
    if let Some(uuid) = value.get_mut("uuid")
        && let Some(text) = uuid.as_str()
    {
        assert_eq!(Uuid::parse_str(text).unwrap().get_version_num(), 4);
        *uuid = "<v4>".into();
    }
    (names, value)
}

async fn compare<M: FromRow + 'static>(model: &str) {
    let python = std::env::var("DATA_MIGRATOR_PYTHON").expect("a Python that has data-migrator");
    let path = std::env::temp_dir().join(format!("oracle-{model}-{}.tsv", std::process::id()));
    fs::write(&path, table()).unwrap();
    let (ours, theirs) = (ours::<M>(&path).await, theirs(&python, &path, model));
    fs::remove_file(path).unwrap();
    assert!(ours.len() > 100 && ours.len() <= ROWS, "{}", ours.len());
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(comparable(ours), comparable(theirs));
    }
}

#[tokio::test]
#[ignore = "needs DATA_MIGRATOR_PYTHON"]
async fn the_tutorials_fields_give_the_messages_of_data_migrator() {
    compare::<TrialModel>("trial").await;
}

#[tokio::test]
#[ignore = "needs DATA_MIGRATOR_PYTHON"]
async fn rows_are_dropped_as_data_migrator_drops_them() {
    compare::<Drops>("drops").await;
}
