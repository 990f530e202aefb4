//! The answer of `GetRecords` in CBOR, read in the parts in which the connection delivers it.
//!
//! ```text
//!   part 1                     part 2
//!   ├ record ┼ record ┼ rec┆   ┆ord ┼ record ┼ ..
//!                      └──────┬─────┘
//!                            cut: joined in a buffer of its own
//! ```
//!
//! Each part is read and freed while it is in the processor's cache. The whole body, up to 10 MiB, would be copied
//! together first, into memory that the kernel has to clear.

use super::{Page, answer::PageReader};
use crate::{
    cbor::{Items, Scanner, is_cut},
    json::Malformed,
    service::aws::direct::ReadParts,
};

/// The smallest piece that is joined to a cut value; each further one is as large as all before it.
const JOINED_BYTES_MIN: usize = 4 * 1_024;

/// A page whose body comes in parts.
pub(super) struct Parts {
    page: PageReader<Items>,
    /// The beginning of a value whose end has not come.
    cut: Vec<u8>,
    /// The number of bytes that were read before those of `cut`.
    passed: usize,
    failed: Option<Malformed>,
}

impl Parts {
    /// Makes a reader of a body of this size; 0 if it is not known.
    pub(super) fn new(body_bytes: usize) -> Self {
        Self {
            page: PageReader::new(body_bytes),
            cut: Vec::new(),
            passed: 0,
            failed: None,
        }
    }

    /// Joins bytes of a part to the cut value, until that can be read. Returns the unread rest of the part.
    fn join<'p>(&mut self, part: &'p [u8]) -> &'p [u8] {
        let mut joined = 0;
        while !self.cut.is_empty() && joined < part.len() {
            let mut cut = std::mem::take(&mut self.cut);
            let more = cut.len().max(JOINED_BYTES_MIN);
            let end = part.len().min(joined + more);
            cut.extend_from_slice(&part[joined..end]);
            joined = end;
            let unread = cut.len() - self.read(&cut);
            if unread <= joined {
                return &part[joined - unread..];
            }
            cut.drain(..cut.len() - unread);
            self.cut = cut;
        }
        &part[joined..]
    }

    /// Reads whole values. Returns the number of bytes that were read; after a failure all count as read.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let mut scanner = Scanner::new(bytes);
        let mut read = 0;
        let failed = loop {
            if self.page.is_whole() {
                break scanner.end().err();
            }
            match self.page.step(&mut scanner) {
                Ok(()) => read = bytes.len() - scanner.rest_bytes(),
                Err(error) => break Some(error).filter(|error| !is_cut(error)),
            }
        };
        if let Some(error) = failed {
            self.failed = Some(self.at(error));
            return bytes.len();
        }
        self.passed += read;
        read
    }

    /// Returns the error with its offset in the body.
    fn at(&self, error: Malformed) -> Malformed {
        Malformed {
            offset: self.passed + error.offset,
            ..error
        }
    }
}

impl ReadParts<Page> for Parts {
    fn push(&mut self, part: &[u8]) {
        let rest = self.join(part);
        if self.failed.is_none() {
            let read = self.read(rest);
            self.cut.extend_from_slice(&rest[read..]);
        }
    }

    fn end(mut self: Box<Self>) -> Result<Page, Malformed> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.page.is_whole() {
            // Too little is left for a step: the error says so.
            let step = self.page.step(&mut Scanner::new(&self.cut));
            step.map_err(|error| self.at(error))?;
        }
        Ok(self.page.finish())
    }
}

/// Reads a body in these parts.
#[cfg(test)]
pub(super) fn read(parts: &[&[u8]]) -> Result<Page, Malformed> {
    let body_bytes = parts.iter().map(|part| part.len()).sum();
    let mut reader = Box::new(Parts::new(body_bytes));
    for part in parts {
        reader.push(part);
    }
    reader.end()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ciborium::{Value, cbor};
    use proptest::prelude::*;

    use super::*;

    fn bytes(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    fn record(number: usize, data: &[u8]) -> Value {
        cbor!({
            "SequenceNumber" => number.to_string(),
            "Data" => Value::Bytes(data.to_vec()),
            "PartitionKey" => "k",
            "ApproximateArrivalTimestamp" => 1_433_969_276_172_u64,
        })
        .unwrap()
    }

    fn body(datas: &[Vec<u8>]) -> Vec<u8> {
        let numbers = 1_usize..;
        let records = numbers
            .zip(datas)
            .map(|(number, data)| record(number, data));
        let records = Value::Array(records.collect());
        let members = cbor!({
            "MillisBehindLatest" => 7, "Records" => records, "NextShardIterator" => "next",
        });
        bytes(&members.unwrap())
    }

    /// Cuts a body into parts of these sizes, again and again.
    fn cut<'b>(mut body: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
        let mut parts = Vec::new();
        for size in sizes.iter().cycle() {
            let (part, rest) = body.split_at((*size).min(body.len()));
            parts.push(part);
            body = rest;
            if body.is_empty() {
                break;
            }
        }
        parts
    }

    proptest! {
        #[test]
        fn a_page_is_the_same_in_parts_of_any_size(
            bytes in prop::collection::vec(0_usize..20_000, 0..20),
            sizes in prop::collection::vec(1_usize..30_000, 1..20),
        ) {
            let datas: Vec<_> = (1..).zip(&bytes).map(|(byte, bytes)| vec![byte; *bytes]).collect();
            let body = body(&datas);
            let page = read(&cut(&body, &sizes)).unwrap().unwrap();
            let read_datas: Vec<_> = page.records.iter().map(|record| record.data.clone()).collect();
            prop_assert_eq!(read_datas, datas.into_iter().map(Bytes::from).collect::<Vec<_>>());
            prop_assert!(page.next_iterator.is_some() && page.behind_latest.is_some());
        }

        #[test]
        fn no_parts_make_it_panic_and_they_are_read_as_the_whole(body: Vec<u8>, size in 1_usize..9) {
            let (whole, parts) = (read(&[&body]), read(&cut(&body, &[size])));
            prop_assert_eq!(whole.is_ok(), parts.is_ok());
            prop_assert_eq!(whole.err(), parts.err());
        }
    }

    #[test]
    fn a_body_of_single_bytes_is_read_and_its_faults_are_where_they_were() {
        let whole = body(&[vec![1; 9], vec![2; 300], Vec::new()]);
        let page = read(&cut(&whole, &[1])).unwrap().unwrap();
        assert_eq!(page.records.len(), 3);
        for end in 0..whole.len() {
            let (cut_off, in_parts) = (&whole[..end], read(&cut(&whole[..end], &[1, 2])));
            assert_eq!(
                in_parts.unwrap_err(),
                read(&[cut_off]).unwrap_err(),
                "{end}"
            );
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0xE0;
            let (in_one, in_parts) = (read(&[&broken]), read(&cut(&broken, &[1, 5])));
            assert_eq!(in_one.as_ref().err(), in_parts.as_ref().err(), "{at}");
            assert_eq!(format!("{in_one:?}"), format!("{in_parts:?}"), "{at}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(read(&cut(&longer, &[7])).is_err());
    }
}
