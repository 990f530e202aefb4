use std::time::{Duration, SystemTime};

use clap::Args;
use kinesis_pipeline::{KinesisStream, aws_sdk_kinesis::types::Consumer};
use serde::Serialize;

use crate::{
    calls::describe,
    cli::{Global, StreamArgument},
    connect::Connected,
    data,
    failure::{Failure, Told},
    output::{self, Layout, Row},
};

/// The most pages that a listing reads: the service allows a stream 20 consumers, or 50 in On-demand Advantage mode.
const PAGES_MAX: usize = 100;

#[derive(Args, Debug)]
pub(crate) struct Consumers {
    #[command(flatten)]
    stream: StreamArgument,
    /// Remove this consumer, whose readers then end with an error; may be given more than once. The others are listed.
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    /// The form in which the consumers are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Consumers {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let mut consumers = list(&connected).await?;
        for name in &self.remove {
            let count = consumers.len();
            consumers.retain(|consumer| consumer.consumer_name != *name);
            if consumers.len() == count {
                let stream = connected.id();
                return Err(Told(format!("stream `{stream}` has no consumer `{name}`")).into());
            }
            let stream: KinesisStream<bytes::Bytes> = connected.stream();
            stream.deregister_consumer(name).await?;
        }
        let rows: Vec<_> = consumers.into_iter().map(ConsumerRow::from).collect();
        Ok(output::rows(self.output, &rows)?)
    }
}

async fn list(connected: &Connected) -> Result<Vec<Consumer>, Failure> {
    let client = connected.client();
    let arn = describe(&*connected.service, &connected.id()).await?.arn;
    let mut consumers = Vec::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let call = client.list_stream_consumers().stream_arn(&arn);
        let page = call.set_next_token(token).send().await;
        let page = page.map_err(|error| connected.failed("ListStreamConsumers", &error))?;
        consumers.extend(page.consumers.unwrap_or_default());
        token = page.next_token;
        if token.is_none() {
            return Ok(consumers);
        }
    }
    let told = format!("the list of consumers has more than {PAGES_MAX} pages");
    Err(Told(told).into())
}

#[derive(Serialize)]
struct ConsumerRow {
    name: String,
    arn: String,
    status: String,
    created_at: String,
}

impl From<Consumer> for ConsumerRow {
    fn from(consumer: Consumer) -> Self {
        let millis = consumer.consumer_creation_timestamp.to_millis();
        let millis = millis.ok().and_then(|millis| u64::try_from(millis).ok());
        let since_epoch = Duration::from_millis(millis.unwrap_or_default());
        Self {
            name: consumer.consumer_name,
            arn: consumer.consumer_arn,
            status: consumer.consumer_status.to_string(),
            created_at: data::rfc3339(SystemTime::UNIX_EPOCH + since_epoch),
        }
    }
}

impl Row for ConsumerRow {
    const TITLES: &'static [&'static str] = &["CONSUMER", "STATUS", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.status.clone(),
            self.created_at.clone(),
        ]
    }
}
