//! Tests of the health server over real sockets: answers, faulty and slow clients, shutdown.

use std::{future::pending, net::SocketAddr, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::basics::{APP, stream_of};
use crate::{
    Batch, Clock, HealthServer, HealthServerError, MemoryLeases, StartAt, Worker, WorkerEvent,
};

const SECOND: Duration = Duration::from_secs(1);

async fn worker_of(shards: u32) -> Worker<Bytes> {
    let stream = stream_of::<Bytes>(shards).await;
    let builder = stream.worker(APP).leases(MemoryLeases::new());
    let builder = builder.start(StartAt::TrimHorizon).stop_max(SECOND);
    builder.build().unwrap()
}

async fn face_of(worker: &Worker<Bytes>) -> HealthServer {
    let builder = worker.handle().health_server().shards_per_worker(2);
    builder.listen("127.0.0.1:0").await.unwrap()
}

/// Sends these bytes, and returns all that the server sends until it closes the connection.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may close the connection before the whole request is sent.
    let _ = socket.write_all(request).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Returns the status and the body of an answer.
async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: worker\r\n\r\n");
    let answer = exchange(address, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// Returns once the server does not listen any more.
async fn until_refused(address: SocketAddr) {
    for _ in 0..1_000 {
        if TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{address} is still listened on");
}

#[tokio::test(start_paused = true)]
async fn health_readiness_and_scale_are_told_in_json() {
    let worker = worker_of(3).await;
    let server = face_of(&worker).await;
    let (address, handle) = (server.address(), worker.handle());
    let (status, body) = get(address, "/health").await;
    assert_eq!((status, &body["phase"]), (200, &Value::from("built")));
    assert_eq!(get(address, "/ready").await.0, 503);
    let (status, body) = get(address, "/scale").await;
    assert_eq!(
        (status, &body["error"]),
        (503, &Value::from("the leases are not known yet"))
    );

    let mut events = handle.events();
    let run = tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| Ok(())));
    while handle.health().shards.len() < 3 {
        assert!(events.next().await.is_some());
    }
    // The table was empty at the last list, and without shards there is nothing to scale by.
    assert_eq!(get(address, "/scale").await.0, 503);
    tokio::time::sleep(60 * SECOND).await;
    let (status, body) = get(address, "/ready").await;
    assert_eq!((status, &body["is_ready"]), (200, &Value::from(true)));
    let shards = body["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 3);
    assert_eq!(shards[0]["shard_id"], "shardId-000000000000");
    assert_eq!(shards[0]["is_renewed"], true);
    let (status, body) = get(address, "/scale?from=keda").await;
    assert_eq!(status, 200);
    assert_eq!(
        (&body["shards"], &body["desired_workers"]),
        (&Value::from(3), &Value::from(2)),
        "a worker for each two shards: {body}"
    );
    assert!(body["lag_seconds"].is_f64() && body["workers"].is_u64());
    run.abort();
}

#[tokio::test]
async fn other_paths_methods_and_what_is_no_http_get_an_error_and_the_next_client_is_served() {
    let worker = worker_of(1).await;
    let server = face_of(&worker).await;
    let address = server.address();
    assert_eq!(get(address, "/").await.0, 404);
    let body = "x".repeat(1_000_000);
    let post = format!(
        "POST /health HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // The server does not read the rest of the body. This may reset the connection, and then the answer is lost.
    let answer = exchange(address, post.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 405"),
        "{answer}"
    );
    let post = "POST /health HTTP/1.1\r\nhost: w\r\ncontent-length: 0\r\n\r\n";
    let answer = exchange(address, post.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"),
        "{answer}"
    );
    let head = exchange(address, b"HEAD /health HTTP/1.1\r\nhost: w\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"nonsense\r\n\r\n",
        b"",
    ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    let large = format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let answer = exchange(address, large.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert_eq!(get(address, "/health").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn clients_that_send_nothing_are_cut_off_after_their_time_and_others_get_their_place() {
    let worker = worker_of(1).await;
    let server = face_of(&worker).await;
    let clock = Clock::system();
    let begun = clock.instant();
    let mut silent = Vec::new();
    for number in 0..40 {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        if number % 2 == 0 {
            socket.write_all(b"GET /hea").await.unwrap();
        }
        silent.push(socket);
    }
    // All places are taken: this request waits until one of them is free.
    assert_eq!(get(server.address(), "/health").await.0, 200);
    let waited = clock.instant().duration_since(begun);
    assert!(waited >= 5 * SECOND && waited <= 11 * SECOND, "{waited:?}");
    for mut socket in silent {
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    }
    assert!(clock.instant().duration_since(begun) <= 16 * SECOND);
}

#[tokio::test]
async fn the_server_ends_with_its_worker_and_when_it_is_dropped() {
    let worker = worker_of(1).await;
    let server = face_of(&worker).await;
    let (address, handle) = (server.address(), worker.handle());
    let mut events = handle.events();
    let run = tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| Ok(())));
    assert!(matches!(
        events.next().await,
        Some(WorkerEvent::Acquired { .. })
    ));
    assert_eq!(get(address, "/ready").await.0, 200);
    handle.stop();
    run.await.unwrap().unwrap();
    until_refused(address).await;

    let worker = worker_of(1).await;
    let server = face_of(&worker).await;
    let address = server.address();
    assert_eq!(get(address, "/health").await.0, 200);
    drop(server);
    until_refused(address).await;
}

#[tokio::test]
async fn a_worker_that_hangs_is_shown_all_the_same() {
    let stream = stream_of::<Bytes>(1).await;
    stream.put(&"a".into()).await.unwrap();
    let builder = stream.worker(APP).leases(MemoryLeases::new());
    let builder = builder.start(StartAt::TrimHorizon);
    let worker = builder.stalled_after(Duration::ZERO).build().unwrap();
    let server = face_of(&worker).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let run = tokio::spawn(worker.run_batches(move |_: Batch<Bytes>| {
        let _ = tell.send(());
        pending()
    }));
    assert!(told.recv().await.is_some());
    let (status, body) = get(server.address(), "/health").await;
    assert_eq!(status, 503, "{body}");
    assert!(body["shards"][0]["stalled_seconds"].is_f64(), "{body}");
    run.abort();
}

#[tokio::test]
async fn a_port_in_use_and_a_wrong_address_are_errors_with_their_address() {
    let worker = worker_of(1).await;
    let server = face_of(&worker).await;
    let address = server.address().to_string();
    let again = worker.handle().health_server().listen(&address).await;
    let error = again.unwrap_err();
    assert!(matches!(&error, HealthServerError::InUse { address: at, .. } if *at == address));
    assert!(error.to_string().contains(&address), "{error}");
    for wrong in ["nowhere", "192.0.2.1:0", "127.0.0.1"] {
        let refused = worker.handle().health_server().listen(wrong).await;
        let error = refused.unwrap_err();
        assert!(
            matches!(error, HealthServerError::Address { .. }),
            "{wrong}: {error}"
        );
    }
}
