//! The put pipeline behind `stream.put` and its kin.

use std::{
    borrow::Borrow,
    sync::{Arc, OnceLock},
};

use futures_core::Stream;

use super::put_stream::PutStream;
use crate::{
    put::{
        admission::{encode::encode, shared::Shared},
        error::PutError,
        options::PutOptions,
        pending::receipt::{PendingReceipt, Receipt},
        pipeline::pipeline::{NotNow, Pipeline},
    },
    record::{Encoded, EncodedRecord, KinesisRecord},
    stream::KinesisStream,
    target::Target,
};

/// The put pipeline that all clones of one stream handle share. The first put makes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedPut {
    options: PutOptions,
    pipeline: Arc<OnceLock<Arc<Pipeline>>>,
}

impl SharedPut {
    pub(crate) fn with_options(options: PutOptions) -> Self {
        Self {
            options,
            pipeline: Arc::default(),
        }
    }

    /// Makes another pipeline with the same options, for another target.
    pub(crate) fn unshared(&self) -> Self {
        Self::with_options(self.options.clone())
    }

    fn pipeline(&self, target: &Target) -> &Arc<Pipeline> {
        self.pipeline.get_or_init(|| {
            let shared = Shared::new(target.clone(), self.options.clone());
            Pipeline::new(shared, fastrand::Rng::new())
        })
    }

    /// Puts one record and waits until it is stored.
    pub(crate) async fn put<R: KinesisRecord>(
        &self,
        stream: &KinesisStream<R>,
        record: &R,
    ) -> Result<Receipt, PutError> {
        let own = |encoded: Encoded<'_>| Ok(encoded.into_record());
        let encoded = encode_for(stream, record, own).map_err(|error: Box<PutError>| *error)?;
        self.pipeline(&stream.target).put(encoded).await?.await
    }

    /// Puts the records of `records` as the results are read.
    pub(crate) fn put_stream<R, S>(&self, stream: &KinesisStream<R>, records: S) -> PutStream<R, S>
    where
        R: KinesisRecord,
        S: Stream,
        S::Item: Borrow<R>,
    {
        let pipeline = Arc::clone(self.pipeline(&stream.target));
        PutStream::new(stream.clone(), pipeline, records)
    }
}

/// A record that was not accepted at once.
#[derive(Debug)]
pub(super) enum NotAccepted {
    /// There is no room for it now.
    NoRoom(Box<EncodedRecord>),
    Refused(Box<PutError>),
}

impl From<Box<PutError>> for NotAccepted {
    fn from(error: Box<PutError>) -> Self {
        Self::Refused(error)
    }
}

/// Accepts a record if there is room for it now, or returns it encoded.
#[inline]
pub(super) fn try_accept<R: KinesisRecord>(
    stream: &KinesisStream<R>,
    pipeline: &Arc<Pipeline>,
    record: &R,
) -> Result<PendingReceipt, NotAccepted> {
    encode_for(stream, record, |encoded| {
        pipeline.try_put(encoded).map_err(|reason| match reason {
            NotNow::NoRoom => NotAccepted::NoRoom(Box::new(encoded.into_record())),
            NotNow::Refused(error) => NotAccepted::Refused(error),
        })
    })
}

/// Encodes a record with the key field of the stream's handle, and hands it out.
#[inline]
pub(super) fn encode_for<R: KinesisRecord, T, E: From<Box<PutError>>>(
    stream: &KinesisStream<R>,
    record: &R,
    then: impl FnOnce(Encoded<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let Target {
        stream: id, clock, ..
    } = &stream.target;
    encode(record, stream.key_field.as_deref(), id, clock, then)
}
