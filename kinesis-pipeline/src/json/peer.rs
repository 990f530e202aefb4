//! A comparison of the scanner with `serde_json`, for tests and fuzzing.

use serde::de::IgnoredAny;
use serde_json::{Map, Number, Value, value::RawValue};

use super::{Kind, Malformed, Scanner, scanner::TOO_DEEP};

/// Reads a value with the scanner, as a value of `serde_json`.
fn value(scanner: &mut Scanner<'_>) -> Result<Value, Malformed> {
    Ok(match scanner.kind()? {
        Kind::Object => {
            let mut members = Map::new();
            scanner.open_object()?;
            while let Some(key) = scanner.next_key()? {
                members.insert(key.to_str().into_owned(), value(scanner)?);
            }
            members.into()
        }
        Kind::Array => {
            let mut elements = Vec::new();
            scanner.open_array()?;
            while scanner.next_element()? {
                elements.push(value(scanner)?);
            }
            elements.into()
        }
        Kind::Text => scanner.string()?.to_str().into(),
        Kind::Number => {
            let number: Result<Number, _> = scanner.number()?.parse();
            number
                .map_err(|_| scanner.malformed("its number is too large"))?
                .into()
        }
        Kind::Bool => scanner.bool()?.into(),
        Kind::Null => {
            assert!(scanner.null()?);
            Value::Null
        }
    })
}

pub(super) fn whole<'a, T>(
    json: &'a [u8],
    read: impl FnOnce(&mut Scanner<'a>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let mut scanner = Scanner::new(json);
    let value = read(&mut scanner)?;
    scanner.end()?;
    Ok(value)
}

/// Panics unless each way to use the scanner agrees with `serde_json`. When it skips values, `serde_json` accepts any
/// depth.
pub(crate) fn agrees(json: &[u8]) {
    let shown = json.escape_ascii();
    let (skipped, raw) = (whole(json, Scanner::skip), whole(json, Scanner::raw).ok());
    if matches!(skipped, Err(malformed) if malformed.what == TOO_DEEP) {
        return assert!(serde_json::from_slice::<Value>(json).is_err(), "{shown}");
    }
    let peer = serde_json::from_slice::<IgnoredAny>(json);
    assert_eq!(skipped.is_ok(), peer.is_ok(), "{shown}");
    let peer = serde_json::from_slice::<&RawValue>(json).ok();
    assert_eq!(raw, peer.map(RawValue::get), "{shown}");
    let peer = serde_json::from_slice::<Value>(json);
    assert_eq!(whole(json, value).ok(), peer.ok(), "{shown}");
}
