//! Numbers in the binary form of `numeric`: groups of four digits, the decimal point between two of them.

use bytes::{BufMut as _, BytesMut};

use crate::row::Decimal;

const GROUP: usize = 4;
const NEGATIVE: u16 = 0x4000;

/// Appends a number with its length before it.
pub(super) fn put_numeric(out: &mut BytesMut, decimal: &Decimal) {
    let (groups, weight) = groups_of(decimal);
    let sign = if decimal.is_negative && !groups.is_empty() {
        NEGATIVE
    } else {
        0
    };
    // The limits of a `Decimal` keep these numbers within their fields.
    let narrow = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    out.put_i32(8 + 2 * i32::from(narrow(groups.len())));
    out.put_u16(narrow(groups.len()));
    out.put_i16(weight);
    out.put_u16(sign);
    out.put_u16(narrow(decimal.scale));
    for group in groups {
        out.put_u16(group);
    }
}

/// Returns the groups, without zero groups at both ends, and the power of 10,000 of the first one.
fn groups_of(decimal: &Decimal) -> (Vec<u16>, i16) {
    let Decimal { digits, scale, .. } = decimal;
    // Zeros are put in front, so that a group ends at the decimal point.
    let whole = digits.len().saturating_sub(*scale);
    let between = scale.saturating_sub(digits.len());
    let front = whole.next_multiple_of(GROUP) - whole + between;
    let padded = std::iter::repeat_n(0, front).chain(digits.iter().copied());
    let padded: Vec<u8> = padded.collect();
    let value = |group: &[u8]| {
        let digits = group.iter().chain(std::iter::repeat(&0)).take(GROUP);
        digits.fold(0, |sum, digit| sum * 10 + u16::from(*digit))
    };
    let mut groups: Vec<_> = padded.chunks(GROUP).map(value).collect();
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let weight = |count: usize| i16::try_from(count).unwrap_or(i16::MAX);
    let first = weight(whole.div_ceil(GROUP)) - 1 - weight(zeros);
    let weight = if groups.is_empty() { 0 } else { first };
    (groups, weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn groups(text: &str) -> (Vec<u16>, i16) {
        groups_of(&Decimal::parse(text).unwrap())
    }

    #[test]
    fn groups_end_at_the_point() {
        assert_eq!(groups("12345.6"), (vec![1, 2345, 6000], 1));
        assert_eq!(groups("0.00001"), (vec![1000], -2));
        assert_eq!(groups("50000"), (vec![5], 1));
        assert_eq!(groups("0.000"), (vec![], 0));
        assert_eq!(groups("0.1234"), (vec![1234], -1));
    }

    fn digits(group: u16) -> Vec<char> {
        format!("{group:04}").chars().collect()
    }

    /// Returns groups and weight as digits, as the database does.
    fn text_of(groups: &[u16], weight: i16, scale: usize) -> String {
        let group = |at: i32| {
            let index = i32::from(weight) - at;
            let index = usize::try_from(index).ok();
            index
                .and_then(|index| groups.get(index))
                .copied()
                .unwrap_or(0)
        };
        let whole: String = (0..=i32::from(weight.max(0)))
            .rev()
            .flat_map(|at| digits(group(at)))
            .collect();
        let fraction: String = (1..=i32::try_from(scale / GROUP + 1).unwrap())
            .flat_map(|at| digits(group(-at)))
            .collect();
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if scale > 0 { "." } else { "" };
        format!("{whole}{point}{}", &fraction[..scale])
    }

    proptest! {
        #[test]
        fn a_number_comes_back(whole in "0|[1-9][0-9]{0,30}", fraction in "[0-9]{0,30}") {
            let point = if fraction.is_empty() { "" } else { "." };
            let text = format!("{whole}{point}{fraction}");
            let (groups, weight) = groups(&text);
            prop_assert_eq!(text_of(&groups, weight, fraction.len()), text);
        }
    }
}
