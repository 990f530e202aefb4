//! A test that follows the README as a newcomer does: a package with its lines of Cargo.toml and its programs is built
//! and run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const README: &str = include_str!("../README.md");

/// The README's programs, by their headings, each with a part of its output.
const PRINTED: [(&str, &str); 5] = [
    (
        "readme_put_and_get",
        "attic Reading { device: \"attic\", temperature: 21.5 }",
    ),
    ("readme_a_producer_at_full_speed", ""),
    (
        "readme_a_consumer_that_survives_restarts",
        "after a restart: 10 orders so far",
    ),
    ("readme_a_fleet_of_workers", "4 shards handed over"),
    ("readme_firehose", r#""recordId":"1","result":"Ok""#),
];

/// A block of code in the README.
struct Block {
    /// The heading above it, as a file name.
    name: String,
    language: &'static str,
    code: &'static str,
}

fn blocks() -> Vec<Block> {
    let (mut blocks, mut name, mut rest) = (Vec::new(), String::new(), README);
    while let Some((before, after)) = rest.split_once("```") {
        if let Some(heading) = before
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("## "))
        {
            let letters = heading
                .to_lowercase()
                .replace(|char: char| !char.is_alphanumeric(), "_");
            name = format!("readme_{letters}");
        }
        let (language, after) = after.split_once('\n').expect("a line");
        let (code, after) = after.split_once("```").expect("the end of the block");
        blocks.push(Block {
            name: name.clone(),
            language,
            code,
        });
        rest = after;
    }
    blocks
}

/// Returns the folder of this workspace.
fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .expect("the tests are in the workspace")
        .to_owned()
}

/// Returns the folder that cargo builds this workspace in.
fn target() -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let target = test
        .ancestors()
        .nth(3)
        .expect("target/<profile>/deps/<test>");
    target.to_owned()
}

/// A package with only the lines of the README, and patches to the library's folders.
struct Newcomer {
    folder: PathBuf,
}

impl Newcomer {
    fn new() -> Self {
        let folder = target().join("readme");
        let _ = fs::remove_dir_all(&folder);
        for part in ["src", "examples", "tests"] {
            fs::create_dir_all(folder.join(part)).expect("a folder");
        }
        let blocks = blocks();
        let lines = blocks
            .iter()
            .find(|block| block.language == "toml")
            .expect("the lines of Cargo.toml");
        let root = workspace();
        let patch = |name: &str| format!("{name} = {{ path = '{}' }}\n", root.join(name).display());
        let manifest = format!(
            "[package]\nname = \"newcomer\"\nedition = \"2024\"\n\n{}\n[workspace]\n\n[patch.crates-io]\n{}{}",
            lines.code,
            patch("kinesis-pipeline"),
            patch("kinesis-pipeline-derive"),
        );
        let this = Self { folder };
        this.write("Cargo.toml", &manifest);
        // The package uses the workspace's versions: they are available offline, and some of them are built already.
        let lock = fs::read_to_string(root.join("Cargo.lock")).expect("a lock file");
        this.write("Cargo.lock", &lock);
        for block in blocks.iter().filter(|block| block.language == "rust") {
            let kind = if block.is_test() { "tests" } else { "examples" };
            this.write(&format!("{kind}/{}.rs", block.name), block.code);
        }
        this.write("src/main.rs", "fn main() {}\n");
        this
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.join(path), text).expect("a file is written");
    }

    fn edit(&self, path: &str, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.folder.join(path)).expect("a file");
        self.write(path, &change(text));
    }

    /// Runs cargo in the package, and returns its output.
    fn cargo(&self, arguments: &[&str]) -> String {
        let mut cargo = Command::new(env!("CARGO"));
        // The profile is that of the workspace, so that crates with the same features are not built again.
        let profile = [
            "--config",
            r#"profile.dev.package."*".debug=false"#,
            "--config",
            "profile.dev.package.md-5.opt-level=3",
        ];
        let cargo = cargo.args(arguments).args(profile).arg("--offline");
        let output = cargo
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", target())
            .output()
            .expect("cargo starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "cargo {arguments:?}\n{stdout}\n{stderr}"
        );
        stdout
    }
}

impl Block {
    fn is_test(&self) -> bool {
        self.code.contains("#[tokio::test")
    }
}

#[test]
#[ignore = "builds the SDK with the features of a newcomer, which takes minutes: `.ci/run` runs it"]
fn the_programs_of_the_readme_run_in_a_package_with_its_lines() {
    let newcomer = Newcomer::new();
    let tests = newcomer.cargo(&["test", "--tests"]);
    assert!(
        tests.contains("test a_reading_is_gone_after_a_day ... ok"),
        "{tests}"
    );
    for (name, expected) in PRINTED {
        let output = newcomer.cargo(&["run", "--quiet", "--example", name]);
        assert!(output.contains(expected), "{name}: {output}");
    }

    // The program is moved to `src/main.rs`. The line of `cargo add` is written by hand, as no registry has the library
    // yet.
    assert!(README.contains("`cargo add kinesis-pipeline --features local`"));
    newcomer.edit("Cargo.toml", |text| {
        let line = "[dependencies]\nkinesis-pipeline = \"0.1\"\n";
        assert!(text.contains(line), "{text}");
        let added =
            "[dependencies]\nkinesis-pipeline = { version = \"0.1\", features = [\"local\"] }\n";
        text.replace(line, added)
    });
    let program = newcomer.folder.join("examples/readme_put_and_get.rs");
    fs::copy(program, newcomer.folder.join("src/main.rs")).expect("a copy");
    let output = newcomer.cargo(&["run", "--quiet"]);
    assert!(output.contains("attic Reading"), "{output}");
}

#[test]
fn every_program_of_the_readme_is_one_that_the_test_runs() {
    let blocks = blocks();
    let programs = blocks.iter().filter(|block| block.language == "rust");
    let names: Vec<_> = programs
        .filter(|block| !block.is_test())
        .map(|block| &*block.name)
        .collect();
    assert_eq!(names, PRINTED.map(|(name, _)| name));
}

/// Registries show the README without the repository beside it, so relative links would not work.
#[test]
fn every_link_of_the_readme_is_absolute_or_leads_to_one_of_its_headings() {
    let headings: Vec<_> = README
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    let links: Vec<_> = README
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .collect();
    assert!(links.len() > 20, "{links:?}");
    for link in links {
        let leads = match link.strip_prefix('#') {
            Some(anchor) => headings.iter().any(|heading| heading == anchor),
            None => link.starts_with("https://"),
        };
        assert!(leads, "{link}");
    }
}
