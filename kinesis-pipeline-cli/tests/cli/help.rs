//! What the program says of itself.

use crate::{bare_command, end_of};

const COMMANDS: [&str; 25] = [
    "local",
    "load",
    "put",
    "get",
    "leases",
    "lag",
    "redrive",
    "streams",
    "shards",
    "create",
    "delete",
    "deliver",
    "transform",
    "sql",
    "list-checkpoints",
    "prune-checkpoints",
    "split",
    "merge",
    "describe",
    "scale",
    "retention",
    "mode",
    "tags",
    "consumers",
    "completions",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_help_has_the_exit_status_and_the_common_options_apart() {
    for command in COMMANDS.iter().chain(&["", "man"]) {
        let help = end_of(bare_command(&format!("{command} --help")), "").await;
        assert_eq!(help.status, Some(0), "{command}");
        assert!(
            help.out.contains("Exit status:\n  0 "),
            "{command}: {}",
            help.out
        );
        let common = help.out.split("Common options:").nth(1).unwrap();
        assert!(common.contains("--endpoint-url"), "{command}: {}", help.out);
        let own = help.out.split("Common options:").next().unwrap();
        assert!(!own.contains("--endpoint-url"), "{command}: {}", help.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let script = end_of(bare_command(&format!("completions {shell}")), "").await;
        assert_eq!(script.status, Some(0), "{}", script.err);
        for word in COMMANDS.iter().chain(&["from-json", "keep-consumer"]) {
            assert!(script.out.contains(word), "{shell}: {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_manual_page_for_the_program_and_each_command() {
    let page = end_of(bare_command("man"), "").await;
    assert!(page.out.contains(".TH kinesis-pipeline 1"), "{}", page.out);
    for command in COMMANDS {
        let page = end_of(bare_command(&format!("man {command}")), "").await;
        assert!(page.out.contains(".TH "), "{command}: {}", page.err);
        assert!(page.out.contains("Exit status"), "{command}: {}", page.out);
    }
    let none = end_of(bare_command("man other"), "").await;
    assert_eq!(none.status, Some(2));
}
