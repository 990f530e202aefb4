//! A transform of single records, without an event around them.

use std::time::SystemTime;

use bytes::BytesMut;

use super::{
    FailureReason, IntoVerdict, Transform,
    record::{self, Made, caught},
};
use crate::record::{EncodeContext, EncodedRecord, KinesisRecord};

impl<R: KinesisRecord> Transform<R> {
    /// Runs the function over one record of a stream, and writes the kept data to `out`, which is cleared first.
    ///
    /// The rules are those of [`run`](Self::run), with two exceptions. There is no response, so its size is not
    /// limited. Envelopes get the time `arrived_at`, so that a second run over the record makes the same bytes.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use bytes::BytesMut;
    /// use kinesis_pipeline::{EncodedRecord, PartitionKey, firehose::{Made, Transform, Verdict}};
    ///
    /// let record = EncodedRecord::new(PartitionKey::new("key")?, "hi".into());
    /// let mut out = BytesMut::new();
    /// let shout = |line: String| Verdict::Keep(line.to_uppercase());
    /// let made = Transform::new().run_one(&record, SystemTime::UNIX_EPOCH, shout, &mut out)?;
    /// assert_eq!((made, &out[..]), (Made::Keep(None), b"HI\n".as_slice()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The reason why the record failed: it cannot be decoded, the function refused it, failed or panicked, or its
    /// result cannot be encoded. `out` may then have a part of the data.
    pub fn run_one<T, V>(
        &self,
        record: &EncodedRecord,
        arrived_at: SystemTime,
        function: impl FnOnce(T) -> V,
        out: &mut BytesMut,
    ) -> Result<Made, FailureReason>
    where
        T: KinesisRecord,
        V: IntoVerdict<Record = R>,
    {
        out.clear();
        let context = EncodeContext::at(arrived_at);
        caught(|| {
            let verdict = function(T::decode(record)?).into_verdict()?;
            record::encode(verdict, self.new_line, self.keys_of.as_ref(), &context, out)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PartitionKey, firehose::Verdict};

    fn run<V: IntoVerdict<Record = String>>(
        function: impl FnOnce(String) -> V,
    ) -> (Result<Made, FailureReason>, BytesMut) {
        let record = EncodedRecord::new(PartitionKey::new("key").unwrap(), "text".into());
        let mut out = BytesMut::from("of the record before");
        let transform =
            Transform::new().partition_keys(|text: &String| [("size", text.len().to_string())]);
        let made = transform.run_one(&record, SystemTime::UNIX_EPOCH, function, &mut out);
        (made, out)
    }

    #[test]
    fn a_kept_record_is_written_alone_and_has_its_keys() {
        let (made, out) = run(Verdict::Keep);
        let keys = [("size".to_owned(), "4".to_owned())].into();
        assert_eq!(
            (made.unwrap(), &out[..]),
            (Made::Keep(Some(keys)), b"text\n".as_slice())
        );
    }

    #[test]
    fn a_record_is_dropped_refused_and_survives_a_panic() {
        assert_eq!(run(|_| Verdict::Drop).0.unwrap(), Made::Drop);
        let refused = run(|_| Verdict::<String>::Fail("no")).0;
        assert!(matches!(refused, Err(FailureReason::Refused("no"))));
        let panicked = run(|_| -> Verdict<String> { panic!("oh") }).0;
        assert!(matches!(panicked, Err(FailureReason::Panicked { .. })));
    }
}
