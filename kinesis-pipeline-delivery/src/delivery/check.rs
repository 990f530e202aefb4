use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use kinesis_pipeline::Position;
use object_store::path::Path;

use super::{Delivery, MIB};
#[cfg(feature = "jq")]
use crate::transform::Query;
use crate::{
    Compression, Format, InvalidDelivery,
    prefix::{PrefixError, Source, Template, fingerprint, safe},
    settings::Settings,
    store::RetryLimits,
    window::{Folder, Kind, Limits},
};

const NAME_BYTES_MAX: usize = 64;
const BUFFER_BYTES_MIN: u64 = 1024;
/// S3's largest object.
const BUFFER_BYTES_MAX: u64 = 5 << 40;
const AGE_MIN: Duration = Duration::from_secs(1);
const AGE_MAX: Duration = Duration::from_hours(24);
const MERGE_WAIT_MIN: Duration = Duration::from_millis(1);
const MERGE_WAIT_MAX: Duration = Duration::from_hours(1);
const EXTENSION_BYTES_MAX: usize = 128;

/// The check of a delivery's settings.
impl Delivery {
    pub(crate) fn check(self) -> Result<Settings, InvalidDelivery> {
        self.check_name()?;
        let limits = self.limits()?;
        let (compression, failed_compression) = self.compressions()?;
        let (prefix, error_prefix) = self.prefixes()?;
        let source_prefix = match &self.source_prefix {
            Some(text) => {
                let template = parse("source prefix", text)?.with_hour();
                refuse_keys("the source prefix", &template).map_err(in_prefix("source prefix"))?;
                Some(template)
            }
            None => None,
        };
        self.check_keys(&prefix)?;
        let extension = match &self.extension {
            Some(extension) if !extension.is_empty() => extension.clone(),
            // As in Firehose: the extension of the compression alone.
            Some(_) => compression.extension().to_owned(),
            None if self.format == Format::Tri => self.format.extension().to_owned(),
            None => self.format.extension().to_owned() + compression.extension(),
        };
        check_extension(&extension)?;
        let settings = Settings {
            fingerprint: self.fingerprint(),
            zone: time_zone(&self.time_zone)?,
            #[cfg(feature = "jq")]
            query: self.query.as_deref().map(Query::compile).transpose()?,
            name: self.name,
            naming: self.naming,
            prefix,
            error_prefix,
            source_prefix,
            format: self.format,
            compression,
            failed_compression,
            extension,
            failed_extension: format!(".jsonl{}", failed_compression.extension()),
            limits,
            merge: self.merge,
            transform: self.transform,
            flush_on_stop: self.flush_on_stop,
            retry: RetryLimits {
                retry_max: self.retry_max,
                denied_max: self.denied_max.unwrap_or(self.retry_max),
            },
            clock: self.clock,
        };
        check_sample_keys(&settings)?;
        Ok(settings)
    }

    /// Returns a digest of the settings that decide keys and bytes. Of a transform only its presence counts, because
    /// functions cannot be compared.
    fn fingerprint(&self) -> String {
        let texts = (
            &self.name,
            &self.prefix,
            &self.error_prefix,
            &self.source_prefix,
        );
        let ends = (&self.time_zone, &self.extension, &self.query);
        let forms = (
            self.naming,
            self.format,
            self.compression,
            self.transform.is_set(),
            self.merge.is_some(),
        );
        fingerprint(&format!("{texts:?} {ends:?} {forms:?}"))
    }

    fn check_name(&self) -> Result<(), InvalidDelivery> {
        let name = &self.name;
        let is_part = !name.is_empty() && name.len() <= NAME_BYTES_MAX && *safe(name) == **name;
        is_part
            .then_some(())
            .ok_or_else(|| InvalidDelivery::Name { name: name.clone() })
    }

    fn limits(&self) -> Result<Limits, InvalidDelivery> {
        let idle = self.idle.unwrap_or(self.buffer_age);
        let bytes = self.buffer_bytes;
        in_range(
            "the buffer",
            bytes,
            (BUFFER_BYTES_MIN, BUFFER_BYTES_MAX),
            "1 KiB to 5 TiB",
        )?;
        for (what, time) in [
            ("the buffer's age", self.buffer_age),
            ("the idle time", idle),
        ] {
            in_range(what, time, (AGE_MIN, AGE_MAX), "1 s to 24 hours")?;
        }
        in_range(
            "the memory",
            self.memory_bytes,
            (MIB, usize::MAX),
            "1 MiB or more",
        )?;
        in_range(
            "the number of open objects",
            self.folders,
            (2, 1_000_000),
            "2 to 1,000,000",
        )?;
        if let Some(merge) = self.merge {
            in_range(
                "the size of merged objects",
                merge.bytes,
                (BUFFER_BYTES_MIN, BUFFER_BYTES_MAX),
                "1 KiB to 5 TiB",
            )?;
            in_range(
                "the wait of merged objects",
                merge.wait,
                (MERGE_WAIT_MIN, MERGE_WAIT_MAX),
                "1 ms to 1 hour",
            )?;
        }
        Ok(Limits {
            object_bytes: bytes,
            age: self.buffer_age,
            idle,
            memory_bytes: self.memory_bytes,
            folders: self.folders,
        })
    }

