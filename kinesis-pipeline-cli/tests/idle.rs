//! An embedded Kinesis that nobody calls uses no processor time.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// A hundredth of a second each, as Linux counts processor time.
const TICKS_MAX: u64 = 1;
/// How long the server is left alone.
const IDLE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn an_idle_server_uses_no_processor_time() {
    let (mut server, variables) = serve().await;
    let streams = program("streams").envs(variables).output().await.unwrap();
    assert_eq!(streams.stdout, b"idle\n");
    // What the first calls have started is over by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = ticks(&server);
    tokio::time::sleep(IDLE).await;
    let used = ticks(&server) - before;
    server.kill().await.unwrap();
    assert!(used <= TICKS_MAX, "{used} ticks of 10 ms in {IDLE:?}");
}

/// The program as a server of both Kinesis and DynamoDB, and the variables that reach it.
async fn serve() -> (Child, Vec<(String, String)>) {
    let line = "local --listen 127.0.0.1:0 --dynamodb 127.0.0.1:0 --stream idle=4 -q";
    let mut server = program(line).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut variables = Vec::new();
    while variables.len() < 6 {
        let line = lines.next_line().await.unwrap().expect("6 variables");
        let variable = line.strip_prefix("export ").unwrap();
        let (name, value) = variable.split_once('=').unwrap();
        variables.push((name.to_owned(), value.to_owned()));
    }
    (server, variables)
}

fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinesis-pipeline"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .kill_on_drop(true);
    command
}

/// The processor time that a process has used, in user and kernel mode.
fn ticks(process: &Child) -> u64 {
    let id = process.id().expect("it runs");
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name in brackets, the second field, may hold spaces; the times are the 14th and the 15th.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let times = fields.split(' ').skip(11).take(2);
    times.map(|field| field.parse::<u64>().unwrap()).sum()
}
