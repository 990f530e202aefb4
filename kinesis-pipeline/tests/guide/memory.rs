//! Checks that the bounds in the guide are those of the code.

use std::{fs, path::Path};

use super::table;

const PAGE: &str = include_str!("../../src/guide/memory.md");

/// Returns the text of all sources in a folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            text += &fs::read_to_string(&path).expect("a source");
        }
    }
    text
}

/// Returns the values of all constants with this name. They may be products and shifts of numbers.
fn values(sources: &str, name: &str) -> Vec<u64> {
    let definition = format!("const {name}: ");
    let definitions = sources.split(&definition).skip(1);
    let value = |definition: &str| {
        let (_, text) = definition.split_once(" = ")?;
        let (text, _) = text.split_once(';')?;
        if let Some((number, bits)) = text.split_once(" << ") {
            return Some(number.parse::<u64>().ok()? << bits.parse::<u32>().ok()?);
        }
        let factors = text
            .split(" * ")
            .map(|it| it.replace('_', "").parse::<u64>());
        factors.product::<Result<u64, _>>().ok()
    };
    definitions.filter_map(value).collect()
}

/// Reads a number of the guide, such as `10 MiB` or `10,000`.
fn number(cell: &str) -> u64 {
    let (number, unit) = match cell.strip_suffix(" MiB") {
        Some(number) => (number, 1024 * 1024),
        None => (cell, 1),
    };
    unit * number.replace(',', "").parse::<u64>().expect("a number")
}

#[test]
fn each_bound_of_the_guide_is_a_constant_of_the_code() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut count = 0;
    for heading in [
        "Putting",
        "Reading",
        "Working",
        "Delivering, loading, testing",
    ] {
        for row in table(PAGE, heading) {
            let [bound, value, constant] = row[..] else {
                panic!("{row:?}");
            };
            let values = values(&sources, constant.trim_matches('`'));
            assert!(
                values.contains(&number(value)),
                "{bound}: {values:?} in the code, not {value}"
            );
            count += 1;
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn a_wrong_bound_would_be_found() {
    let source = "const A: usize = 2 * 1_024;\nconst A: u64 = 64 << 20;\nconst AB: usize = 7;";
    assert_eq!(values(source, "A"), [2_048, 64 << 20]);
    assert_eq!(values(source, "B"), Vec::<u64>::new());
}
