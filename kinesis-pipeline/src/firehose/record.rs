//! The transform of one record, from the event to the bytes of its answer.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::{BufMut as _, BytesMut};
use futures_util::FutureExt as _;

use super::{FailureReason, NewLine, Verdict, output::PartitionKeys};
use crate::record::{EncodeContext, KinesisRecord};

pub(super) type KeysOf<R> = Box<dyn Fn(&R) -> PartitionKeys + Send + Sync>;

/// The outcome of one record. The bytes are in the buffer that the caller gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// `Ok`: the bytes are delivered, with these keys if the transform makes any.
    Keep(Option<PartitionKeys>),
    /// `Dropped`: there is nothing to deliver.
    Drop,
}

/// Writes the data of a verdict to `out`.
pub(super) fn encode<R: KinesisRecord>(
    verdict: Verdict<R>,
    new_line: NewLine,
    keys_of: Option<&KeysOf<R>>,
    context: &EncodeContext,
    out: &mut BytesMut,
) -> Result<Made, FailureReason> {
    let mut append = |record: &R| -> Result<Option<PartitionKeys>, FailureReason> {
        record.encode(context, out)?;
        if new_line == NewLine::Append && !out.is_empty() && !out.ends_with(b"\n") {
            out.put_u8(b'\n');
        }
        Ok(keys_of.map(|keys_of| keys_of(record)))
    };
    match verdict {
        Verdict::Keep(record) => append(&record).map(Made::Keep),
        Verdict::KeepAll(records) => {
            let mut made = Made::Drop;
            for record in &records {
                let keys = append(record)?;
                match &made {
                    Made::Keep(first) if *first != keys => {
                        return Err(FailureReason::DifferentPartitionKeys);
                    }
                    Made::Keep(_) => {}
                    Made::Drop => made = Made::Keep(keys),
                }
            }
            Ok(made)
        }
        Verdict::Drop => Ok(Made::Drop),
        Verdict::Fail(reason) => Err(FailureReason::Refused(reason)),
    }
}

/// Runs code of the user. A panic becomes a failure of the record.
///
/// Unwind safety may be asserted: after a panic we use only the buffer again, which is cleared before each record. The
/// user is responsible for values that the function captures.
pub(super) fn caught<T>(
    run: impl FnOnce() -> Result<T, FailureReason>,
) -> Result<T, FailureReason> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(FailureReason::panicked(panic)))
}

/// Runs a future of the user in the same way. The future is dropped after a panic.
pub(super) async fn caught_future<T>(
    run: impl Future<Output = Result<T, FailureReason>>,
) -> Result<T, FailureReason> {
    let ended = AssertUnwindSafe(run).catch_unwind().await;
    ended.unwrap_or_else(|panic| Err(FailureReason::panicked(panic)))
}
