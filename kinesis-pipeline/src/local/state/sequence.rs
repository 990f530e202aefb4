//! Sequence numbers: the fields of the service's 186-bit numbers, and their decimal text.
//!
//! The layout is known from studies of the service's numbers, from the top: the digit 2 (4 bits), the
//! second of the shard's creation (36), the low digit of the shard's index (4), a counter (64), a flag byte
//! (8), the second of the record's arrival (36), the shard's index (32), and the layout's version, 2 (4).
//! As the creation comes first, a child's numbers are greater than its parents'.

use bytestring::ByteString;

const LAYOUT: u64 = 2;
/// The greatest counter, which only the ending number of a shard has.
pub(in crate::local) const COUNTER_MAX: u64 = i64::MAX as u64;
const SECONDS_BITS: u32 = 36;
/// Ten to the 19th: the most decimal digits that fit in 64 bits.
const CHUNK: u64 = 10_000_000_000_000_000_000;
const CHUNK_DIGITS: usize = 19;
const TEXT_BYTES_MAX: usize = 3 * CHUNK_DIGITS;

/// A sequence number in parts. The order of the fields is the order of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::local) struct Number {
    /// The second since the epoch that stands for the shard's creation.
    pub(in crate::local) created_seconds: u64,
    /// The low four bits of the shard's index.
    low_index: u8,
    /// Counts the shard's records up from 1; 0 in the starting number.
    pub(in crate::local) counter: u64,
    /// 0 in a record's number, 1 just after it, 255 in the ending number.
    flag: u8,
    /// The second of the arrival.
    pub(in crate::local) arrived_seconds: u64,
    /// The index of the shard.
    pub(in crate::local) shard_index: u32,
}

impl Number {
    /// Returns the number of a record.
    pub(in crate::local) fn of_record(
        created_seconds: u64,
        shard_index: u32,
        counter: u64,
        arrived_seconds: u64,
    ) -> Self {
        Self {
            created_seconds: seconds(created_seconds),
            low_index: (shard_index & 0xf) as u8,
            counter: counter.min(COUNTER_MAX),
            flag: 0,
            arrived_seconds: seconds(arrived_seconds),
            shard_index,
        }
    }

    /// Returns a number between this record's and the next one's, which no record has.
    pub(in crate::local) fn just_after(self) -> Self {
        Self { flag: 1, ..self }
    }

    /// Returns the number that every record of the shard is greater than.
    pub(in crate::local) fn starting(created_seconds: u64, shard_index: u32) -> Self {
        Self::of_record(created_seconds, shard_index, 0, created_seconds)
    }

    /// Returns the number that every record of the shard is less than.
    pub(in crate::local) fn ending(
        created_seconds: u64,
        shard_index: u32,
        closed_seconds: u64,
    ) -> Self {
        Self {
            flag: u8::MAX,
            ..Self::of_record(created_seconds, shard_index, COUNTER_MAX, closed_seconds)
        }
    }

    /// Reads the decimal text of a number in this layout.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each part is masked to its bits"
    )]
    pub(in crate::local) fn parse(text: &str) -> Option<Self> {
        let (high, low) = parse_decimal(text)?;
        let layout_fits = high >> 56 == LAYOUT && low & 0xf == u128::from(LAYOUT);
        let counter = (high & 0xffff) << 48 | low_bits(low >> 80, 48);
        (layout_fits && counter <= COUNTER_MAX).then_some(Self {
            created_seconds: high >> 20 & mask(SECONDS_BITS),
            low_index: (high >> 16 & 0xf) as u8,
            counter,
            flag: low_bits(low >> 72, 8) as u8,
            arrived_seconds: low_bits(low >> 36, SECONDS_BITS),
            shard_index: low_bits(low >> 4, 32) as u32,
        })
    }

    /// Returns the decimal text: 56 digits.
    pub(in crate::local) fn text(self) -> ByteString {
        let high = LAYOUT << 56
            | self.created_seconds << 20
            | u64::from(self.low_index) << 16
            | self.counter >> 48;
        let low = u128::from(self.counter) << 80
            | u128::from(self.flag) << 72
            | u128::from(self.arrived_seconds) << 36
            | u128::from(self.shard_index) << 4
            | u128::from(LAYOUT);
        format_decimal(high, low)
    }
}

/// Returns the second of the shard's creation in a number of version 1, which the service gave out before this layout
/// and still takes.
pub(in crate::local) fn created_seconds_of_version_1(text: &str) -> Option<u64> {
    let (high, low) = parse_decimal(text)?;
    (high >> 56 == LAYOUT && low & 0xf == 1).then_some(high >> 20 & mask(SECONDS_BITS))
}

/// Seconds that fit their 36 bits: up to the year 4147.
fn seconds(seconds: u64) -> u64 {
    seconds.min(mask(SECONDS_BITS))
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the mask keeps fewer than 64 bits"
)]
fn low_bits(value: u128, bits: u32) -> u64 {
    value as u64 & mask(bits)
}

