//! The transform of records: the user's function behind one type, and the values of partition keys.

#[cfg(feature = "jq")]
mod jq;

use std::{sync::Arc, time::SystemTime};

use bytes::BytesMut;
#[cfg(feature = "jq")]
pub(crate) use jq::Query;
use kinesis_pipeline::{
    EncodedRecord, KinesisRecord,
    firehose::{FailureReason, IntoVerdict, Made, PartitionKeys, Transform},
};

use crate::prefix::{Source, ValueError, safe};

type Run =
    dyn Fn(&EncodedRecord, SystemTime, &mut BytesMut) -> Result<Made, FailureReason> + Send + Sync;

/// The user's function. Without one, records are kept as they are.
#[derive(Clone, Default)]
pub(crate) struct TransformFn(Option<Arc<Run>>);

impl TransformFn {
    pub(crate) fn new<T, V, R>(
        transform: Transform<R>,
        function: impl Fn(T) -> V + Send + Sync + 'static,
    ) -> Self
    where
        T: KinesisRecord,
        R: KinesisRecord + 'static,
        V: IntoVerdict<Record = R>,
    {
        Self(Some(Arc::new(move |record, arrived_at, out| {
            transform.run_one(record, arrived_at, &function, out)
        })))
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Runs the function; the bytes that it keeps are in `out`. Without a function the record's own bytes are kept, and
    /// are not copied.
    pub(crate) fn run(
        &self,
        record: &EncodedRecord,
        arrived_at: SystemTime,
        out: &mut BytesMut,
    ) -> Result<Made, FailureReason> {
        if let Some(run) = &self.0 {
            return run(record, arrived_at, out);
        }
        Ok(Made::Keep(None))
    }
}

/// Returns the values of a template's keys, each as one part of a path.
pub(crate) fn values(
    keys: &[(Source, String)],
    by_transform: Option<&PartitionKeys>,
    by_query: Option<&PartitionKeys>,
) -> Result<Box<[Box<str>]>, ValueError> {
    let value = |(source, name): &(Source, String)| {
        let values = match source {
            Source::Transform => by_transform,
            Source::Query => by_query,
        };
        let value = values.and_then(|values| values.get(name));
        match value.map(String::as_str) {
            None => Err(ValueError::Missing(name.clone())),
            Some("") => Err(ValueError::Empty(name.clone())),
            Some(value) => Ok(safe(value)),
        }
    };
    keys.iter().map(value).collect()
}
