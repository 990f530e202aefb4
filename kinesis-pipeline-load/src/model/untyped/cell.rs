//! Conversion of a cell to JSON.

use bytes::{BufMut as _, BytesMut};
use kinesis_pipeline::record::row::FromCell as _;
use serde_json::value::RawValue;

use super::ColumnType;

/// Appends a cell, or returns a description of the expected value.
pub(super) fn put_cell(
    text: Option<&str>,
    column_type: ColumnType,
    out: &mut BytesMut,
) -> Result<(), &'static str> {
    let Some(text) = text else {
        out.put_slice(b"null");
        return Ok(());
    };
    let trimmed = text.trim();
    match column_type {
        ColumnType::Guess if is_plain_json(trimmed) => out.put_slice(trimmed.as_bytes()),
        ColumnType::Guess | ColumnType::Text => put_text(text, out),
        ColumnType::Integer => {
            i128::from_cell(trimmed).map_err(|_| "an integer")?;
            let digits = trimmed.strip_prefix('+').unwrap_or(trimmed);
            put_canonical(digits, out, |digits| {
                i128::from_cell(digits).ok().map(|n| n.to_string())
            })?;
        }
        ColumnType::Number => {
            put_canonical(trimmed, out, |text| {
                f64::from_cell(text).ok().map(|n| n.to_string())
            })?;
        }
        ColumnType::Bool => {
            let value = bool::from_cell(trimmed).map_err(|_| "a bool")?;
            out.put_slice(if value { b"true" } else { b"false" });
        }
        ColumnType::Json => {
            let value: &RawValue = serde_json::from_str(trimmed).map_err(|_| "JSON")?;
            out.put_slice(value.get().as_bytes());
        }
    }
    Ok(())
}

/// Returns a number's own text where JSON allows it, so that no digit is lost.
fn put_canonical(
    text: &str,
    out: &mut BytesMut,
    other: impl FnOnce(&str) -> Option<String>,
) -> Result<(), &'static str> {
    if is_number(text) {
        out.put_slice(text.as_bytes());
    } else {
        out.put_slice(other(text).ok_or("a number")?.as_bytes());
    }
    Ok(())
}

fn is_plain_json(text: &str) -> bool {
    matches!(text, "true" | "false") || is_number(text)
}

/// Whether the text is a number as JSON writes it.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// Appends a JSON text.
fn put_text(text: &str, out: &mut BytesMut) {
    // Writing text to memory does not fail.
    let _ = serde_json::to_writer(out.writer(), text);
}
