//! Tests of an SDK client with another HTTP client than the SDK's, as in a program that chooses its own TLS.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_kinesis::{
    Client,
    config::{
        HttpClient, RuntimeComponents,
        http::{HttpRequest, HttpResponse},
    },
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use hyper_util::{client::legacy, rt::TokioExecutor};
use kinesis_pipeline::{KinesisStream, LocalKinesis, service::aws::ConnectOptions};

use crate::sdk::{STREAM, served};

/// A plain HTTP client that counts its calls.
#[derive(Clone, Debug)]
struct Plain {
    client: legacy::Client<legacy::connect::HttpConnector, SdkBody>,
    calls: Arc<AtomicUsize>,
}

impl Plain {
    fn new() -> Self {
        Self {
            client: legacy::Client::builder(TokioExecutor::new()).build_http(),
            calls: Arc::default(),
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl HttpConnector for Plain {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let client = self.client.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x();
            let request = request.map_err(|error| ConnectorError::user(error.into()))?;
            let answer = client.request(request).await;
            let answer = answer.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl HttpClient for Plain {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

async fn put_and_read(stream: &KinesisStream<String>) {
    let mut records = stream.iter_from_all().await.unwrap();
    stream.put(&"text".to_owned()).await.unwrap();
    assert_eq!(records.next().await.unwrap().unwrap().data, "text");
}

#[tokio::test]
async fn an_http_client_of_the_users_makes_every_call_of_a_client() {
    let (server, _) = served(1).await;
    let plain = Plain::new();
    let config = server.kinesis_config().http_client(plain.clone());
    put_and_read(&KinesisStream::with_client(
        Client::from_conf(config.build()),
        STREAM,
    ))
    .await;
    assert!(plain.calls() >= 4, "{}", plain.calls());
}

#[tokio::test]
async fn a_client_that_is_given_to_the_options_of_a_connection_makes_every_call() {
    const ENDPOINT: &str = "KINESIS_PIPELINE_TEST_ENDPOINT";
    // The credentials come from the environment. It can be set safely only for another process.
    let Ok(endpoint) = std::env::var(ENDPOINT) else {
        let kinesis = LocalKinesis::start().await.unwrap();
        kinesis.stream::<String>(STREAM, 1).await.unwrap();
        let server = kinesis.serve("127.0.0.1:0").await.unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "http_client::a_client_that_is_given_to_the_options_of_a_connection_makes_every_call"])
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env(ENDPOINT, server.endpoint_url());
        let done = tokio::task::spawn_blocking(move || child.output().unwrap());
        let done = done.await.unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stdout)
        );
        assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
        return;
    };
    let plain = Plain::new();
    let options = ConnectOptions::new()
        .region("us-east-1")
        .endpoint_url(endpoint);
    let service = options.http_client(plain.clone()).connect().await.unwrap();
    put_and_read(&KinesisStream::with_service(Arc::new(service), STREAM)).await;
    assert!(plain.calls() >= 4, "{}", plain.calls());
}
