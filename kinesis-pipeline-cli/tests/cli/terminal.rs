//! The program at a terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Stdio,
};

use rustix_openpty::{Pty, openpty};
use tokio::{process::Command, time::timeout};

use crate::{PATIENCE, Program};

/// A terminal for one of a program's streams.
struct Terminal {
    ours: File,
    theirs: Option<Stdio>,
}

impl Terminal {
    fn new() -> Self {
        let Pty { controller, user } = openpty(None, None).unwrap();
        Self {
            ours: controller.into(),
            theirs: Some(user.into()),
        }
    }

    /// Runs a command to its end: its status, and what it wrote to the terminal.
    async fn end_of(mut self, mut command: Command) -> (Option<i32>, String) {
        let mut child = command.spawn().unwrap();
        // The terminal ends with the last one that has it.
        drop(command);
        let read = tokio::task::spawn_blocking(move || {
            let (mut all, mut some) = (Vec::new(), [0; 4096]);
            // Linux tells the end of a terminal by an error.
            while let Ok(count @ 1..) = self.ours.read(&mut some) {
                all.extend_from_slice(&some[..count]);
            }
            String::from_utf8(all).unwrap()
        });
        let status = timeout(PATIENCE, child.wait()).await.expect("it ends");
        let shown = timeout(PATIENCE, read).await.expect("it ends").unwrap();
        (status.unwrap().code(), shown)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_pretty_there_and_their_control_characters_do_not_reach_it() {
    let program = Program::with_stream("s", 1).await;
    let text = "\u{1b}[2Jred\u{7}\u{9b}31m é\n";
    assert_eq!(
        program.run("put -s s --key-value k", text).await.status,
        Some(0)
    );
    for options in ["", "-o lines", "-o raw", "-o json", "-f %d"] {
        let mut terminal = Terminal::new();
        let line = format!("get -s s --from all --until tip -q {options}");
        let mut command = program.command(&line);
        command.stdout(terminal.theirs.take().unwrap());
        let (status, shown) = terminal.end_of(command).await;
        assert_eq!(status, Some(0), "{shown}");
        let is_control = |char: char| char.is_control() && !"\r\n\t".contains(char);
        assert!(!shown.contains(is_control), "{options}: {shown:?}");
        assert!(shown.contains("[2Jred"), "{options}: {shown:?}");
        assert!(shown.contains("31m é"), "{options}: {shown:?}");
        assert_eq!(shown.starts_with("<Record "), options.is_empty(), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_ends_with_a_line_of_counts_there() {
    let program = Program::with_stream("s", 1).await;
    let path = crate::file("counted.txt", &"x\n".repeat(500));
    for (options, is_told) in [("", true), ("-q", false)] {
        let mut terminal = Terminal::new();
        let line = format!("put -s s {options} {}", path.display());
        let mut command = program.command(&line);
        command.stderr(terminal.theirs.take().unwrap());
        let (status, shown) = terminal.end_of(command).await;
        assert_eq!(status, Some(0), "{shown}");
        let told = shown.contains("stored 500 records (1000 B of input) in ");
        assert_eq!(told, is_told, "{shown}");
        assert_eq!(shown.is_empty(), !is_told, "{shown}");
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_asks_there_and_wants_the_name() {
    let program = Program::with_stream("s", 1).await;
    for (answer, status) in [("yes\n", 1), ("s\n", 0)] {
        let mut terminal = Terminal::new();
        let mut command = program.command("delete -s s");
        command.stdin(terminal.theirs.take().unwrap());
        let mut ours = terminal.ours.try_clone().unwrap();
        ours.write_all(answer.as_bytes()).unwrap();
        drop(terminal);
        let done = timeout(PATIENCE, command.output()).await.expect("it ends");
        let done = done.unwrap();
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(status), "{err}");
        assert!(err.contains("this deletes s with all its records"), "{err}");
    }
    assert_eq!(program.run("streams", "").await.out, "");
}
