//! Checks the guide against the code: the tables of defaults and bounds, the IAM policies, the test that users copy,
//! the links.

mod iam;
mod links;
mod memory;
mod tuning;
#[path = "../../src/guide/whole_test.rs"]
mod whole_test;

/// Returns the rows of the tables under a heading of a page, without their head, as cells.
fn table<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = page
        .split_once(&format!("\n# {heading}\n"))
        .unwrap_or_else(|| panic!("the page has no heading {heading}"));
    let section = section.split("\n# ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let cells = |row: &'a str| {
        let row = row.trim_matches('|');
        row.split('|').map(str::trim).collect()
    };
    rows.skip(2).map(cells).collect()
}
