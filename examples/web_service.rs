//! A web service that puts the data of its requests. It answers 503 when its buffer is full, and loses nothing on
//! Ctrl-C.
//!
//! ```text
//! cargo run --example web_service --features web                # with the embedded Kinesis
//! cargo run --example web_service --features web -- my_stream   # with the credentials of the environment
//!
//! curl -i http://127.0.0.1:3000/clicks -H 'content-type: application/json' -d '{"user": 7, "page": "/home"}'
//! ```
//!
//! | request | answer |
//! |---|---|
//! | `POST /clicks` | 202 when the click is accepted: it is stored soon, even if the program is told to stop |
//! | `POST /orders` | 201 when the order is stored, with its position |
//! | either | 503 while the buffer is full, or for an order that cannot be stored now: try again later |

use std::{env, error::Error, io, process::ExitCode, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::post,
};
use kinesis_pipeline::{
    KinesisRecord, KinesisStream, LocalKinesis, PendingReceipt, Producer, PutError,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Serialize, Deserialize, KinesisRecord)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Click {
        #[kinesis(partition_key)]
        user: u64,
        page: String,
    },
    Order {
        #[kinesis(partition_key)]
        id: u64,
        euros: u32,
    },
}

#[derive(Deserialize)]
struct Click {
    user: u64,
    page: String,
}

#[derive(Deserialize)]
struct Order {
    id: u64,
    euros: u32,
}

/// The error of a put, as an HTTP answer.
struct Refusal(PutError);

impl From<PutError> for Refusal {
    fn from(error: PutError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error) = self;
        match &error {
            PutError::Key { .. } | PutError::Encode { .. } | PutError::TooLarge { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response()
            }
            // The buffer is full, the put is throttled, the service is out of reach, or the program is closing. The
            // client may try again, here or elsewhere.
            _ if error.is_retryable() || matches!(error, PutError::Closed { .. }) => {
                let text = "not now: try again later";
                (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response()
            }
            _ => {
                eprintln!("error: {error}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Accepts an event at once, or not at all: a request never waits for memory.
fn accept(producer: &Producer<Event>, event: Event) -> Result<PendingReceipt, Refusal> {
    producer
        .try_put(event)
        .map_err(|failure| failure.error.into())
}

/// Answers when the click is accepted. Its receipt is dropped: `close` counts clicks that were not stored.
async fn click(
    State(producer): State<Producer<Event>>,
    Json(Click { user, page }): Json<Click>,
) -> Result<StatusCode, Refusal> {
    accept(&producer, Event::Click { user, page })?;
    Ok(StatusCode::ACCEPTED)
}

/// Answers when the order is stored.
async fn order(
    State(producer): State<Producer<Event>>,
    Json(Order { id, euros }): Json<Order>,
) -> Result<(StatusCode, String), Refusal> {
    let receipt = accept(&producer, Event::Order { id, euros })?.await?;
    Ok((StatusCode::CREATED, receipt.position().to_string()))
}

async fn connect(name: Option<&str>) -> Result<KinesisStream<Event>, Box<dyn Error>> {
    match name {
        Some(name) => Ok(KinesisStream::connect(name).await?),
        None => Ok(LocalKinesis::start().await?.stream("events", 2).await?),
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let stream = connect(arguments.first().map(String::as_str)).await?;
    let mut builder = stream
        .producer()
        .aggregate(true)
        // This is less than the time that the platform leaves between SIGTERM and SIGKILL.
        .close_timeout(Duration::from_secs(20));
    if let Some(records) = arguments.get(1) {
        builder = builder.in_flight_records_max(records.parse()?);
    }
    let producer = builder.build()?;

    let routes = Router::new()
        .route("/clicks", post(click))
        .route("/orders", post(order));
    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let service = axum::serve(listener, routes.with_state(producer.clone()));
    // No new connections are accepted, and open requests are answered. Then accepted records are stored.
    let served = service.with_graceful_shutdown(signal()?).await;
    let handle = producer.clone();
    let closed = producer.close().await;
    let stats = handle.stats();
    println!(
        "{} of {} events are stored",
        stats.records_stored, stats.records_accepted
    );
    served?;
    Ok(closed?)
}

/// Returns a future that is ready at SIGTERM or Ctrl-C. From this call on the signals are handled.
#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
