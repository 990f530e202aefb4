//! A comparison of the scanner with `ciborium`, for tests and fuzzing.

use ciborium::{Value, de};

use super::{Number, Scanner, scanner::OTHER_CHUNK};
use crate::json::Malformed;

/// The nesting limit of the comparison. Both read deeper values, but count levels differently.
const NESTING_MAX: usize = 32;

/// Panics unless the scanner reads and skips all values that `ciborium` reads, with the same contents and the same end.
///
/// The scanner may accept more than `ciborium`: a skipped member may have a text that is not UTF-8, or an unassigned
/// simple value. But no bytes may make the scanner panic or read past the end.
pub(crate) fn agrees(cbor: &[u8]) {
    let mut passed = Scanner::new(cbor);
    let skipped = passed.skip();
    every_reader_returns(cbor);
    let Some((value, end)) = read_by_peer(cbor) else {
        return;
    };
    let mut scanner = Scanner::new(cbor);
    let reads = read(&value, &mut scanner);
    // `ciborium` accepts chunks inside chunks, which RFC 8949 does not allow (section 3.2.3).
    let is_refused =
        |done: Result<(), Malformed>| done.is_err_and(|error| error.what == OTHER_CHUNK);
    if is_refused(reads) && is_refused(skipped) {
        return;
    }
    assert_eq!(reads, Ok(()), "{value:?} in {cbor:02X?}");
    assert_eq!(offset(&scanner), end, "{value:?} in {cbor:02X?}");
    assert_eq!((skipped, offset(&passed)), (Ok(()), end), "{cbor:02X?}");
}

/// Reads the first value with `ciborium`. Returns it with the offset of its end.
fn read_by_peer(cbor: &[u8]) -> Option<(Value, usize)> {
    let mut rest = cbor;
    let value = de::from_reader_with_recursion_limit(&mut rest, NESTING_MAX).ok()?;
    Some((value, cbor.len() - rest.len()))
}

fn every_reader_returns(cbor: &[u8]) {
    let scanner = Scanner::new(cbor);
    let _ = scanner.clone().text();
    let _ = scanner.clone().bytes();
    let _ = scanner.clone().number();
    let _ = scanner.clone().is_number();
    let _ = scanner.clone().is_text();
    let _ = scanner.clone().null();
    let _ = scanner.clone().plain_text();
    let mut map = scanner.clone();
    if let Some(is_open) = map.pass_map(3) {
        let _ = map.pass_end(is_open);
    }
    let mut map = scanner;
    if let Ok(mut members) = map.open_map() {
        while let Ok(Some(_)) = map.next_key(&mut members) {
            if map.skip().is_err() {
                break;
            }
        }
    }
}

/// Reads the same value with the scanner. Panics if it differs.
fn read(value: &Value, scanner: &mut Scanner<'_>) -> Result<(), Malformed> {
    match value {
        // The scanner skips a tag that turns bytes into a number, and reads the bytes.
        Value::Integer(_) if !scanner.is_number()? => drop(scanner.bytes()?),
        Value::Integer(number) => {
            let number = i128::from(*number);
            match scanner.number()? {
                Number::Unsigned(read) => assert_eq!(i128::from(read), number),
                // A negative number need not be exact, as it is rounded twice.
                #[expect(clippy::cast_precision_loss, reason = "as the scanner reads it")]
                Number::Float(read) => {
                    let exact = number as f64;
                    assert!(
                        (read - exact).abs() <= exact.abs() * f64::EPSILON,
                        "{read} was {number}"
                    );
                }
            }
        }
        Value::Float(number) => match scanner.number()? {
            Number::Float(read) if read.is_nan() => assert!(number.is_nan()),
            Number::Float(read) => assert_eq!(read.to_bits(), number.to_bits()),
            Number::Unsigned(read) => panic!("{read} was {number}"),
        },
        Value::Text(text) => assert_eq!(*scanner.text()?, **text),
        Value::Bytes(bytes) => assert_eq!(*scanner.bytes()?, **bytes),
        Value::Null => assert!(scanner.null()?),
        // If such a number is too large for `ciborium`, it drops leading zeros.
        Value::Tag(2 | 3, value) if value.is_bytes() => {
            let (read, bytes) = (
                scanner.bytes()?,
                value.as_bytes().map_or(&[][..], |bytes| bytes),
            );
            let start = |bytes: &[u8]| bytes.iter().take_while(|byte| **byte == 0).count();
            assert_eq!(read[start(&read)..], bytes[start(bytes)..]);
        }
        Value::Tag(_, value) => read(value, scanner)?,
        Value::Array(elements) => {
            let mut items = scanner.open_array()?;
            for element in elements {
                assert!(scanner.has_next(&mut items)?);
                read(element, scanner)?;
            }
            assert!(!scanner.has_next(&mut items)?);
        }
        Value::Map(members) => {
            let mut items = scanner.open_map()?;
            for (key, value) in members {
                let read_key = scanner.next_key(&mut items)?.expect("a member");
                assert_eq!(*read_key, *text_of(key));
                read(value, scanner)?;
            }
            assert_eq!(scanner.next_key(&mut items)?, None);
        }
        _ => scanner.skip()?,
    }
    Ok(())
}

/// Returns a key as the scanner does: a key that is not a text is empty.
fn text_of(key: &Value) -> &[u8] {
    match key {
        Value::Text(text) => text.as_bytes(),
        Value::Tag(_, key) => text_of(key),
        _ => b"",
    }
}

fn offset(scanner: &Scanner<'_>) -> usize {
    scanner.malformed("").offset
}
