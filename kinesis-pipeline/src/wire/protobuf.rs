//! The part of the protobuf encoding that aggregates need.

/// The largest size of a 64-bit varint, in bytes.
const VARINT_BYTES_MAX: usize = 10;

/// The wire type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// An integer.
    Varint(u64),
    /// Bytes, as a range of the reader's input.
    Bytes { start: usize, end: usize },
    /// A number of fixed size. No field of an aggregate is one.
    Fixed,
}

/// A reader of the fields of one message.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    /// The input up to the end of the message.
    input: &'a [u8],
    at: usize,
}

/// An error: the bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Fields<'a> {
    /// Makes a reader of the message `input[start..end]`.
    #[inline]
    pub(super) fn new(input: &'a [u8], start: usize, end: usize) -> Self {
        Self {
            input: &input[..end.min(input.len())],
            at: start,
        }
    }

    /// Returns the offset of the next field in the input.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Returns the number and value of the next field; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value)>, Malformed> {
        if self.at >= self.input.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8)?,
            2 => self.bytes()?,
            5 => self.skip(4)?,
            _ => return Err(Malformed),
        };
        Ok(Some((tag >> 3, value)))
    }

    /// Returns the integer of the next field, if the field has this number. After a `None` the reader must not be used.
    #[inline]
    pub(super) fn varint_of(&mut self, field: u8) -> Option<u64> {
        self.take(field << 3)?;
        self.varint().ok()
    }

    /// Returns the range of the bytes of the next field, if the field has this number. After a `None` the reader must not
    /// be used.
    #[inline]
    pub(super) fn bytes_of(&mut self, field: u8) -> Option<(usize, usize)> {
        self.take(field << 3 | 2)?;
        match self.bytes() {
            Ok(Value::Bytes { start, end }) => Some((start, end)),
            _ => None,
        }
    }

    /// As [`next`](Self::next), in fewer steps if the next field has this number, which is below 16, and bytes.
    #[expect(clippy::inline_always, reason = "the likely case stays in registers")]
    #[inline(always)]
    pub(super) fn next_likely(&mut self, field: u8) -> Result<Option<(u64, Value)>, Malformed> {
        let at = self.at;
        if let Some((start, end)) = self.bytes_of(field) {
            return Ok(Some((field.into(), Value::Bytes { start, end })));
        }
        self.at = at;
        self.next()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.input.len()
    }

    #[inline]
    fn take(&mut self, tag: u8) -> Option<()> {
        (*self.input.get(self.at)? == tag).then_some(())?;
        self.at += 1;
        Some(())
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        // A fast path for one byte, as most are.
        let &first = self.input.get(self.at).ok_or(Malformed)?;
        if first < 0x80 {
            self.at += 1;
            return Ok(u64::from(first));
        }
        if let Some(&second) = self.input.get(self.at + 1)
            && second < 0x80
        {
            self.at += 2;
            return Ok(u64::from(first & 0x7f) | u64::from(second) << 7);
        }
        self.long_varint()
    }

    #[cold]
    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, &byte) in self.input[self.at..]
            .iter()
            .take(VARINT_BYTES_MAX)
            .enumerate()
        {
            if index + 1 == VARINT_BYTES_MAX && byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    #[inline]
    fn bytes(&mut self) -> Result<Value, Malformed> {
        let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        let start = self.at;
        let end = self.advance(len)?;
        Ok(Value::Bytes { start, end })
    }

    fn skip(&mut self, len: usize) -> Result<Value, Malformed> {
        self.advance(len)?;
        Ok(Value::Fixed)
    }

    #[inline]
    fn advance(&mut self, len: usize) -> Result<usize, Malformed> {
        let end = self.at.checked_add(len).ok_or(Malformed)?;
        if end > self.input.len() {
            return Err(Malformed);
        }
        self.at = end;
        Ok(end)
    }
}

/// Returns the length of a varint, in bytes.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    let bits = (64 - (value | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

/// The end of the numbers whose varints have at most three bytes.
pub(super) const SHORT_END: u64 = 1 << 21;

/// A buffer of up to eight bytes in a register, which are appended at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Short {
    bytes: u64,
    len: usize,
}

