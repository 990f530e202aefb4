//! Commands that a signal ends: they say how far they came.

use std::time::Duration;

use kinesis_pipeline::local::Fault;
use tokio::{
    io::AsyncReadExt as _,
    process::Child,
    time::{sleep, timeout},
};

use super::{Fleet, row};
use crate::{
    PATIENCE, Program, file,
    redrive::{base64_of, letter},
    signal,
};

/// The number of letters of a redrive that is stopped.
const LETTERS: usize = 40;

async fn end(mut child: Child) -> (Option<i32>, String) {
    let mut err = String::new();
    let mut stderr = child.stderr.take().unwrap();
    let read = stderr.read_to_string(&mut err);
    timeout(PATIENCE, read).await.expect("it ends").unwrap();
    (child.wait().await.unwrap().code(), err)
}

/// Signals a program once it listens for signals: before, one would end it without a status.
async fn interrupted(child: Child, name: &str) -> (Option<i32>, String) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if listens(&child) {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    signal(&child, name);
    end(child).await
}

/// Whether the program has handlers of SIGINT and SIGTERM, as the system tells.
fn listens(child: &Child) -> bool {
    const SIGNALS: u64 = (1 << 1) | (1 << 14);
    let path = format!("/proc/{}/status", child.id().expect("it runs"));
    let status = std::fs::read_to_string(path).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & SIGNALS == SIGNALS)
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_at_a_fleet_that_are_stopped_say_how_far_they_came() {
    let fleet = Fleet::with_stream(1).await;
    fleet
        .table("app", "leaseKey", [row(0, "TRIM_HORIZON", Some("w1"))])
        .await;
    let child = fleet
        .command("leases --app app --watch 1h")
        .spawn()
        .unwrap();
    let stopped = "stopped by SIGINT before the leases were listed\n".to_owned();
    assert_eq!(interrupted(child, "-INT").await, (Some(130), stopped));

    let never = Fault::delay(Duration::from_hours(1)).on("GetRecords");
    fleet.program.local.faults().add(never.always()).unwrap();
    let child = fleet.command("lag -s s --app app").spawn().unwrap();
    let stopped =
        "stopped by SIGTERM before the lag of all shards was known; that of 0 was\n".to_owned();
    assert_eq!(interrupted(child, "-TERM").await, (Some(143), stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_stopped_says_which_letters_to_skip() {
    let program = Program::with_stream("s", 1).await;
    let child = program.command("redrive -s s -q").spawn().unwrap();
    let stopped = "stopped by SIGINT before the first dead letter of standard input was put back\n"
        .to_owned();
    // Its standard input stays open, and empty.
    assert_eq!(interrupted(child, "-INT").await, (Some(130), stopped));

    let slow = Fault::delay(Duration::from_millis(100)).on("PutRecords");
    program.local.faults().add(slow.always()).unwrap();
    // So large that about ten of them are read ahead: a redrive that is stopped ends with those.
    let data = base64_of(&"x".repeat(400_000));
    let small = base64_of("7");
    let letter = letter("s", "a", 7, 0).replace(&small, &data);
    let letters = letter.repeat(LETTERS);
    let path = file("many.jsonl", &letters);
    let line = format!("redrive -s s -q {}", path.display());
    let child = program.command(&line).spawn().unwrap();
    let first = program.run("get -s s --from all -n 1 -q", "").await;
    assert_eq!(first.out.lines().count(), 1);
    let (status, err) = interrupted(child, "-TERM").await;
    assert_eq!(status, Some(143), "{err}");
    let skip = err
        .split("--skip ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let skip: usize = skip.parse().unwrap();
    assert!(skip > 0 && skip < LETTERS, "{err}");
    let got = program.run("get -s s --from all --until tip -q", "").await;
    assert_eq!(
        got.out.lines().count(),
        skip,
        "what it says is what is stored"
    );
    program.local.faults().clear();
    let rest = program.run(&format!("{line} --skip {skip}"), "").await;
    assert_eq!(rest.status, Some(0), "{}", rest.err);
    let got = program.run("get -s s --from all --until tip -q", "").await;
    assert_eq!(got.out.lines().count(), LETTERS);
    std::fs::remove_file(path).unwrap();
}
