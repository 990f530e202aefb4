//! Checks that the guide's first page links every page, and that the library's pages lead to the guide.

use std::{fs, path::Path};

const FIRST: &str = include_str!("../../src/guide/mod.rs");
const LIBRARY: &str = include_str!("../../src/lib.rs");

/// Returns the names of the guide's pages, by their files.
fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide");
    let files = fs::read_dir(folder).expect("the guide");
    let names = files.filter_map(|file| {
        let name = file.expect("a file").file_name();
        Some(name.to_str()?.strip_suffix(".md")?.to_owned())
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn the_first_page_of_the_guide_links_each_page() {
    assert!(pages().len() >= 13);
    for page in pages() {
        assert!(
            FIRST.contains(&format!("| [`{page}`] |")),
            "{page} has no row"
        );
        let module = format!("#[doc = include_str!(\"{page}.md\")]");
        assert!(FIRST.contains(&module), "{page} is no page");
    }
}

#[test]
fn the_first_page_of_the_library_links_each_page() {
    for page in pages() {
        assert!(
            LIBRARY.contains(&format!("(guide::{page})")),
            "{page} is not linked"
        );
    }
}

/// Not part of the package, as the README is beside it only in the repository.
#[test]
fn the_readme_links_each_page() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let Ok(readme) = fs::read_to_string(readme) else {
        return;
    };
    for page in pages() {
        let link =
            format!("https://docs.rs/kinesis-pipeline/latest/kinesis_pipeline/guide/{page}/");
        assert!(readme.contains(&link), "{page} is not linked");
    }
}
