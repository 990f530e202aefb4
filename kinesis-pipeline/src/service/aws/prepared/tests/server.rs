use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_kinesis::Client;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, sync::mpsc};

use crate::service::aws::{
    AwsKinesis,
    stub::{self, Headers, read_request},
};

/// An answer of the server: status, further headers, body.
pub(super) type Answer = (u16, String, &'static str);

/// A request as it came.
pub(super) struct Request {
    pub(super) connection: usize,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

/// A server that gives these answers in turn, then closes connections.
pub(super) struct Server {
    pub(super) endpoint: String,
    is_slow: Arc<AtomicBool>,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
}

impl Server {
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        let is_slow = Arc::<AtomicBool>::default();
        let slow = Arc::clone(&is_slow);
        let answers: Vec<_> = answers.into_iter().collect();
        let answers = Arc::new(tokio::sync::Mutex::new(answers.into_iter()));
        tokio::spawn(async move {
            for number in 0.. {
                let (mut connection, _) = listener.accept().await.unwrap();
                let (answers, sender) = (Arc::clone(&answers), sender.clone());
                let slow = Arc::clone(&slow);
                tokio::spawn(async move {
                    while let Some((headers, body)) = read_request(&mut connection).await {
                        let _ = sender.send(Request {
                            connection: number,
                            headers,
                            body,
                        });
                        let Some((status, headers, body)) = answers.lock().await.next() else {
                            return;
                        };
                        let (bytes, id) = (body.len(), "x-amzn-requestid: request-1");
                        let head = format!(
                            "HTTP/1.1 {status} X\r\n{id}\r\ncontent-length: {bytes}\r\n{headers}\r\n"
                        );
                        connection.write_all(head.as_bytes()).await.unwrap();
                        let parts = if slow.load(Ordering::SeqCst) { 5 } else { 1 };
                        for part in body.as_bytes().chunks(body.len().div_ceil(parts).max(1)) {
                            let _ = connection.write_all(part).await;
                            if parts > 1 {
                                tokio::time::sleep(Duration::from_millis(20)).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            endpoint,
            is_slow,
            requests,
        }
    }

    pub(super) async fn request(&mut self) -> Request {
        self.requests.recv().await.unwrap()
    }

    /// Sends the bodies of answers in parts from now on.
    pub(super) fn slowly(&self) {
        self.is_slow.store(true, Ordering::SeqCst);
    }

    pub(super) fn aws(&self) -> AwsKinesis {
        stub::aws_at(&self.endpoint)
    }

    pub(super) fn aws_with(&self, credentials: impl ProvideCredentials + 'static) -> AwsKinesis {
        let config = stub::config(&self.endpoint).credentials_provider(credentials);
        AwsKinesis::new(&Client::from_conf(config.build()))
    }
}
