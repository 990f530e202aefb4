//! As much of the protobuf encoding as aggregates need.

/// The most bytes of a 64-bit varint.
const VARINT_BYTES_MAX: usize = 10;

/// How the value of a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// An integer.
    Varint(u64),
    /// Bytes: where they are in the input that the reader was made for.
    Bytes { start: usize, end: usize },
    /// A fixed number, which no field of an aggregate is.
    Fixed,
}

/// Reads the fields of one message.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    input: &'a [u8],
    at: usize,
    end: usize,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Fields<'a> {
    /// The fields of the message that is `input[start..end]`.
    pub(super) fn new(input: &'a [u8], start: usize, end: usize) -> Self {
        Self {
            input,
            at: start,
            end: end.min(input.len()),
        }
    }

    /// The number and value of the next field; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value)>, Malformed> {
        if self.at >= self.end {
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

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        let input = self.input.get(self.at..self.end).ok_or(Malformed)?;
        // Most are short.
        if let Some(&byte) = input.first()
            && byte < 0x80
        {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        let mut value = 0;
        for (index, &byte) in input.iter().take(VARINT_BYTES_MAX).enumerate() {
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
        if end > self.end {
            return Err(Malformed);
        }
        self.at = end;
        Ok(end)
    }
}

/// How many bytes a varint takes.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    let bits = (64 - (value | 1).leading_zeros()) as usize;
    bits.div_ceil(7)
}

/// Appends a varint.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // The low seven bits: the cast cuts nothing else off.
        #[expect(clippy::cast_possible_truncation, reason = "masked to eight bits")]
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than 0x80")]
    out.push(value as u8);
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
        fn any_bytes_end_without_a_panic(input: Vec<u8>) {
            let mut fields = Fields::new(&input, 0, input.len());
            while let Ok(Some(_)) = fields.next() {}
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
