//! Signals before the end, and readers that are gone.

use std::collections::HashSet;

use kinesis_pipeline::local::Fault;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::Child,
    time::{Duration, timeout},
};

use crate::{PATIENCE, Program, file, lines_of, ready, signal};

/// The exit status of a program that ends, and what it writes to standard error from now on.
async fn end(child: &mut Child) -> (Option<i32>, String) {
    let mut err = String::new();
    let mut stderr = child.stderr.take().unwrap();
    let read = stderr.read_to_string(&mut err);
    timeout(PATIENCE, read).await.expect("it ends").unwrap();
    (child.wait().await.unwrap().code(), err)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_stopped_says_after_which_line() {
    for (name, number) in [("INT", 130), ("TERM", 143)] {
        let program = Program::with_stream("s", 1).await;
        let mut put = program.command("put -s s --receipts").spawn().unwrap();
        let mut input = put.stdin.take().unwrap();
        input.write_all(b"one\ntwo\nthree\n").await.unwrap();
        assert_eq!(lines_of(&mut put, 3).await.len(), 3);
        signal(&put, &format!("-{name}"));
        let line = format!(
            "stopped by SIG{name} after line 3 of standard input: it and all before it are stored\n"
        );
        assert_eq!(end(&mut put).await, (Some(number), line));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_lines_before_the_stop_are_stored_and_none_behind_it() {
    let program = Program::with_stream("s", 2).await;
    let slow = Fault::delay(Duration::from_millis(50)).on("PutRecords");
    program.local.faults().add(slow.always()).unwrap();
    let lines = (1..=400_000).map(|number| format!("{number}\n"));
    let path = file("big.txt", &lines.collect::<String>());
    for options in ["", "--key-value k --aggregate"] {
        let line = format!("put -s s --receipts {options} {}", path.display());
        let mut put = program.command(&line).spawn().unwrap();
        let mut receipts = BufReader::new(put.stdout.take().unwrap()).lines();
        assert!(receipts.next_line().await.unwrap().is_some());
        signal(&put, "-TERM");
        let rest = async { while receipts.next_line().await.unwrap().is_some() {} };
        let ((status, err), ()) = tokio::join!(end(&mut put), rest);
        assert_eq!(status, Some(143), "{err}");
        let last = err.strip_prefix("stopped by SIGTERM after line ").unwrap();
        let (last, rest) = last.split_once(" of ").unwrap();
        let last: usize = last.parse().unwrap();
        assert!(last < 400_000, "{err}");
        let words = format!("{}: it and all before it are stored\n", path.display());
        assert_eq!(rest, words);
        let got = program.run("get -s s --from all --until tip -q", "").await;
        let numbers: HashSet<usize> = got.out.lines().map(|line| line.parse().unwrap()).collect();
        let is_stored = |number| numbers.contains(&number);
        assert!((1..=last).all(is_stored), "{options}");
        if options.is_empty() {
            assert_eq!(numbers.len(), last);
        }
    }
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_lines_that_the_service_does_not_answer() {
    let program = Program::with_stream("s", 1).await;
    let mut put = program.command("put -s s --receipts").spawn().unwrap();
    let mut input = put.stdin.take().unwrap();
    input.write_all(b"one\n").await.unwrap();
    assert_eq!(lines_of(&mut put, 1).await.len(), 1);
    let never = Fault::delay(Duration::from_hours(1)).on("PutRecords");
    program.local.faults().add(never.always()).unwrap();
    input.write_all(b"two\n").await.unwrap();
    drop(input);
    // The end of the input is no end of listening for signals.
    for _ in 0..PATIENCE.as_millis() / 200 {
        if timeout(Duration::from_millis(200), put.wait())
            .await
            .is_ok()
        {
            break;
        }
        signal(&put, "-TERM");
    }
    let (status, err) = end(&mut put).await;
    let line = "stopped by SIGTERM after line 1 of standard input: it and all before it are \
                stored; some up to line 2 may be\n";
    assert_eq!((status, err.as_str()), (Some(143), line));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_has_an_end_says_where_it_was_stopped_before() {
    for (options, name, number) in [
        ("--until 1h", "INT", 130),
        ("-n 9", "TERM", 143),
        ("--idle 1h", "TERM", 143),
    ] {
        let program = Program::with_stream("s", 1).await;
        let line = format!("get -s s --from all {options} -q");
        let mut get = program.command(&line).spawn().unwrap();
        assert_eq!(program.run("put -s s", "one").await.status, Some(0));
        assert_eq!(lines_of(&mut get, 1).await, ["one"]);
        signal(&get, &format!("-{name}"));
        let (status, err) = end(&mut get).await;
        assert_eq!(status, Some(number), "{options}: {err}");
        let words = format!("stopped by SIG{name} after 1 records of s: the last one arrived at 2");
        assert!(err.starts_with(&words), "{options}: {err}");
        assert!(err.contains(" as shardId-000000000000:"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_of_a_quiet_stream_ends_when_its_reader_is_gone() {
    let program = Program::with_stream("s", 1).await;
    let mut get = ready(program.command("get -s s")).await;
    drop(get.stdout.take());
    let status = timeout(PATIENCE, get.wait()).await.expect("it ends");
    assert_eq!(status.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_v_the_endpoint_and_the_counts_are_told() {
    let program = Program::with_stream("s", 1).await;
    let put = program.run("put -s s -v", "one\ntwo\n").await;
    let lines: Vec<_> = put.err.lines().collect();
    assert!(
        lines[0].starts_with("stream `s` at http://127.0.0.1:"),
        "{}",
        put.err
    );
    let last = lines.last().unwrap();
    assert!(
        last.starts_with("stored 2 records (8 B of input) in "),
        "{}",
        put.err
    );
    let got = program.run("get -s s --from all --until tip -v", "").await;
    assert!(
        got.err.contains("\nread 2 records (6 B of data) in "),
        "{}",
        got.err
    );
}
