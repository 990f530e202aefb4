use std::{io, time::SystemTime};

use bytes::BytesMut;
use kinesis_pipeline::{
    EncodedRecord, Position, Record,
    firehose::{Made, PartitionKeys},
};

use crate::{
    counts::Counts,
    encode::failed_line,
    prefix::{ValueError, check_key},
    settings::Settings,
    transform,
    window::{Folder, Kind, Window},
};

/// Firehose's error code for records that the transform answers with `ProcessingFailed`.
const CODE_FUNCTION: &str = "Lambda.FunctionError";
const CODE_PARTITION: &str = "DynamicPartitioning.MetadataExtractionFailed";
const CODE_FORMAT: &str = "DataFormatConversion.ParseError";

/// The step that puts records into the objects of their folders. Its buffers are reused for each record.
#[derive(Debug, Default)]
pub(super) struct Placer {
    made: BytesMut,
    framed: BytesMut,
}

/// A record that goes to the failed records.
struct Failed {
    kind: Kind,
    code: &'static str,
    message: String,
}

impl Placer {
    /// Transforms a record and appends it to the object of its folder. Returns the folder if the record was delivered.
    pub(super) fn place(
        &mut self,
        settings: &Settings,
        counts: &Counts,
        record: &Record<EncodedRecord>,
        window: &mut Window,
    ) -> io::Result<Option<Folder>> {
        let (position, arrived_at) = (record.position(), record.arrived_at);
        if settings.source_prefix.is_some() {
            self.back_up(settings, record, window)?;
        }
        match self.deliver(settings, record, window) {
            Ok(Some(folder)) => {
                Counts::add(&counts.kept);
                window.add(&folder, &self.framed, position, arrived_at)?;
                Ok(Some(folder))
            }
            Ok(None) => {
                Counts::add(&counts.dropped);
                Ok(None)
            }
            Err(failed) => {
                Counts::add(&counts.failed);
                let data = &record.data.data;
                let line = failed_line(data, position, arrived_at, failed.code, &failed.message);
                window.add(&Folder::of(failed.kind), &line, position, arrived_at)?;
                Ok(None)
            }
        }
    }

    /// Transforms and frames a record. Returns its folder; `None` if it is dropped.
    fn deliver(
        &mut self,
        settings: &Settings,
        record: &Record<EncodedRecord>,
        window: &Window,
    ) -> Result<Option<Folder>, Failed> {
        let made = settings
            .transform
            .run(&record.data, record.arrived_at, &mut self.made);
        let keys = match made {
            Ok(Made::Keep(keys)) => keys,
            Ok(Made::Drop) => return Ok(None),
            Err(reason) => {
                return Err(Failed {
                    kind: Kind::Failed,
                    code: CODE_FUNCTION,
                    message: reason.to_string(),
                });
            }
        };
        let data: &[u8] = if settings.transform.is_set() {
            &self.made
        } else {
            &record.data.data
        };
        let folder = folder(settings, data, keys.as_ref());
        let folder = folder.and_then(|folder| {
            if !window.has(&folder) && !folder.values.is_empty() {
                check_key(&settings.key(&folder, record.position(), record.arrived_at))?;
            }
            Ok(folder)
        });
        let folder = folder.map_err(|error| Failed {
            kind: Kind::Unplaced,
            code: CODE_PARTITION,
            message: error.to_string(),
        })?;
        self.framed.clear();
        let framed = settings.format.frame(data, &mut self.framed);
        framed.map_err(|error| Failed {
            kind: Kind::Unformatted,
            code: CODE_FORMAT,
            message: error.to_string(),
        })?;
        Ok(Some(folder))
    }

    /// Appends a copy of a record, as it came.
    fn back_up(
        &mut self,
        settings: &Settings,
        record: &Record<EncodedRecord>,
        window: &mut Window,
    ) -> io::Result<()> {
        let (position, arrived_at): (&Position, SystemTime) =
            (record.position(), record.arrived_at);
        self.framed.clear();
        let framed = settings.format.frame(&record.data.data, &mut self.framed);
        // A record that the format cannot hold goes to the failed records, with its bytes.
        if framed.is_err() {
            return Ok(());
        }
        let folder = Folder::of(Kind::Source);
        window.add(&folder, &self.framed, position, arrived_at)
    }
}

/// Returns the folder of a record that is delivered with these bytes.
#[cfg_attr(
    not(feature = "jq"),
    expect(unused_variables, reason = "the query reads the bytes")
)]
fn folder(
    settings: &Settings,
    data: &[u8],
    by_transform: Option<&PartitionKeys>,
) -> Result<Folder, ValueError> {
    let keys = settings.prefix.keys();
    if keys.is_empty() {
        return Ok(Folder::of(Kind::Delivered));
    }
    #[cfg(feature = "jq")]
    let by_query = settings
        .query
        .as_ref()
        .map(|query| query.run(data))
        .transpose()?;
    #[cfg(not(feature = "jq"))]
    let by_query: Option<PartitionKeys> = None;
    Ok(Folder {
        kind: Kind::Delivered,
        values: transform::values(keys, by_transform, by_query.as_ref())?,
    })
}