/// Returns the decimal text of `high * 2^128 + low`, for a `high` of at most 60 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "limbs and digits are cut on purpose"
)]
fn format_decimal(high: u64, low: u128) -> ByteString {
    let mut limbs = [high, (low >> 64) as u64, low as u64];
    let mut text = [b'0'; TEXT_BYTES_MAX];
    for chunk in text.rchunks_exact_mut(CHUNK_DIGITS) {
        let mut digits = divide(&mut limbs);
        for digit in chunk.iter_mut().rev() {
            *digit = b'0' + (digits % 10) as u8;
            digits /= 10;
        }
    }
    let zeros = text.iter().take_while(|digit| **digit == b'0').count();
    let digits = &text[zeros.min(TEXT_BYTES_MAX - 1)..];
    str::from_utf8(digits).map_or_else(|_| ByteString::new(), ByteString::from)
}

/// Divides the number in `limbs`, most significant first, by [`CHUNK`] and returns the remainder.
#[expect(
    clippy::cast_possible_truncation,
    reason = "quotient and remainder fit in a limb"
)]
fn divide(limbs: &mut [u64; 3]) -> u64 {
    let mut remainder = 0_u64;
    for limb in limbs {
        let dividend = u128::from(remainder) << 64 | u128::from(*limb);
        *limb = (dividend / u128::from(CHUNK)) as u64;
        remainder = (dividend % u128::from(CHUNK)) as u64;
    }
    remainder
}

/// Returns the number in a decimal text as its top 64 and its low 128 bits, if it has no more.
#[expect(
    clippy::cast_possible_truncation,
    reason = "each step keeps one limb and carries the rest"
)]
fn parse_decimal(text: &str) -> Option<(u64, u128)> {
    let digits = text.as_bytes();
    if digits.is_empty() || digits.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut limbs = [0_u64; 3];
    for digit in digits {
        let mut carry = u128::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
        for limb in limbs.iter_mut().rev() {
            carry += u128::from(*limb) * 10;
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry != 0 {
            return None;
        }
    }
    let [high, middle, low] = limbs;
    Some((high, u128::from(middle) << 64 | u128::from(low)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shard::SequenceNumber;

    fn number() -> impl Strategy<Value = Number> {
        let seconds = 0..=mask(SECONDS_BITS);
        (seconds.clone(), any::<u32>(), 0..=COUNTER_MAX, seconds).prop_map(
            |(created, index, counter, arrived)| {
                Number::of_record(created, index, counter, arrived)
            },
        )
    }

    fn text_order(number: Number) -> SequenceNumber {
        number.text().to_string().parse().unwrap()
    }

    proptest! {
        #[test]
        fn numbers_survive_their_text(number in number()) {
            prop_assert_eq!(Number::parse(&number.text()), Some(number));
        }

        #[test]
        fn parts_and_texts_have_one_order(a in number(), b in number()) {
            prop_assert_eq!(a.cmp(&b), text_order(a).cmp(&text_order(b)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9]{0,60}|.{0,8}") {
            let _ = Number::parse(&text);
        }
    }

    #[test]
    fn numbers_of_our_time_look_like_the_services() {
        let text = Number::of_record(1_795_000_000, 3, 1, 1_795_000_060).text();
        assert_eq!(text.len(), 56);
        assert!(text.starts_with("49"), "{text}");
    }

    #[test]
    fn a_number_seen_from_the_service_is_read() {
        let seen = "49551479315998225220804774498660962603757541393499684882";
        let number = Number::parse(seen).unwrap();
        assert_eq!(number.text(), seen);
        assert_eq!(number.shard_index, 1);
    }

    #[test]
    fn the_number_just_after_a_record_is_before_the_next_one() {
        let number = |counter| Number::of_record(1_795_000_000, 0, counter, 1_795_000_500);
        let between = number(7).just_after();
        assert!(number(7) < between && between < number(8));
        assert_eq!(Number::parse(&between.text()), Some(between));
    }

    #[test]
    fn numbers_of_the_first_version_are_told_by_their_last_four_bits() {
        let (high, low) = (LAYOUT << 56 | 1_700_000_000 << 20, u128::MAX << 4 | 1);
        let text = format_decimal(high, low);
        assert_eq!(Number::parse(&text), None);
        assert_eq!(created_seconds_of_version_1(&text), Some(1_700_000_000));
        assert_eq!(created_seconds_of_version_1(&format_decimal(high, 2)), None);
    }

    #[test]
    fn a_child_starts_after_its_parent_ended() {
        let parent = Number::ending(1_795_000_000, 0, 1_795_000_500);
        assert!(Number::starting(1_795_000_001, 1) > parent);
        assert!(Number::of_record(1_795_000_000, 0, COUNTER_MAX - 1, 1 << 35) < parent);
    }
}
