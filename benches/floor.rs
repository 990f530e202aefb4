//! The floor of a put: a client that does the least that the service's protocol asks for.
//!
//! It writes the entries straight into a body that it uses again, hashes the body as a signature needs it, sends it over
//! a connection of its own, and looks only at the length of the answer. It has no endpoint rules, credentials,
//! time-outs or retries, makes no receipts and finds no shards.

use std::{hint::black_box, net::SocketAddr};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::BareClient;

/// A connection with the body of its next request.
#[derive(Debug)]
pub struct LeanClient {
    connection: BareClient,
    body: Vec<u8>,
    records: usize,
}

impl LeanClient {
    /// Connects.
    ///
    /// # Panics
    /// Panics if no server listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Self {
            connection: BareClient::connect(address).await,
            body: Vec::new(),
            records: 0,
        }
    }

    /// Begins a request, in CBOR.
    ///
    /// # Panics
    /// Panics if the stream's name is longer than 23 bytes.
    pub fn begin(&mut self, stream: &str) {
        self.body.clear();
        self.records = 0;
        self.body.extend_from_slice(b"\xBF\x6AStreamName");
        self.put_short(stream);
        self.body.extend_from_slice(b"\x67Records\x9F");
    }

    /// Adds a record.
    ///
    /// # Panics
    /// Panics if the key has more than 23 bytes, or the data more than 65,535.
    pub fn push(&mut self, key: &str, data: &[u8]) {
        let bytes = u16::try_from(data.len()).expect("a small record");
        self.body.extend_from_slice(b"\xBF\x64Data\x59");
        self.body.extend_from_slice(&bytes.to_be_bytes());
        self.body.extend_from_slice(data);
        self.body.extend_from_slice(b"\x6CPartitionKey");
        self.put_short(key);
        self.body.push(0xFF);
        self.records += 1;
    }

    fn put_short(&mut self, text: &str) {
        let bytes = u8::try_from(text.len()).expect("a short text");
        assert!(bytes < 24, "the length stands beside the type");
        self.body.push(0x60 | bytes);
        self.body.extend_from_slice(text.as_bytes());
    }

    /// Sends the request, and returns the client for the next.
    ///
    /// # Panics
    /// Panics if the call fails.
    pub async fn send(mut self) -> Self {
        const RESULT_BYTES_MIN: usize = 100;
        self.body.extend_from_slice(b"\xFF\xFF");
        black_box(Sha256::digest(&self.body));
        let body = Bytes::from(std::mem::take(&mut self.body));
        let answer = self
            .connection
            .call_in("application/x-amz-cbor-1.1", "PutRecords", body.clone())
            .await;
        assert!(answer.len() > RESULT_BYTES_MIN * self.records, "no results");
        self.body = body.try_into_mut().map(Vec::from).unwrap_or_default();
        self
    }
}
