//! One user record of an aggregate: the message `Record`.

use super::protobuf::{
    Fields, Malformed, SHORT_END, Short, Value, put_bytes, put_varint, varint_len,
};

/// The number of an aggregate's field for user records.
pub(super) const RECORDS: u8 = 3;
const PARTITION_KEY_INDEX: u8 = 1;
const EXPLICIT_HASH_KEY_INDEX: u8 = 2;
const DATA: u8 = 3;

/// An upper bound of the size of the tags, indices and lengths of a short record.
const HEAD_BYTES_MAX: usize = 24;

/// Appends a record: the indices of its keys, and its data.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, key: u64, hash_key: Option<u64>, data: &[u8]) {
    let most = key
        .max(hash_key.unwrap_or(0))
        .max((data.len() + HEAD_BYTES_MAX) as u64);
    if most >= SHORT_END {
        return put_long(out, key, hash_key, data);
    }
    let key = Short::default().tag(PARTITION_KEY_INDEX, 0).varint(key);
    // All three at once would be longer than the buffer of 8 bytes.
    let (before, last) = match hash_key {
        Some(index) => {
            let hash_key = Short::default().tag(EXPLICIT_HASH_KEY_INDEX, 0);
            (Some(key), hash_key.varint(index))
        }
        None => (None, key),
    };
    let last = last.tag(DATA, 2).varint(data.len() as u64);
    let len = before.map_or(0, Short::len) + last.len() + data.len();
    out.reserve(HEAD_BYTES_MAX + data.len());
    Short::default().tag(RECORDS, 2).varint(len as u64).put(out);
    if let Some(before) = before {
        before.put(out);
    }
    last.put(out);
    out.extend_from_slice(data);
}

#[cold]
fn put_long(out: &mut Vec<u8>, key: u64, hash_key: Option<u64>, data: &[u8]) {
    let hash_key_len = hash_key.map_or(0, |index| 1 + varint_len(index));
    let data_len = data.len() as u64;
    let len = 1 + varint_len(key) + hash_key_len + 1 + varint_len(data_len) + data.len();
    out.push(RECORDS << 3 | 2);
    put_varint(out, len as u64);
    out.push(PARTITION_KEY_INDEX << 3);
    put_varint(out, key);
    if let Some(index) = hash_key {
        out.push(EXPLICIT_HASH_KEY_INDEX << 3);
        put_varint(out, index);
    }
    put_bytes(out, DATA, data);
}

/// A user record in its encoded form: indices into the tables, and the range of its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct UserRecord {
    pub(super) key: u32,
    pub(super) hash_key: Option<u32>,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The index of the partition key, that of the explicit hash key, and the range of the data.
type Parts = (u64, Option<u64>, (usize, usize));

impl UserRecord {
    #[inline]
    pub(super) fn read(input: &[u8], start: usize, end: usize) -> Result<Self, Malformed> {
        let (key, hash_key, data) = match Self::usual_parts(Fields::new(input, start, end)) {
            Some(parts) => parts,
            None => Self::any_parts(Fields::new(input, start, end))?,
        };
        Self::new(key, hash_key, data)
    }

    /// Reads a record whose fields are in the order of their numbers, without other fields: the fast path.
    #[inline]
    fn usual_parts(mut fields: Fields<'_>) -> Option<Parts> {
        let key = fields.varint_of(PARTITION_KEY_INDEX)?;
        let hash_key = fields.varint_of(EXPLICIT_HASH_KEY_INDEX);
        let data = fields.bytes_of(DATA)?;
        fields.is_at_end().then_some((key, hash_key, data))
    }

    #[cold]
    fn any_parts(mut fields: Fields<'_>) -> Result<Parts, Malformed> {
        let (mut key, mut hash_key, mut data) = (None, None, None);
        while let Some((field, value)) = fields.next()? {
            match (u8::try_from(field), value) {
                (Ok(PARTITION_KEY_INDEX), Value::Varint(index)) => key = Some(index),
                (Ok(EXPLICIT_HASH_KEY_INDEX), Value::Varint(index)) => hash_key = Some(index),
                (Ok(DATA), Value::Bytes { start, end }) => data = Some((start, end)),
                (Ok(PARTITION_KEY_INDEX | EXPLICIT_HASH_KEY_INDEX | DATA), _) => {
                    return Err(Malformed);
                }
                _ => {}
            }
        }
        Ok((key.ok_or(Malformed)?, hash_key, data.ok_or(Malformed)?))
    }