    /// Returns the compression of delivered and of failed records.
    fn compressions(&self) -> Result<(Compression, Compression), InvalidDelivery> {
        match (self.format, self.compression) {
            (Format::Tri, Compression::None | Compression::Snappy) => {
                Ok((Compression::Snappy, Compression::None))
            }
            (Format::Tri, _) => Err(InvalidDelivery::TriCompression),
            (_, compression) => Ok((compression, compression)),
        }
    }

    fn prefixes(&self) -> Result<(Template, Template), InvalidDelivery> {
        let default_prefix = self.naming.default_prefix(&self.name);
        let text = self.prefix.as_deref().unwrap_or(&default_prefix);
        let prefix = parse("prefix", text)?.with_hour();
        if prefix.has_error_type() {
            return Err(in_prefix("prefix")(PrefixError::Misplaced {
                expression: "firehose:error-output-type",
                place: "the prefix of delivered records",
            }));
        }
        let folder = match prefix.leading_text().rfind('/') {
            Some(end) => &prefix.leading_text()[..=end],
            None => "",
        };
        let default_error = format!("{folder}!{{firehose:error-output-type}}/");
        let error_prefix = match &self.error_prefix {
            None => parse("error prefix", &default_error)?.with_hour(),
            Some(text) => {
                let template = parse("error prefix", text)?;
                // As in Firehose: a prefix that has the error type is used as it is.
                if template.has_error_type() {
                    template
                } else {
                    template.with_hour()
                }
            }
        };
        refuse_keys("the error prefix", &error_prefix).map_err(in_prefix("error prefix"))?;
        Ok((prefix, error_prefix))
    }

    /// Checks that a transform or a query makes the partition keys that the prefix uses.
    fn check_keys(&self, prefix: &Template) -> Result<(), InvalidDelivery> {
        for (source, name) in prefix.keys() {
            let (namespace, missing, is_set) = match source {
                Source::Transform => (
                    "partitionKeyFromLambda",
                    "no transform with partition keys",
                    self.has_keys,
                ),
                Source::Query => ("partitionKeyFromQuery", "no jq query", self.query.is_some()),
            };
            if !is_set {
                let expression = format!("!{{{namespace}:{name}}}");
                return Err(InvalidDelivery::NoPartitionKeys {
                    expression,
                    missing,
                });
            }
        }
        Ok(())
    }
}

fn time_zone(zone: &str) -> Result<TimeZone, InvalidDelivery> {
    TimeZone::get(zone).map_err(|_| InvalidDelivery::TimeZone {
        zone: zone.to_owned(),
    })
}

fn in_range<T: PartialOrd + Copy + std::fmt::Debug>(
    what: &'static str,
    value: T,
    (least, most): (T, T),
    range: &'static str,
) -> Result<(), InvalidDelivery> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(InvalidDelivery::OutOfRange {
        what,
        value: format!("{value:?}"),
        range,
    })
}

fn parse(which: &'static str, text: &str) -> Result<Template, InvalidDelivery> {
    Template::parse(text).map_err(in_prefix(which))
}

fn in_prefix(which: &'static str) -> impl Fn(PrefixError) -> InvalidDelivery {
    move |source| InvalidDelivery::Prefix { which, source }
}

fn refuse_keys(place: &'static str, template: &Template) -> Result<(), PrefixError> {
    match template.keys().first() {
        None => Ok(()),
        Some((Source::Transform, _)) => Err(PrefixError::Misplaced {
            expression: "partitionKeyFromLambda",
            place,
        }),
        Some((Source::Query, _)) => Err(PrefixError::Misplaced {
            expression: "partitionKeyFromQuery",
            place,
        }),
    }
}

fn check_extension(extension: &str) -> Result<(), InvalidDelivery> {
    let is_part = *safe(extension) == *extension || extension.is_empty();
    let (bytes, range) = (extension.len(), 0..=EXTENSION_BYTES_MAX);
    if is_part && range.contains(&bytes) {
        return Ok(());
    }
    Err(InvalidDelivery::OutOfRange {
        what: "the extension",
        value: format!("{extension:?}"),
        range: "up to 128 bytes without `/`",
    })
}

/// Renders a sample key of each kind, to find a prefix that is no valid path before the first record.
fn check_sample_keys(settings: &Settings) -> Result<(), InvalidDelivery> {
    let first = Position::new("shardId-000000000000".into(), (u128::MAX / 2).into());
    let values = settings.prefix.keys().iter().map(|_| "x".into()).collect();
    let delivered = Folder {
        kind: Kind::Delivered,
        values,
    };
    let kinds = [
        ("prefix", delivered),
        ("error prefix", Folder::of(Kind::Unformatted)),
        ("source prefix", Folder::of(Kind::Source)),
    ];
    for (which, folder) in kinds {
        if folder.kind == Kind::Source && settings.source_prefix.is_none() {
            continue;
        }
        let key = settings.key(&folder, &first, SystemTime::UNIX_EPOCH);
        let problem = match (Path::parse(&key), crate::prefix::check_key(&key)) {
            (Err(error), _) => error.to_string(),
            (_, Err(error)) => error.to_string(),
            (Ok(path), Ok(())) if path.as_ref() != key => "a key begins without `/`".to_owned(),
            _ => continue,
        };
        return Err(in_prefix(which)(PrefixError::NoPath {
            prefix: key,
            problem,
        }));
    }
    Ok(())
}
