//! `get`, and what ends it.

use tokio::{io::AsyncReadExt as _, time::timeout};

use crate::{PATIENCE, Program, lines_of, ready};

#[tokio::test(flavor = "multi_thread")]
async fn tritons_demo_works_in_two_processes() {
    let program = Program::with_stream("test_stream", 2).await;
    let mut reader = ready(program.command("get -s test_stream -n 1 -o pretty")).await;
    let put = program.run("put -s test_stream", "hi\n").await;
    assert_eq!(
        (put.status, put.out.as_str(), put.err.as_str()),
        (Some(0), "", "")
    );

    let lines = lines_of(&mut reader, 2).await;
    let head = lines[0]
        .strip_prefix("<Record shardId-00000000000")
        .unwrap();
    let (number, time_and_key) = head[1..].trim().split_once("> ").unwrap();
    assert!(time_and_key.starts_with("20"), "{time_and_key}");
    assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{number}");
    assert_eq!(lines[1], "hi");
    let status = timeout(PATIENCE, reader.wait())
        .await
        .expect("it ends after 1 record");
    assert!(status.unwrap().success());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_a_reader_with_success() {
    let program = Program::with_stream("s", 1).await;
    let mut reader = ready(program.command("get -s s -o pretty")).await;
    assert_eq!(program.run("put -s s", "one\ntwo\n").await.status, Some(0));
    let mut out = reader.stdout.take().unwrap();
    let mut first = [0; 8];
    timeout(PATIENCE, out.read_exact(&mut first))
        .await
        .expect("a record")
        .unwrap();
    assert_eq!(&first, b"<Record ");
    crate::interrupt(&reader);
    let status = timeout(PATIENCE, reader.wait())
        .await
        .expect("it ends")
        .unwrap();
    assert!(status.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert!(
        rest.ends_with("two\n"),
        "what was fetched is printed: {rest}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_pushed_to_a_named_consumer() {
    let program = Program::with_stream("s", 2).await;
    let mut reader = ready(program.command("get -s s --fan-out mine -n 1")).await;
    let put = program.run("put -s s", "text").await;
    assert_eq!(put.status, Some(0), "{}", put.err);
    assert_eq!(lines_of(&mut reader, 1).await, ["text"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_the_pipe_ends_the_program_quietly() {
    let program = Program::with_stream("s", 1).await;
    let input = "x".repeat(100) + "\n";
    assert_eq!(
        program.run("put -s s", &input.repeat(3_000)).await.status,
        Some(0)
    );
    let mut reader = program.command("get -s s --from all -q").spawn().unwrap();
    assert_eq!(lines_of(&mut reader, 1).await.len(), 1);
    drop(reader.stdout.take());
    let done = timeout(PATIENCE, reader.wait_with_output())
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "");
}