impl Short {
    /// Adds a tag of one byte: the field's number is below 16.
    #[inline]
    pub(super) fn tag(self, field: u8, wire_type: u8) -> Self {
        self.with(u64::from(field << 3 | wire_type), 1)
    }

    /// Adds a varint below [`SHORT_END`].
    #[inline]
    pub(super) fn varint(self, value: u64) -> Self {
        let (more_than_one, more_than_two) = (value >= 1 << 7, value >= 1 << 14);
        let parts = value & 0x7f | (value & 0x3f80) << 1 | (value & 0x1f_c000) << 2;
        let marks = u64::from(more_than_one) << 7 | u64::from(more_than_two) << 15;
        let len = 1 + usize::from(more_than_one) + usize::from(more_than_two);
        self.with(parts | marks, len)
    }

    pub(super) fn len(self) -> usize {
        self.len
    }

    /// Appends the bytes to `out`.
    #[inline]
    pub(super) fn put(self, out: &mut Vec<u8>) {
        let end = out.len() + self.len;
        // A copy of a known length is one instruction.
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.truncate(end);
    }

    #[inline]
    fn with(self, bytes: u64, len: usize) -> Self {
        Self {
            bytes: self.bytes | bytes << (8 * self.len),
            len: self.len + len,
        }
    }
}

/// Appends a varint.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than 0x80")]
    out.push(value as u8);
}

/// Appends a field of bytes.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    let len = bytes.len() as u64;
    if len < SHORT_END {
        Short::default().tag(field, 2).varint(len).put(out);
    } else {
        out.push(field << 3 | 2);
        put_varint(out, len);
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_come_back(value: u64) {
            let mut out = vec![0x08];
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), 1 + varint_len(value));
            let mut fields = Fields::new(&out, 0, out.len());
            prop_assert_eq!(fields.next(), Ok(Some((1, Value::Varint(value)))));
            prop_assert_eq!(fields.next(), Ok(None));
        }

        #[test]
        fn a_short_varint_is_the_same_bytes(value in 0..SHORT_END) {
            let (mut out, mut short) = (Vec::new(), Vec::new());
            put_varint(&mut out, value);
            Short::default().varint(value).put(&mut short);
            prop_assert_eq!(out, short);
        }

        #[test]
        fn any_bytes_end_without_a_panic(input: Vec<u8>) {
            let mut fields = Fields::new(&input, 0, input.len());
            while let Ok(Some(_)) = fields.next() {}
        }

        #[test]
        fn a_likely_field_is_read_as_any_other(
            parts in prop::collection::vec((0_u8..4, 0_u8..8, 0_usize..300), 0..9),
            end: prop::sample::Index,
            field in 0_u8..16,
        ) {
            let mut input = Vec::new();
            for (number, wire_type, len) in parts {
                match wire_type {
                    0 => put_bytes(&mut input, number, &vec![7; len]),
                    // A tag and a length that are longer than they need to be.
                    1 => input.extend([number << 3 | 0x82, 0, 0x81, 0, 7]),
                    2 => input.extend([number << 3, 3]),
                    3 => input.extend([number << 3 | 1, 2, 2, 2, 2, 2, 2, 2, 2]),
                    4 => input.extend([number << 3 | 5, 2, 2, 2, 2]),
                    5 => input.extend([number << 3 | 2, 3, 1, 1, 1]),
                    // Wire types that do not exist any more.
                    other => input.extend([number << 3 | (other - 3), 3]),
                }
            }
            let input = &input[..end.index(input.len() + 1)];
            let mut fields = Fields::new(input, 0, input.len());
            let mut likely = fields.clone();
            loop {
                let next = fields.next();
                prop_assert_eq!(likely.next_likely(field), next);
                match next {
                    Ok(Some(_)) => prop_assert_eq!(likely.place(), fields.place()),
                    _ => break,
                }
            }
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_malformed() {
        let mut too_long = vec![0x08];
        too_long.extend([0xff; 9]);
        too_long.push(2);
        assert_eq!(Fields::new(&too_long, 0, 11).next(), Err(Malformed));
    }
}