    #[inline]
    fn new(
        key: u64,
        hash_key: Option<u64>,
        (start, end): (usize, usize),
    ) -> Result<Self, Malformed> {
        Ok(Self {
            key: narrow(key)?,
            hash_key: hash_key.map(narrow).transpose()?,
            start: narrow(start as u64)?,
            end: narrow(end as u64)?,
        })
    }

    /// Returns the least number of partition keys that the aggregate must have.
    #[inline]
    pub(super) fn keys(&self) -> usize {
        (self.key as usize).saturating_add(1)
    }

    /// Returns the least number of explicit hash keys that the aggregate must have.
    #[inline]
    pub(super) fn hash_keys(&self) -> usize {
        self.hash_key
            .map_or(0, |index| (index as usize).saturating_add(1))
    }
}

/// Narrows a number. An aggregate has fewer than 2^32 of anything.
#[inline]
fn narrow(number: u64) -> Result<u32, Malformed> {
    u32::try_from(number).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Generates numbers around those that need another byte.
    fn number(end: u64) -> impl Strategy<Value = u64> {
        let edges = prop::sample::select(vec![7_u32, 14, 21, 28, 32]);
        let near = (edges, 0_u64..4).prop_map(|(bits, more)| (1 << bits) - 2 + more);
        prop_oneof![near, any::<u64>()].prop_map(move |number| number % end)
    }

    fn parts(message: &[u8]) -> [Option<Parts>; 2] {
        let fields = || Fields::new(message, 0, message.len());
        let usual = UserRecord::usual_parts(fields());
        [usual, UserRecord::any_parts(fields()).ok()]
    }

    proptest! {
        #[test]
        fn short_heads_and_long_ones_are_the_same_bytes(
            key in number(1 << 40),
            hash_key in prop::option::of(number(1 << 40)),
            data_len in number(1 << 22),
        ) {
            let data = vec![7; usize::try_from(data_len).unwrap()];
            let (mut out, mut long) = (Vec::new(), Vec::new());
            put(&mut out, key, hash_key, &data);
            put_long(&mut long, key, hash_key, &data);
            prop_assert!(out == long);

            let mut fields = Fields::new(&out, 0, out.len());
            let Ok(Some((3, Value::Bytes { start, end }))) = fields.next() else {
                panic!("no record");
            };
            prop_assert!(fields.is_at_end());
            let whole = (key, hash_key, (end - start - data.len(), end - start));
            prop_assert_eq!(parts(&out[start..end]), [Some(whole); 2]);
        }

        #[test]
        fn what_is_read_in_the_usual_way_is_read_the_same_in_the_other(
            key in number(1 << 40),
            hash_key in prop::option::of(number(1 << 40)),
            data: Vec<u8>,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            end: prop::sample::Index,
        ) {
            let mut out = Vec::new();
            put(&mut out, key, hash_key, &data);
            let head = 1 + varint_len(out.len() as u64 - 2);
            let mut message = out.split_off(head.min(out.len()));
            for (at, byte) in changes {
                let at = at.index(message.len().min(16));
                message[at] = byte;
            }
            for message in [&message[..], &message[..end.index(message.len())]] {
                let [usual, any] = parts(message);
                prop_assert!(usual.is_none() || usual == any, "{:?} {:?}", usual, any);
            }
        }
    }

    #[test]
    fn fields_in_another_order_twice_or_unknown_and_long_varints_are_read() {
        let cases: [(&str, &[u8], Option<Parts>); 9] = [
            ("the usual", b"\x08\x05\x1a\x01x", Some((5, None, (4, 5)))),
            (
                "a hash key",
                b"\x08\x05\x10\x06\x1a\x01x",
                Some((5, Some(6), (6, 7))),
            ),
            ("data first", b"\x1a\x01x\x08\x05", Some((5, None, (2, 3)))),
            (
                "a tag behind",
                b"\x08\x05\x1a\x01x\x22\x00",
                Some((5, None, (4, 5))),
            ),
            (
                "two keys",
                b"\x08\x05\x08\x07\x1a\x01x",
                Some((7, None, (6, 7))),
            ),
            (
                "a long zero",
                b"\x08\x80\x80\x00\x1a\x01x",
                Some((0, None, (6, 7))),
            ),
            (
                "a long tag",
                b"\x88\x00\x05\x1a\x01x",
                Some((5, None, (5, 6))),
            ),
            ("a hash key without end", b"\x08\x05\x10\xff", None),
            (
                "a length without end",
                b"\x08\x05\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x",
                None,
            ),
        ];
        for (name, message, expected) in cases {
            let [usual, any] = parts(message);
            assert_eq!(any, expected, "{name}");
            assert!(usual.is_none() || usual == expected, "{name}");
        }
    }
}
