//! The results of many puts, as one value.

use std::{fmt, ops::Deref, slice, vec};

use crate::put::{error::PutFailure, pending::receipt::Receipt};

type PutOutcome<T> = Result<Receipt, PutFailure<T>>;

/// The results of [`KinesisStream::put_all`](crate::KinesisStream::put_all), one per record, in the order of the
/// records.
///
/// It can be read as a slice or iterated. [`ok`](Self::ok) turns it into a single result:
///
/// ```
/// # use bytes::Bytes;
/// # async fn journey(stream: kinesis_pipeline::KinesisStream<Bytes>) -> Result<(), Box<dyn std::error::Error>> {
/// let results = stream.put_all([Bytes::from("21.5"), Bytes::from("19.0")]).await;
/// let again: Vec<_> = results
///     .into_failures()
///     .filter(|failure| failure.error.is_retryable())
///     .map(|failure| failure.record)
///     .collect();
/// let receipts = stream.put_all(again).await.ok()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "only the results tell which records were not stored: call `ok`, or look at `failures`"]
#[derive(Clone)]
pub struct PutResults<T> {
    results: Vec<PutOutcome<T>>,
}

impl<T> PutResults<T> {
    /// Returns all receipts, in the order of the records.
    ///
    /// # Errors
    /// The first failure. Later records may be stored, or have failed too: [`failures`](Self::failures) has all.
    pub fn ok(self) -> Result<Vec<Receipt>, PutFailure<T>> {
        self.results.into_iter().collect()
    }

    /// Whether every record was stored.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.results.iter().all(Result::is_ok)
    }

    /// Returns the failures, in the order of the records.
    pub fn failures(&self) -> impl Iterator<Item = &PutFailure<T>> {
        self.results
            .iter()
            .filter_map(|result| result.as_ref().err())
    }

    /// Returns the failures with their records, in their order, and drops the receipts.
    pub fn into_failures(self) -> impl Iterator<Item = PutFailure<T>> {
        self.results.into_iter().filter_map(Result::err)
    }

    /// Returns the results as they are.
    #[must_use]
    pub fn into_vec(self) -> Vec<Result<Receipt, PutFailure<T>>> {
        self.results
    }
}

impl<T> Deref for PutResults<T> {
    type Target = [Result<Receipt, PutFailure<T>>];

    fn deref(&self) -> &Self::Target {
        &self.results
    }
}

impl<T> From<Vec<Result<Receipt, PutFailure<T>>>> for PutResults<T> {
    fn from(results: Vec<PutOutcome<T>>) -> Self {
        Self { results }
    }
}

impl<T> FromIterator<Result<Receipt, PutFailure<T>>> for PutResults<T> {
    fn from_iter<I: IntoIterator<Item = PutOutcome<T>>>(results: I) -> Self {
        Self {
            results: results.into_iter().collect(),
        }
    }
}

impl<T> IntoIterator for PutResults<T> {
    type Item = Result<Receipt, PutFailure<T>>;
    type IntoIter = vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.results.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a PutResults<T> {
    type Item = &'a Result<Receipt, PutFailure<T>>;
    type IntoIter = slice::Iter<'a, Result<Receipt, PutFailure<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.results.iter()
    }
}

/// Formats receipts and errors, never a record.
impl<T> fmt::Debug for PutResults<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.results).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PutError;

    fn receipt(number: u128) -> Receipt {
        Receipt::new("shardId-000000000000".into(), number.into())
    }

    fn failure(record: &'static str) -> PutFailure<&'static str> {
        let stream = "readings".into();
        PutFailure::new(PutError::NoRoom { stream }, record)
    }

    #[test]
    fn all_receipts_come_in_the_order_of_the_records() {
        let results: PutResults<&str> = (1..4).map(|number| Ok(receipt(number))).collect();
        assert!(results.is_ok() && results.failures().next().is_none());
        let receipts = results.ok().unwrap();
        assert_eq!(receipts, [receipt(1), receipt(2), receipt(3)]);
    }

    #[test]
    fn one_failure_is_the_whole_result_and_the_first_one_is_told() {
        let results = || -> PutResults<_> {
            [Ok(receipt(1)), Err(failure("b")), Err(failure("c"))]
                .into_iter()
                .collect()
        };
        assert!(!results().is_ok());
        assert_eq!(results().ok().unwrap_err().record, "b");
        let records: Vec<_> = results().failures().map(|failure| failure.record).collect();
        assert_eq!(records, ["b", "c"]);
        let records: Vec<_> = results()
            .into_failures()
            .map(|failure| failure.record)
            .collect();
        assert_eq!(records, ["b", "c"]);
        assert_eq!((results().len(), results().into_vec().len()), (3, 3));
        assert!(results()[0].is_ok() && (&results()).into_iter().any(Result::is_err));
        assert!(!format!("{:?}", results()).contains("\"b\""));
    }
}
