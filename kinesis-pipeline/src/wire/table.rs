//! The key tables of an aggregate that is read.

use super::protobuf::{Fields, Malformed, Value};

/// A key table. Its entries are decoded to keys at once. If the keys would take more memory than the aggregate itself,
/// they stay encoded and are decoded at each use; such entries are so short that a key needs no allocation.
///
/// In both cases it takes at most twice the bytes of the aggregate.
#[derive(Clone, Debug)]
pub(super) struct Table<T> {
    /// The decoded entries: all, or none.
    made: Vec<T>,
    /// The offset of each entry's field, if the entries stay encoded.
    places: Vec<u32>,
    len: usize,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            made: Vec::new(),
            places: Vec::new(),
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

    /// Notes the offsets of the entries, which are the fields of this number, unless they were decoded.
    pub(super) fn finish(&mut self, number: u8, mut fields: Fields<'_>) -> Result<(), Malformed> {
        if self.made.len() == self.len {
            return Ok(());
        }
        self.places.reserve_exact(self.len);
        loop {
            let place = u32::try_from(fields.place()).map_err(|_| Malformed)?;
            match fields.next()? {
                Some((field, _)) if field == u64::from(number) => self.places.push(place),
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }

    /// Returns the entry with this index of the table that was read from `data`.
    #[inline]
    pub(super) fn get(&self, data: &[u8], index: u32, make: impl FnOnce(&[u8]) -> T) -> Option<T>
    where
        T: Clone,
    {
        match self.made.get(index as usize) {
            Some(entry) => Some(entry.clone()),
            None => self.text(data, index).map(make),
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

    #[cold]
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
        table.finish(1, fields()).unwrap();
        assert_eq!((table.made.len(), table.places.len()), (0, 3));
        let all: Vec<_> = table.iter(entries, text).collect();
        assert_eq!(all, ["a", "", "bc"]);
        assert_eq!(table.get(entries, 3, text), None);
    }

    #[test]
    fn a_table_that_is_small_beside_its_aggregate_is_made_once() {
        let mut table = Table::new();
        table.push(100, || 7_u64);
        table.finish(1, Fields::new(b"", 0, 0)).unwrap();
        let made = table.get(b"", 0, |_| unreachable!("it is made"));
        assert_eq!(
            (made, table.len(), table.places.capacity()),
            (Some(7), 1, 0)
        );
    }
}
