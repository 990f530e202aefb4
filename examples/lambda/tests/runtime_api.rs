//! Calls the function as Lambda does: the function asks the runtime API for events, and sends its answers there.

use std::{process::Stdio, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kinesis_pipeline::firehose::{Event, InputRecord};
use serde_json::Value;
use tokio::{net::TcpListener, process::Command, sync::mpsc, time::timeout};

const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// Serves the runtime API on a loopback port. It gives out one event, and passes on all that the function sends.
async fn runtime_api(event: Vec<u8>) -> (String, mpsc::UnboundedReceiver<(String, Bytes)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port").to_string();
    let (events, waiting) = async_channel(event);
    let (told, answers) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.expect("it listens");
            let (waiting, told, events) = (waiting.clone(), told.clone(), events.clone());
            tokio::spawn(http1::Builder::new().serve_connection(
                TokioIo::new(socket),
                service_fn(move |request: Request<Incoming>| {
                    let (waiting, told, events) = (waiting.clone(), told.clone(), events.clone());
                    async move {
                        let _keep_open = events;
                        let path = request.uri().path().to_owned();
                        if request.method() == Method::GET {
                            let event = waiting.lock().await.recv().await.expect("kept open");
                            return next(event);
                        }
                        let body = request.into_body().collect().await?.to_bytes();
                        told.send((path, body)).ok();
                        Ok::<_, hyper::Error>(accepted())
                    }
                }),
            ));
        }
    });
    (address, answers)
}

type Waiting = std::sync::Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<u8>>>>;

fn async_channel(event: Vec<u8>) -> (mpsc::UnboundedSender<Vec<u8>>, Waiting) {
    let (events, waiting) = mpsc::unbounded_channel();
    events.send(event).expect("it is open");
    (events, Waiting::new(waiting.into()))
}

#[expect(clippy::unnecessary_wraps, reason = "the other answers can fail")]
fn next(event: Vec<u8>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    Ok(Response::builder()
        .header("Lambda-Runtime-Aws-Request-Id", REQUEST_ID)
        .header("Lambda-Runtime-Deadline-Ms", "4102444800000")
        .header(
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:us-east-1:123456789012:function:transform",
        )
        .body(Full::from(event))
        .expect("a response"))
}

fn accepted() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(r#"{"status":"OK"}"#));
    *response.status_mut() = hyper::StatusCode::ACCEPTED;
    response
}

/// Returns the function's answer to an event, and the path that it was sent to.
async fn invoke(event: Vec<u8>) -> (String, Value) {
    let (address, mut answers) = runtime_api(event).await;
    let mut function = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "transform")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the function starts");
    let answer = timeout(Duration::from_secs(30), answers.recv()).await;
    let (path, body) = answer
        .expect("an answer within seconds")
        .expect("an answer");
    function.kill().await.expect("the function runs");
    (path, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_answers_the_vectors_over_the_runtime_api() {
    let vectors = include_str!("../../../kinesis-pipeline/tests-data/firehose.json");
    let vectors: Value = serde_json::from_str(vectors).expect("JSON");
    let cases = vectors["workshop"]["cases"].as_array().expect("a list");
    let entry = |case: &Value| case["entry"].as_str().expect("a text").to_owned();
    let record = |(index, case): (usize, &Value)| {
        InputRecord::new(index.to_string(), entry(case).as_bytes())
    };
    let event = Event::of(cases.iter().enumerate().map(record).collect());

    let (path, answer) = invoke(event.to_json()).await;
    assert_eq!(
        path,
        format!("/2018-06-01/runtime/invocation/{REQUEST_ID}/response")
    );
    let records = answer["records"].as_array().expect("a list");
    assert_eq!(records.len(), cases.len());
    for (index, (case, record)) in cases.iter().zip(records).enumerate() {
        assert_eq!(record["recordId"], index.to_string());
        assert_eq!(record["result"], case["result"]);
        if case["data"].is_string() {
            assert_eq!(record["data"], case["data"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_an_error_of_the_invocation() {
    let (path, answer) = invoke(br#"{"Records":[]}"#.to_vec()).await;
    assert_eq!(
        path,
        format!("/2018-06-01/runtime/invocation/{REQUEST_ID}/error")
    );
    let message = answer["errorMessage"].as_str().expect("a text");
    assert!(
        message.contains("not an event of a Firehose transform"),
        "{message}"
    );
}
