use std::{str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use kinesis_pipeline::{EncodedRecord, KinesisStream, StartAt, Until};
use kinesis_pipeline_delivery::{Compression, Delivery, DeliveryReport, Format, Like, Location};

use crate::{
    cli::Global,
    failure::Failure,
    filters::Filter,
    interrupt::Asked,
    progress_bar::tell,
    values,
    worker_options::{Leases, WorkerOptions},
};

#[derive(Args, Debug)]
pub(crate) struct Deliver {
    #[command(flatten)]
    stream: WorkerOptions,
    /// The destination: `s3://BUCKET/FOLDER`, gs://, az://, `file:///FOLDER` or a folder of this machine.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The application: deliveries of one name share the shards, and continue where they were.
    #[arg(long, value_name = "APP", default_value = "deliver")]
    app: String,
    /// The store of the application's leases and checkpoints: file unless given, dynamodb with a settings file.
    #[arg(long, value_enum)]
    leases: Option<Leases>,
    /// End at the last record that is in the stream now. No leases are used: another run delivers everything again, to
    /// the same objects.
    #[arg(long, conflicts_with_all = ["app", "properties", "leases", "lease_file", "latest"])]
    once: bool,
    /// The size of an object after compression, and the time after which a smaller one is written.
    #[arg(long, value_name = "BYTES,TIME", default_value = "5MiB,60s")]
    buffer: Buffer,
    /// Merge the objects that all shards of this process write into one folder: the size of a merged object, and how
    /// long its first part waits for parts of other shards. Manifests list the parts.
    #[arg(long, value_name = "BYTES,TIME")]
    merge: Option<Buffer>,
    /// The prefix of keys, with Firehose's expressions, such as 'data/!{timestamp:yyyy/MM/dd}/'.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// The prefix of failed records' keys.
    #[arg(long, value_name = "PREFIX")]
    error_prefix: Option<String>,
    /// Also store a copy of every record, as it came, under this prefix.
    #[arg(long, value_name = "PREFIX")]
    source_backup: Option<String>,
    /// The first part of objects' names. The stream's name unless given.
    #[arg(long)]
    name: Option<String>,
    /// Imitate the names and bytes of another service.
    #[arg(long, value_enum)]
    like: Option<LikeWhat>,
    /// The compression of objects.
    #[arg(long, value_enum, default_value = "none")]
    compression: Packing,
    /// The format of objects; a record a line unless given.
    #[arg(long, value_enum)]
    format: Option<Framing>,
    /// The file extension of objects, such as .json.
    #[arg(long)]
    extension: Option<String>,
    /// The time zone of timestamps in keys.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// A jq query that makes an object of partition keys, for '!{partitionKeyFromQuery:NAME}' in the prefix.
    #[arg(long, value_name = "QUERY")]
    jq: Option<String>,
    /// The filter that records go through.
    #[arg(long, value_enum)]
    filter: Option<Filter>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LikeWhat {
    /// Firehose.
    Firehose,
    /// A Kinesis channel.
    Channel,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Packing {
    /// None.
    None,
    /// Gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// Snappy in its framing format.
    Snappy,
    /// Snappy in Hadoop's blocks.
    HadoopSnappy,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Framing {
    /// A record per line.
    Lines,
    /// Records back to back.
    Concat,
    /// Triton's archive.
    Tri,
}

/// A setter of a text.
type SetText = fn(Delivery, String) -> Delivery;

/// A size in bytes and a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Buffer {
    bytes: u64,
    age: Duration,
}

impl FromStr for Buffer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not BYTES,TIME, such as 50MiB,60s");
        let (bytes, age) = text.split_once(',').ok_or_else(wrong)?;
        let digits = bytes
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(bytes.len());
        let (number, unit) = bytes.split_at(digits);
        let unit: u64 = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        Ok(Self {
            bytes: number.checked_mul(unit).ok_or_else(wrong)?,
            age: values::duration(age)?,
        })
    }
}

impl Deliver {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let (connected, global) = self.stream.connect(global).await?;
        let stream: KinesisStream<EncodedRecord> = connected.stream();
        let location = Location::connect(&self.to).await?;
        let delivery = self.delivery(location, stream.id().name());
        if !global.quiet {
            tell(&format!(
                "delivering {} to {}; Ctrl-C ends it",
                stream.id(),
                self.to
            ));
        }
        let is_once = self.once;
        let report = if is_once {
            let reader = stream.reader().start(StartAt::TrimHorizon);
            let records = reader.until(Until::Tip).open().await?;
            delivery.run(records).await?
        } else {
            Box::pin(self.share(delivery, &stream, &global)).await?
        };
        if !global.quiet {
            let rest = if is_once {
                ""
            } else {
                "; records that are in no object yet come with the next run"
            };
            tell(&format!("{}{rest}", line(&report)));
        }
        Ok(())
    }

    /// Delivers as a worker of the application until a signal comes.
    async fn share(
        &self,
        delivery: Delivery,
        stream: &KinesisStream<EncodedRecord>,
        global: &Global,
    ) -> Result<DeliveryReport, Failure> {
        let fleet = self.stream.worker(stream, &self.app)?;
        let usual = if self.stream.has_properties() {
            Leases::Dynamodb
        } else {
            Leases::File
        };
        let leases = self.leases.unwrap_or(usual);
        let fleet = self.stream.leases(leases, fleet, global).await?;
        let worker = delivery.worker(fleet)?;
        let handle = worker.handle();
        let mut running = std::pin::pin!(worker.run());
        let asked = Asked::default();
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = asked.to_end(|_| ()) => {
                handle.stop();
                running.await
            }
        };
        Ok(ended?)
    }

    fn delivery(&self, location: Location, stream: &str) -> Delivery {
        let mut delivery = Delivery::to_location(location)
            .name(self.name.as_deref().unwrap_or(stream))
            .buffer(self.buffer.bytes, self.buffer.age)
            .time_zone(&self.time_zone)
            .compression(match self.compression {
                Packing::None => Compression::None,
                Packing::Gzip => Compression::Gzip,
                Packing::Zstd => Compression::Zstd,
                Packing::Snappy => Compression::Snappy,
                Packing::HadoopSnappy => Compression::HadoopSnappy,
            });
        if let Some(merge) = self.merge {
            delivery = delivery.merge(merge.bytes, merge.age);
        }
        if let Some(like) = self.like {
            delivery = delivery.like(match like {
                LikeWhat::Firehose => Like::Firehose,
                LikeWhat::Channel => Like::Channel,
            });
        }
        if let Some(format) = self.format {
            delivery = delivery.format(match format {
                Framing::Lines => Format::Lines,
                Framing::Concat => Format::Concat,
                Framing::Tri => Format::Tri,
            });
        }
        if let Some(filter) = self.filter {
            delivery = filter.set(delivery);
        }
        let texts: [(&Option<String>, SetText); 5] = [
            (&self.prefix, Delivery::prefix),
            (&self.error_prefix, Delivery::error_prefix),
            (&self.source_backup, Delivery::source_backup),
            (&self.extension, Delivery::extension),
            (&self.jq, Delivery::partition_by_jq),
        ];
        for (text, set) in texts {
            if let Some(text) = text {
                delivery = set(delivery, text.clone());
            }
        }
        delivery
    }
}

/// Returns the counts in one line.
fn line(report: &DeliveryReport) -> String {
    format!(
        "{} records read: {} kept, {} dropped, {} failed; {} objects written, {} found, {} bytes",
        report.records,
        report.kept,
        report.dropped,
        report.failed,
        report.objects_written,
        report.objects_found,
        report.bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_a_size_and_a_time() {
        let buffer = |bytes, seconds| {
            let age = Duration::from_secs(seconds);
            Ok(Buffer { bytes, age })
        };
        assert_eq!("50MiB,60s".parse(), buffer(50 << 20, 60));
        assert_eq!("1024,1m".parse(), buffer(1024, 60));
        for wrong in [
            "",
            "5MiB",
            "5MB,1s",
            "MiB,1s",
            "5MiB,60",
            "99999999999999GiB,1s",
        ] {
            assert!(wrong.parse::<Buffer>().is_err(), "{wrong}");
        }
    }
}
