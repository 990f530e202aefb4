//! Tests of derived row models, as they read rows.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::{
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisRecord,
    record::{
        EncodeContext,
        row::{
            DropReason, FromRow, Header, HeaderError, Mapped, Row, RowContext, RowError,
            RowProblem, RowReader, Seed, UtcTime,
        },
    },
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const LETTERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn reader<M: FromRow>(columns: usize) -> RowReader<M> {
    let context = RowContext::new(Clock::system(), Seed::new(*b"seed"));
    let mut reader = RowReader::new(context);
    reader
        .open(&Header::new(LETTERS[..columns].iter().copied()))
        .unwrap();
    reader
}

fn read_with<M: FromRow>(reader: &mut RowReader<M>, cells: &[&str]) -> Result<Mapped<M>, RowError> {
    let text = cells.concat();
    let ends: Vec<usize> = cells
        .iter()
        .scan(0, |end, cell| {
            *end += cell.len();
            Some(*end)
        })
        .collect();
    let header = Header::new(LETTERS[..cells.len()].iter().copied());
    reader.read(&Row::new(&text, &ends).with_header(&header).at_line(7))
}

fn read<M: FromRow>(cells: &[&str]) -> Result<Mapped<M>, RowError> {
    read_with(&mut reader(cells.len()), cells)
}

#[track_caller]
fn record<M: FromRow + std::fmt::Debug>(cells: &[&str]) -> M {
    match read(cells) {
        Ok(Mapped::Record(model)) => model,
        other => panic!("{other:?}"),
    }
}

