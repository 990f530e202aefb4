//! The key tables of an aggregate that is read.

use super::protobuf::{Fields, Malformed, Value};

/// The largest size of an entry that is decoded at each use, in bytes: the most that a `PartitionKey` holds without an
/// allocation.
const SHORT_BYTES_MAX: usize = 23;

/// A key table. Its entries are decoded to keys at once. If the keys would take more memory than the aggregate itself,
/// the short ones stay encoded and are decoded at each use. Of a long one many records may make use, so it is decoded once
/// in any case.
///
/// The finished tables of an aggregate take at most four times its bytes, six times if its keys are not UTF-8. Keys of 24
/// bytes take most, as each is an allocation.
#[derive(Clone, Debug)]
pub(super) struct Table<T> {
    /// The decoded entries: all, or none.
    made: Vec<T>,
    /// The offset of each entry's field, if the entries stay encoded.
    places: Vec<u32>,
    /// The long ones of these, by their index.
    long: Vec<(u32, T)>,
    len: usize,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            made: Vec::new(),
            places: Vec::new(),
            long: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends an entry. `aggregate_bytes` is the size of the aggregate.
    #[inline]
    pub(super) fn push(&mut self, aggregate_bytes: usize, make: impl FnOnce() -> T) {
        self.len += 1;
        if self.len.saturating_mul(size_of::<T>()) <= aggregate_bytes {
            self.made.push(make());
        } else {
            self.made = Vec::new();
        }
    }

    /// Notes the offsets of the entries, which are the fields of this number in `data`, and decodes the long ones, unless
    /// all were decoded.
    pub(super) fn finish(
        &mut self,
        number: u8,
        data: &[u8],
        mut fields: Fields<'_>,
        make: impl Fn(&[u8]) -> T,
    ) -> Result<(), Malformed> {
        if self.made.len() == self.len {
            self.made.shrink_to_fit();
            return Ok(());
        }
        self.places.reserve_exact(self.len);
        loop {
            let place = u32::try_from(fields.place()).map_err(|_| Malformed)?;
            match fields.next()? {
                Some((field, value)) if field == u64::from(number) => {
                    if let Value::Bytes { start, end } = value
                        && end - start > SHORT_BYTES_MAX
                    {
                        let index = u32::try_from(self.places.len()).map_err(|_| Malformed)?;
                        self.long.push((index, make(&data[start..end])));
                    }
                    self.places.push(place);
                }
                Some(_) => {}
                None => break,
            }
        }
        self.long.shrink_to_fit();
        Ok(())
    }

    /// Returns the entry with this index of the table that was read from `data`.
    #[inline]
    pub(super) fn get(&self, data: &[u8], index: u32, make: impl FnOnce(&[u8]) -> T) -> Option<T>
    where
        T: Clone,
    {
        match self.made.get(index as usize) {
            Some(entry) => Some(entry.clone()),
            None => self.get_encoded(data, index, make),
        }
    }

    /// Returns the memory of the table, in bytes. `heap` returns that of an entry besides its own size.
    #[cfg(test)]
    pub(super) fn bytes(&self, heap: impl Fn(&T) -> usize) -> usize {
        let long = self.long.iter().map(|(_, entry)| entry);
        let entries = self.made.iter().chain(long).map(heap).sum::<usize>();
        let columns = self.made.capacity() * size_of::<T>() + self.places.capacity() * 4;
        entries + columns + self.long.capacity() * size_of::<(u32, T)>()
    }

    #[cold]
    fn get_encoded(&self, data: &[u8], index: u32, make: impl FnOnce(&[u8]) -> T) -> Option<T>
    where
        T: Clone,
    {
        match self.long.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(long) => Some(self.long[long].1.clone()),
            Err(_) => self.text(data, index).map(make),
        }
    }

    /// Returns the entries in their order.
    pub(super) fn iter<'a>(
        &'a self,
        data: &'a [u8],
        make: impl Fn(&[u8]) -> T + Copy + 'a,
    ) -> impl Iterator<Item = T> + 'a
    where
        T: Clone,
    {
        // An aggregate has fewer than 2^32 of anything.
        let count = u32::try_from(self.len).unwrap_or(u32::MAX);
        (0..count).filter_map(move |index| self.get(data, index, make))
    }

    fn text<'a>(&self, data: &'a [u8], index: u32) -> Option<&'a [u8]> {
        let place = *self.places.get(index as usize)?;
        match Fields::new(data, place as usize, data.len()).next() {
            Ok(Some((_, Value::Bytes { start, end }))) => data.get(start..end),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::protobuf::put_bytes;

    #[test]
    fn a_table_of_many_short_entries_is_read_where_it_is() {
        // A field of another number stands before and between them.
        let entries = b"\x12\x01x\x0a\x01a\x12\x01x\x0a\x00\x0a\x02bc";
        let fields = || Fields::new(entries, 0, entries.len());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut table = Table::new();
        for entry in ["a", "", "bc"] {
            table.push(entries.len(), || entry.to_owned());
        }
        table.finish(1, entries, fields(), text).unwrap();
        assert_eq!((table.made.len(), table.places.len()), (0, 3));
        let all: Vec<_> = table.iter(entries, text).collect();
        assert_eq!(all, ["a", "", "bc"]);
        assert_eq!(table.get(entries, 3, text), None);
    }

    #[test]
    fn a_long_entry_among_many_short_ones_is_made_once() {
        use std::cell::Cell;

        let mut entries = Vec::new();
        for text in [&b"a"[..], &[b'x'; 23], &[b'y'; 24], b"b", &[b'z'; 300]] {
            put_bytes(&mut entries, 1, text);
        }
        let made = Cell::new(0);
        let text = |bytes: &[u8]| {
            made.set(made.get() + 1);
            bytes.to_vec()
        };
        let mut table = Table::new();
        for _ in 0..5 {
            table.push(1, || unreachable!("it would take more than the aggregate"));
        }
        let fields = Fields::new(&entries, 0, entries.len());
        table.finish(1, &entries, fields, text).unwrap();
        assert_eq!(made.get(), 2);
        let lens = |index| table.get(&entries, index, text).map(|key| key.len());
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(lens),
            [1, 23, 24, 1, 300]
                .map(Some)
                .into_iter()
                .chain([None])
                .collect::<Vec<_>>()[..]
        );
        assert_eq!(made.get(), 5);
    }

    #[test]
    fn a_table_that_is_small_beside_its_aggregate_is_made_once() {
        let mut table = Table::new();
        table.push(100, || 7_u64);
        let unmade = |_: &[u8]| unreachable!("it is made");
        let fields = Fields::new(b"", 0, 0);
        table.finish(1, b"", fields, unmade).unwrap();
        let made = table.get(b"", 0, |_| unreachable!("it is made"));
        assert_eq!(
            (made, table.len(), table.places.capacity()),
            (Some(7), 1, 0)
        );
    }
}
