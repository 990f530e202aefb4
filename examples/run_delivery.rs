//! Runs the workshop and checks the files that it writes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Returns all lines of the files below a delivery's folder.
fn lines(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    files(folder, &mut found);
    let read = |path: &PathBuf| std::fs::read_to_string(path).expect("it is text");
    let texts: Vec<String> = found.iter().map(read).collect();
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_workshop_leaves_a_tree_of_good_and_failed_objects_and_the_counts() {
    let this = std::env::current_exe().expect("the test has a path");
    let profile = this
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    let folder = std::env::temp_dir().join(format!("run-workshop-{}", std::process::id()));
    let output = Command::new(profile.join("examples/workshop"))
        .arg(&folder)
        .output()
        .expect("it is built: run `cargo test` without `--test`");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("raw:      1000 of 1000 delivered"), "{text}");
    assert!(
        text.contains("filtered: 112 Ok, 666 Dropped, 222 ProcessingFailed of 1000"),
        "{text}"
    );

    assert_eq!(lines(&folder.join("raw/good")).len(), 1_000);
    let failed = lines(&folder.join("firehose/processing-failed"));
    assert_eq!(failed.len(), 222);
    for line in &failed {
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(
            line["errorMessage"],
            "the function refused it: not a state of the US"
        );
    }
    let all = lines(&folder.join("firehose"));
    let good: Vec<_> = all.iter().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(good.len(), 112);
    assert!(
        good.iter()
            .all(|line| line.starts_with("New York State found !! for entry: {\""))
    );
    // The layout is `firehose/YYYY/MM/DD/HH/name`.
    let mut found = Vec::new();
    files(&folder, &mut found);
    let is_hourly = |path: &Path| {
        let path = path.strip_prefix(&folder).expect("it is below");
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let digits: Vec<_> = parts[1..].iter().take(4).map(|part| part.len()).collect();
        parts[0] == "firehose" && digits == [4, 2, 2, 2] && parts.len() == 6
    };
    assert!(found.iter().any(|path| is_hourly(path)), "{found:?}");
    std::fs::remove_dir_all(folder).expect("it is there");
}
