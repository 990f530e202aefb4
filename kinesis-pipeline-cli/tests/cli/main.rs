//! The program as its users run it: processes, pipes, exit statuses, against an embedded Kinesis over HTTP.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(unix)]
mod deliver;
mod fleet;
mod get;
mod help;
mod load;
mod load_kills;
mod local;
mod manage;
mod mirror;
#[cfg(unix)]
mod once;
mod put;
mod redrive;
#[cfg(unix)]
mod sql;
#[cfg(unix)]
mod stops;
mod streams;
#[cfg(unix)]
mod terminal;
mod usage;

use std::{
    io,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use bytes::Bytes;
use kinesis_pipeline::{
    LocalKinesis,
    local::{LocalKinesisBuilder, LocalServer},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A program that has not ended by then hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The program, with an environment that reaches a Kinesis of this test alone.
pub(crate) struct Program {
    pub(crate) server: LocalServer,
    pub(crate) local: LocalKinesis,
}

impl Program {
    pub(crate) async fn start() -> Self {
        let local = LocalKinesisBuilder::default().start().await.unwrap();
        let server = local.serve("127.0.0.1:0").await.unwrap();
        Self { server, local }
    }

    pub(crate) async fn with_stream(name: &str, shards: u32) -> Self {
        let program = Self::start().await;
        program.local.stream::<Bytes>(name, shards).await.unwrap();
        program
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = bare_command(line);
        command
            .env("AWS_ENDPOINT_URL_KINESIS", self.server.endpoint_url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local");
        command
    }

    /// Runs a command to its end, `input` on its standard input.
    pub(crate) async fn run(&self, line: &str, input: &str) -> Done {
        end_of(self.command(line), input).await
    }
}

/// The program in an environment without anything of AWS. Words are separated by spaces.
pub(crate) fn bare_command(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinesis-pipeline"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("HOME", "/nowhere")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) struct Done {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// Each line of the output as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(crate) async fn end_of(mut command: Command, input: &str) -> Done {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let write = async move {
        // A program that has failed reads no more: that is not what is tested.
        let _: io::Result<()> = stdin.write_all(input.as_bytes()).await;
    };
    // A program that prints while it reads must not wait for who waits for it.
    let run = async { tokio::join!(write, child.wait_with_output()).1 };
    let Output {
        status,
        stdout,
        stderr,
    } = timeout(PATIENCE, run)
        .await
        .expect("the program ends")
        .unwrap();
    Done {
        status: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A reader that is ready: what is put from now on, it prints.
pub(crate) async fn ready(mut command: Command) -> Child {
    let mut child = command.spawn().unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    let note = timeout(PATIENCE, notes.next_line())
        .await
        .expect("a note")
        .unwrap();
    assert!(note.is_some_and(|note| note.starts_with("reading ")));
    child
}

pub(crate) async fn lines_of(child: &mut Child, count: usize) -> Vec<String> {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = Vec::new();
    while read.len() < count {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("a line");
        read.push(line.unwrap().expect("the program goes on"));
    }
    // It stays open: a reader that goes ends the program. What was read ahead is lost.
    child.stdout = Some(lines.into_inner().into_inner());
    read
}

#[cfg(unix)]
pub(crate) fn interrupt(child: &Child) {
    signal(child, "-INT");
}

#[cfg(unix)]
pub(crate) fn signal(child: &Child, signal: &str) {
    let id = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill")
        .args([signal, &id])
        .status();
    assert!(sent.unwrap().success());
}

pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let name = format!("kinesis-pipeline-{}-{name}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).unwrap();
    path
}
