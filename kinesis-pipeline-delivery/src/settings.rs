use jiff::{Timestamp, Zoned, tz::TimeZone};
use kinesis_pipeline::{Clock, Position};
use object_store::path::Path;
use std::time::SystemTime;

#[cfg(feature = "jq")]
use crate::transform::Query;
use crate::{
    Compression, Format, InvalidDelivery, Naming,
    encode::Encoder,
    merge::MergeLimits,
    prefix::{Facts, ObjectId, Template},
    store::RetryLimits,
    transform::TransformFn,
    window::{Folder, Kind, Limits, Window},
};

/// The checked settings of a delivery, shared by its shards.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) naming: Naming,
    pub(crate) prefix: Template,
    pub(crate) error_prefix: Template,
    pub(crate) source_prefix: Option<Template>,
    pub(crate) zone: TimeZone,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    pub(crate) failed_compression: Compression,
    pub(crate) extension: String,
    pub(crate) failed_extension: String,
    pub(crate) limits: Limits,
    pub(crate) merge: Option<MergeLimits>,
    pub(crate) transform: TransformFn,
    #[cfg(feature = "jq")]
    pub(crate) query: Option<Query>,
    pub(crate) flush_on_stop: bool,
    pub(crate) retry: RetryLimits,
    pub(crate) clock: Clock,
    /// A digest of the settings that decide keys and bytes, besides the limits.
    pub(crate) fingerprint: String,
}

impl Settings {
    pub(crate) fn window(&self, limits: Limits) -> Result<Window, InvalidDelivery> {
        let encoder = |compression| Encoder::new(compression).map_err(InvalidDelivery::Compression);
        let (delivered, failed) = (
            encoder(self.compression)?,
            encoder(self.failed_compression)?,
        );
        Ok(Window::new(limits, delivered, failed))
    }

    fn template(&self, kind: Kind) -> &Template {
        match kind {
            Kind::Delivered => &self.prefix,
            Kind::Source => self.source_prefix.as_ref().unwrap_or(&self.prefix),
            Kind::Failed | Kind::Unplaced | Kind::Unformatted => &self.error_prefix,
        }
    }

    /// Returns the key of an object, a function of its folder and its first record.
    pub(crate) fn key(&self, folder: &Folder, first: &Position, oldest: SystemTime) -> String {
        let time = self.zoned(oldest);
        let partition = folder.values.join("\0") + folder.kind.error_type();
        let id = ObjectId::new(&self.name, &partition, first);
        let mut key = String::with_capacity(128);
        let facts = Facts {
            time: &time,
            values: &folder.values,
            error_type: folder.kind.error_type(),
            id: &id,
        };
        self.template(folder.kind).render(facts, &mut key);
        self.naming.write(&self.name, &id, first, &time, &mut key);
        key.push_str(if folder.kind.is_failure() {
            &self.failed_extension
        } else {
            &self.extension
        });
        key
    }

    /// Returns the key as a path of the store. Templates and values were checked, so it is valid.
    pub(crate) fn path(&self, folder: &Folder, first: &Position, oldest: SystemTime) -> Path {
        let key = self.key(folder, first, oldest);
        Path::parse(&key).unwrap_or_else(|_| Path::from(key))
    }

    fn zoned(&self, time: SystemTime) -> Zoned {
        // Arrival times come from the service: years after 9999 do not occur.
        let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        time.to_zoned(self.zone.clone())
    }
}
