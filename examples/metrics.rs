//! Exports the metrics of a producer and a reader to Prometheus and to OpenTelemetry.
//!
//! ```text
//! cargo run --example metrics --features metrics
//! ```

use std::error::Error;

use bytes::Bytes;
use kinesis_pipeline::{KinesisStream, LocalKinesis, StartAt, Until};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_opentelemetry::{
    OpenTelemetryMetrics, OpenTelemetryRecorder, opentelemetry::metrics::MeterProvider,
};
use metrics_util::layers::FanoutBuilder;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_stdout::MetricExporter;

/// The histograms of times. Their buckets are in seconds.
const TIMES: [&str; 3] = [
    "kinesis_pipeline_buffering_time_seconds",
    "kinesis_pipeline_request_time_seconds",
    "kinesis_pipeline_get_records_time_seconds",
];
const BUCKETS: [f64; 5] = [0.001, 0.01, 0.1, 1.0, 10.0];

/// Installs one recorder that feeds both exporters. For a single exporter, its own `install` is enough.
fn install() -> Result<(PrometheusHandle, SdkMeterProvider), Box<dyn Error>> {
    let times = Matcher::Suffix("_seconds".into());
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(times, &BUCKETS)?
        .build_recorder();
    let handle = prometheus.handle();

    // A real program uses `opentelemetry_otlp::MetricExporter`, which sends to a collector.
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(MetricExporter::default())
        .build();
    let meter = OpenTelemetryMetrics::new(provider.meter("kinesis-pipeline"));
    let mut open_telemetry = OpenTelemetryRecorder::new(meter);
    open_telemetry.set_histogram_bounds_mut(TIMES.into_iter(), &BUCKETS);

    let both = FanoutBuilder::default()
        .add_recorder(prometheus)
        .add_recorder(open_telemetry);
    metrics::set_global_recorder(both.build())?;
    Ok((handle, provider))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The recorder must be installed before any producer or reader is made.
    let (prometheus, open_telemetry) = install()?;

    let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 4).await?;
    let producer = stream.producer().aggregate(true).build()?;
    for count in 0..1_000 {
        producer.put(&Bytes::from(count.to_string())).await?;
    }
    producer.close().await?;

    let reader = stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await?;
    while let Some(record) = records.next().await {
        record?;
    }

    // This is the answer to a scrape of `/metrics`.
    println!("Prometheus\n\n{}", prometheus.render());
    println!("OpenTelemetry\n");
    open_telemetry.shutdown()?; // exports what was not exported yet
    Ok(())
}