fn json<R: KinesisRecord>(record: &R) -> String {
    let context = EncodeContext::at(SystemTime::UNIX_EPOCH);
    let encoded = EncodedRecord::of(record, None, &context).unwrap();
    String::from_utf8(encoded.data.to_vec()).unwrap()
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Types {
    #[kinesis(pos = 0)]
    int: i64,
    #[kinesis(column = "b", null = ["", "\\N"])]
    float: Option<f64>,
    #[kinesis(partition_key)]
    c: String,
    d: bool,
    #[kinesis(pos = 4, format = "%d.%m.%Y")]
    time: Option<UtcTime>,
    #[kinesis(pos = 5)]
    flag: Option<String>,
}

#[test]
fn types_decide_how_cells_are_read() {
    let model: Types = record(&[" 42", "1.5", " x ", "yes", "31.12.2017", ""]);
    assert_eq!((model.int, model.float, model.d), (42, Some(1.5), true));
    assert_eq!(model.c, "x");
    assert_eq!(model.time.unwrap().to_string(), "2017-12-31T00:00:00Z");
    assert_eq!(model.flag, Some(String::new()));
    assert_eq!(model.partition_key().unwrap(), "x");
}

#[test]
fn the_null_marker_is_none_or_the_types_own_null() {
    let model: Types = record(&["NULL", "\\N", "NULL", "NULL", "NULL", "NULL"]);
    let expected = Types {
        int: 0,
        float: None,
        c: String::new(),
        d: false,
        time: None,
        flag: None,
    };
    assert_eq!(model, expected);
}

#[test]
fn an_error_names_line_column_value_and_what_was_expected() {
    let error = read::<Types>(&["4x", "1", "c", "1", "NULL", ""]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 7, column 0 (`a`): \"4x\" is not an integer from -9223372036854775808 to 9223372036854775807"
    );
    let error = read::<Types>(&["4", "1", "c", "1", "2017", ""]).unwrap_err();
    assert!(error.to_string().contains("%d.%m.%Y"), "{error}");
    let mut reader = reader::<Types>(6);
    let error = read_with(&mut reader, &["4", "1"]).unwrap_err();
    assert_eq!(
        (error.problem, error.column.as_deref()),
        (RowProblem::NoCell, Some("`c`"))
    );
}

#[test]
fn the_header_is_held_against_the_mapping_before_the_first_row() {
    let mut reader = RowReader::<Types>::new(RowContext::default());
    let short = reader.open(&Header::new(["a", "b", "c", "d"])).unwrap_err();
    assert!(
        matches!(
            short,
            HeaderError::TooShort {
                position: 4,
                columns: 4,
                ..
            }
        ),
        "{short}"
    );
    let missing = reader
        .open(&Header::new(["a", "x", "c", "d", "e", "f"]))
        .unwrap_err();
    assert!(
        matches!(&missing, HeaderError::NoColumn { column, .. } if column == "b"),
        "{missing}"
    );
    let twice = reader
        .open(&Header::new(["a", "b", "c", "d", "c", "f"]))
        .unwrap_err();
    assert!(
        matches!(&twice, HeaderError::Ambiguous { column, .. } if column == "c"),
        "{twice}"
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(drop_if_none = s, drop_non_unique, table_name = "labels")]
struct Labelled {
    #[kinesis(pos = 0, unique)]
    id: u64,
    #[kinesis(pos = 1)]
    s: Option<String>,
    #[kinesis(pos = 1, max_length = 5)]
    label: String,
}

#[test]
fn rows_are_dropped_for_none_and_for_what_came_before_and_labels_are_cut() {
    let mut reader = reader::<Labelled>(2);
    let mut read = |id, s| read_with(&mut reader, &[id, s]).unwrap();
    let kept = |mapped| matches!(mapped, Mapped::Record(_));
    assert!(kept(read("1", "a")));
    assert_eq!(read("1", "b"), Mapped::Dropped(DropReason::NotUnique));
    assert_eq!(read("2", "NULL"), Mapped::Dropped(DropReason::None));
    // The values of a dropped row do not count as seen, like those of a row that is no model.
    assert!(kept(read("2", "x")));
    let Mapped::Record(last) = read("3", "long \"q\" v") else {
        panic!("dropped")
    };
    assert_eq!(last.label, "long ");
    assert_eq!(Labelled::MAPPING.table, "labels");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(fail_non_unique, fail_not_validated)]
struct Strict {
    #[kinesis(pos = 0, unique, validate = is_short)]
    a: String,
}

fn is_short(text: &str) -> bool {
    text.len() < 5
}

#[test]
fn fail_options_make_errors_that_stop_every_load() {
    let mut reader = reader::<Strict>(1);
    assert!(read_with(&mut reader, &["x"]).is_ok());
    let error = read_with(&mut reader, &["x"]).unwrap_err();
    assert!(
        error.is_fatal && error.problem == RowProblem::Duplicate,
        "{error:?}"
    );
    let error = read_with(&mut reader, &["too long"]).unwrap_err();
    assert!(error.is_fatal, "{error:?}");
    assert_eq!(
        error.to_string(),
        "line 7, column 0 (`a`): \"too long\" is not valid"
    );
}

static COUNTRIES: LazyLock<HashMap<String, u32>> =
    LazyLock::new(|| HashMap::from([("NL".to_owned(), 31), ("IT".to_owned(), 39)]));

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(null = "")]
struct Values {
    #[kinesis(pos = 0, map = COUNTRIES, default = 0)]
    code: u32,
    #[kinesis(pos = 1, default = "none")]
    text: Option<String>,
    #[kinesis(pos = 2, parse = parse_hex)]
    hex: u32,
    #[kinesis(pos = 3, default = home, replace = "<{}>")]
    place: String,
    #[kinesis(parse = cells)]
    cells: usize,
    #[kinesis(now)]
    at: UtcTime,
    #[kinesis(uuid)]
    id: Uuid,
    #[kinesis(pos = 4, uuid)]
    known: Option<Uuid>,
    #[kinesis(pos = 5, replace = doubled, anonymize = masked(1))]
    number: i64,
    #[serde(skip)]
    skipped: u8,
}

fn parse_hex(text: &str) -> Result<u32, &'static str> {
    u32::from_str_radix(text, 16).map_err(|_| "a hexadecimal number")
}

fn home() -> String {
    "home".to_owned()
}

fn cells(row: &Row<'_>) -> usize {
    row.len()
}

fn doubled(number: i64) -> i64 {
    number * 2
}

fn masked(keep: usize) -> impl Fn(&str, &Seed) -> String {
    move |text, seed| format!("{}{}", &text[..keep], seed.as_bytes().len())
}

#[test]
fn functions_maps_defaults_and_generated_values_fill_fields() {
    let model: Values = record(&["NL", "", "ff", "", "x", "77"]);
    assert_eq!((model.code, model.hex, model.cells), (31, 255, 6));
    assert_eq!(model.text.as_deref(), Some("none"));
    assert_eq!(model.place, "<home>");
    assert_ne!(model.id, model.known.unwrap());
    assert_eq!(model.id.get_version_num(), 4);
    let age = model.at.0.elapsed().unwrap();
    assert!(age < Duration::from_hours(1), "{age:?}");
    // The anonymizer comes first (`7` and the seed's 4 bytes), and then the replacement.
    assert_eq!(model.number, 74 * 2);
    let other: Values = record(&["XX", "", "ff", "", "", "77"]);
    assert_eq!((other.code, other.known), (0, None));
    let error = read::<Values>(&["XX", "", "xyz", "", "", "77"]).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("\"xyz\" is not a hexadecimal number"),
        "{error}"
    );
}

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
#[kinesis(rows, emit = Pair::both)]
struct Pair {
    a: String,
    b: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct One {
    #[kinesis(partition_key)]
    text: String,
}

impl Pair {
    fn both(self) -> Vec<One> {
        vec![One { text: self.a }, One { text: self.b }]
    }
}

#[test]
fn one_model_can_emit_many_records() {
    let pair: Pair = record(&["x", "y"]);
    let texts: Vec<_> = pair
        .into_records()
        .into_iter()
        .map(|one| json(&one))
        .collect();
    assert_eq!(texts, [r#"{"text":"x"}"#, r#"{"text":"y"}"#]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Renamed {
    #[serde(rename = "b")]
    #[kinesis(required)]
    name: String,
}

#[test]
fn a_field_without_a_column_reads_that_of_its_own_or_serdes_name() {
    let model: Renamed = record(&["x", "y"]);
    assert_eq!(model.name, "y");
    let error = read::<Renamed>(&["x", "NULL"]).unwrap_err();
    assert_eq!(error.problem, RowProblem::Null);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct OneWay {
    #[serde(rename(deserialize = "b", serialize = "x"))]
    name: String,
    #[serde(rename(serialize = "y"))]
    #[kinesis(required)]
    c: String,
}

#[test]
fn a_name_that_serde_only_writes_is_no_column() {
    let model: OneWay = record(&["1", "2", "3"]);
    assert_eq!((&*model.name, &*model.c), ("2", "3"));
    assert_eq!(json(&model), r#"{"x":"2","y":"3"}"#);
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(drop_if_none = [type, r#fn, "match"])]
struct Keywords {
    #[kinesis(column = "a")]
    r#type: Option<String>,
    #[kinesis(pos = 1)]
    r#fn: i64,
    #[kinesis(pos = 2, unique)]
    r#match: String,
}

#[test]
fn a_field_may_have_the_name_of_a_keyword() {
    assert_eq!(
        json(&record::<Keywords>(&["x", "1", "y"])),
        r#"{"type":"x","fn":1,"match":"y"}"#
    );
    for cells in [["NULL", "1", "y"], ["x", "NULL", "y"], ["x", "1", "NULL"]] {
        let dropped = Mapped::Dropped(DropReason::None);
        assert_eq!(read::<Keywords>(&cells), Ok(dropped), "{cells:?}");
    }
    assert_eq!(Keywords::MAPPING.columns[1].field, "fn");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Together {
    #[kinesis(pos = 0, null = ["", "-"], default = 7)]
    number: Option<i64>,
    #[kinesis(pos = 1, max_length = 3, anonymize = shout, replace = "<{}>")]
    text: Option<String>,
    #[kinesis(pos = 2, format = "%d.%m.%Y %H:%M", null = ["", "never"])]
    at: Option<UtcTime>,
    #[kinesis(pos = 3, map = COUNTRIES)]
    code: Option<u32>,
    #[kinesis(pos = 4, default = home_or_none, anonymize = shout)]
    place: Option<String>,
}

fn shout(text: &str, _: &Seed) -> String {
    text.to_uppercase()
}

#[expect(clippy::unnecessary_wraps, reason = "it has the type of the field")]
fn home_or_none() -> Option<String> {
    Some(home())
}

#[test]
fn settings_work_together() {
    let text = |cells: &[&str]| json(&record::<Together>(cells));
    assert_eq!(
        text(&["", "éèêë", "31.12.2017 08:30", "NL", "x"]),
        r#"{"number":7,"text":"<ÉÈÊ>","at":"2017-12-31T08:30:00Z","code":31,"place":"X"}"#
    );
    assert_eq!(
        text(&["-", "NULL", "never", "XX", "NULL"]),
        r#"{"number":7,"text":null,"at":null,"code":null,"place":"HOME"}"#
    );
    assert!(read::<Together>(&["NULL", "", "", "", ""]).is_err());
}
